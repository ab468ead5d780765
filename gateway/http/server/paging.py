"""Pages over the stores: filters that the stores do not know, with bounded work for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")

AT_ONCE = 250
"""Rows read between two turns of the event loop: calls of agents wait for no list."""

SCANNED = 5000
"""The most rows that one page reads; then the page ends early, with a cursor."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, ascending, and the cursor of the next page; ``None`` if there are no more."""

    rows: Sequence[Row]
    next: str | None

    def json(self, items: Sequence[object]) -> dict[str, object]:
        """The page as the API shows it, with its rows as ``items``."""
        return {"items": items, "next": self.next}


async def collect(
    fetch: Callable[[str | None, int], Awaitable[Sequence[Row]]],
    cursor: Callable[[Row], str],
    keep: Callable[[Row], Awaitable[bool]] | None = None,
    *,
    after: str | None,
    limit: int,
) -> Page[Row]:
    """The first ``limit`` rows after a cursor that are to be kept; fewer, with a cursor, where too many had to be passed over."""
    kept: list[Row] = []
    at_once = min(limit + 1, AT_ONCE)
    scanned = 0
    while True:
        rows = await fetch(after, at_once)
        for row in rows:
            if keep is None or await keep(row):
                if len(kept) == limit:
                    return Page(kept, cursor(kept[-1]))
                kept.append(row)
        if len(rows) < at_once:
            return Page(kept, None)
        after = cursor(rows[-1])
        scanned += len(rows)
        if scanned >= SCANNED:
            return Page(kept, after)
        await asyncio.sleep(0)


def within(rows: Sequence[Row], cursor: Callable[[Row], str], *, after: str | None, limit: int) -> Page[Row]:
    """A page of rows that are all in hand, in order. An unknown cursor is the beginning."""
    begin = next((place + 1 for place, row in enumerate(rows) if cursor(row) == after), 0) if after is not None else 0
    taken = rows[begin : begin + limit]
    return Page(taken, cursor(taken[-1]) if begin + limit < len(rows) else None)
