"""How a table of texts fits a terminal: what is shortened, wrapped or left out, and in which order. Nothing here prints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

READABLE, NARROWEST = 30, 15
"""Widths of a column of several words: how wide it should be at least, and how narrow it may become before each row is printed alone."""

GAP = 2
"""Blanks between two columns."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z")
_ID = re.compile(r"\S*[a-z]_[0-9A-Z]{20,}\S*")
"""A word with an id of the gateway in it. Nobody can copy an id that is broken."""

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A table for a terminal. ``least`` is the width that each column needs; ``wraps`` says which may be broken between words."""

    headings: Sequence[str]
    rows: Rows
    least: Sequence[int]
    wraps: Sequence[bool]
    left_out: Sequence[str] = ()


def fit(headings: Sequence[str], rows: Rows, optional: Sequence[str], width: int) -> Fitted | None:
    """The table within ``width`` columns, or ``None`` if it cannot be one.

    What does not fit is shortened step by step: fractions of seconds go first, then columns without a value, then the optional ones,
    then the widths of texts.
    """
    found = _measured(headings, rows, READABLE)
    if _fits(found, width):
        return found
    rows = [[_TIME.sub(r"\1Z", text) for text in row] for row in rows]
    empty = [name for place, name in enumerate(headings) if rows and all(row[place] == "-" for row in rows)]
    missing: list[str] = []
    for name in (None, *empty, *(one for one in optional if one in headings and one not in empty)):
        missing += [] if name is None else [name]
        kept = [place for place, one in enumerate(headings) if one not in missing]
        narrow = [headings[place] for place in kept], [[row[place] for place in kept] for row in rows]
        left_out = [one for one in missing if one not in empty]
        if _fits(found := _measured(*narrow, READABLE, left_out), width):
            return found
    return found if _fits(found := _measured(*narrow, NARROWEST, left_out), width) else None


def drawn(fitted: Fitted) -> Table:
    """The table for a terminal."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for heading, least, wraps in zip(fitted.headings, fitted.least, fitted.wraps, strict=True):
        made.add_column(heading, overflow="fold", no_wrap=not wraps, min_width=least)
    for row in fitted.rows:
        made.add_row(*map(Text, row))
    return made


def one_by_one(headings: Sequence[str], rows: Rows) -> Iterator[str]:
    """Each row as lines of its own, without empty cells."""
    wide = max(map(len, headings))
    for number, row in enumerate(rows):
        if number:
            yield ""
        yield from (f"{heading.lower().ljust(wide)}  {text}" for heading, text in zip(headings, row, strict=True) if text != "-")


def plain(headings: Sequence[str], rows: Rows) -> Iterator[str]:
    """Columns for a pipe: as wide as they need."""
    widths = [max(map(len, texts)) for texts in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _measured(headings: Sequence[str], rows: Rows, text: int, left_out: Sequence[str] = ()) -> Fitted:
    """A table whose columns of several words need at least ``text``, and no less than the longest id in them."""
    least: list[int] = []
    wraps: list[bool] = []
    for place, heading in enumerate(headings):
        cells = [row[place] for row in rows]
        widest, worded = max(map(len, (heading, *cells))), any(" " in one for one in cells)
        ids = max((len(one) for cell in cells for one in _ID.findall(cell)), default=0)
        least.append(max(min(widest, text), ids, len(heading)) if worded else widest)
        wraps.append(worded)
    return Fitted(headings, rows, least, wraps, tuple(left_out))


def _fits(found: Fitted, width: int) -> bool:
    return sum(found.least) + GAP * (len(found.headings) - 1) <= width
