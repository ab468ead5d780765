"""Pages over the stores: filters that the stores do not know, with bounded work for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gateway.http.server.fields import Paged

Row = TypeVar("Row")
Found = TypeVar("Found", covariant=True)

AT_ONCE = 250
"""Rows read between two turns of the event loop: calls of agents wait for no list."""

SCANNED = 5000
"""The most rows that one page reads; then the page ends early, with a cursor, at the next row that the operator may see."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, ascending, and the cursor of the next page; ``None`` if there are no more."""

    rows: Sequence[Row]
    next: str | None

    def json(self, items: Sequence[object]) -> dict[str, object]:
        """The page as the API shows it, with its rows as ``items``."""
        return {"items": items, "next": self.next}


class Fetch(Protocol[Found]):
    """Reads at most ``limit`` rows that follow the cursor ``after``."""

    def __call__(self, *, after: str | None, limit: int) -> Awaitable[Sequence[Found]]: ...


async def collect(
    fetch: Fetch[Row],
    cursor: Callable[[Row], str],
    query: Paged,
    keep: Callable[[Row], Awaitable[bool]] | None = None,
    *,
    sees: Callable[[Row], Awaitable[bool]] | None = None,
) -> Page[Row]:
    """The page that ``query`` asks for, of the rows to keep; it has fewer rows, and a cursor, if too many rows were skipped.

    ``sees`` says whether a row's cursor may be shown; without it, all may.
    """
    kept: list[Row] = []
    after, limit = query.after, query.limit
    at_once = min(limit + 1, AT_ONCE)
    scanned = 0
    while True:
        rows = await fetch(after=after, limit=at_once)
        for row in rows:
            if keep is None or await keep(row):
                if len(kept) == limit:
                    return Page(kept, cursor(kept[-1]))
                kept.append(row)
        if len(rows) < at_once:
            return Page(kept, None)
        after = cursor(rows[-1])
        scanned += len(rows)
        if scanned >= SCANNED and (sees is None or await sees(rows[-1])):
            return Page(kept, after)
        await asyncio.sleep(0)


def slice_rows(rows: Sequence[Row], cursor: Callable[[Row], str], query: Paged) -> Page[Row]:
    """The page that ``query`` asks for, of rows that are all in memory, in order. An unknown cursor means the beginning."""
    after, limit = query.after, query.limit
    begin = next((place + 1 for place, row in enumerate(rows) if cursor(row) == after), 0) if after is not None else 0
    taken = rows[begin : begin + limit]
    return Page(taken, cursor(taken[-1]) if begin + limit < len(rows) else None)
