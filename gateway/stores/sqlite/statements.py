"""The named queries of the .sql files beside this module."""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

Row = tuple[object, ...]

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_CHUNKS = (128, 32, 8, 1)
"""How many rows one statement takes: few sizes, so that each stays prepared."""


def named(file: str) -> Mapping[str, str]:
    """The queries of one file, by name."""
    text = resources.files(__package__).joinpath("queries", file).read_text()
    parts = _NAME.split(text)[1:]
    return {name: query.strip() for name, query in zip(parts[::2], parts[1::2], strict=True)}


WRITING = named("writing.sql")
READING = named("reading.sql")


def migrations() -> list[tuple[int, str]]:
    """Every migration with its number, ascending."""
    files = resources.files(__package__).joinpath("migrations").iterdir()
    return sorted((int(file.name[:4]), file.read_text()) for file in files if file.name.endswith(".sql"))


def put(connection: sqlite3.Connection, name: str, rows: Sequence[Row]) -> None:
    """Run a query of many rows. One step for up to 128 of them: each step gives the interpreter lock away and has to win it back."""
    for chunk in _chunks(rows):
        connection.execute(_spread(name, len(chunk), len(chunk[0])), _flat(chunk))


def pick(connection: sqlite3.Connection, name: str, rows: Sequence[Row]) -> list[Row]:
    """What a query over many rows finds."""
    found: list[Row] = []
    for chunk in _chunks(rows):
        found += connection.execute(_spread(name, len(chunk), len(chunk[0])), _flat(chunk)).fetchall()
    return found


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    start = 0
    for size in _CHUNKS:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


def _flat(rows: Sequence[Row]) -> list[object]:
    return [value for row in rows for value in row]


@functools.cache
def _spread(name: str, rows: int, width: int) -> str:
    return WRITING[name].replace(":rows", ", ".join(["(" + ", ".join("?" * width) + ")"] * rows))
