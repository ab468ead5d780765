"""The projections rebuilt from the entries alone: into a scratch database to compare them, or in place to repair them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct

from gateway import errors
from gateway.core.codec import entry as codec
from gateway.core.codec.record import with_tool
from gateway.core.journal import projection
from gateway.core.journal.chain import Verifier
from gateway.model.entry import Position
from gateway.stores.sqlite import database
from gateway.stores.sqlite.database import FILE, READING, WRITING
from gateway.stores.sqlite.projection import Tables

PROJECTED = (
    "writes",
    "named_keys",
    "sightings",
    "counters",
    "members",
    "runs",
    "orders",
    "tasks",
    "incidents",
    "rollbacks",
    "approvals",
    "checkpoints",
)
_AT_ONCE = 512

Progress = Callable[[int], None]
"""Takes the seq up to which the entries were projected."""


class TableFinding(Struct, frozen=True):
    """A projection that differs from what its entries give; ``key`` is of the first row that does, as ``column=value``."""

    table: str
    key: str
    problem: str

    def __str__(self) -> str:
        return f"{self.table} ({self.key}): {self.problem}"


def project(source: sqlite3.Connection, target: sqlite3.Connection, stream: str, progress: Progress) -> int:
    """Project all entries of ``source`` into the empty tables of ``target``; returns how many.

    Raises:
        Misconfigured: they do not form a chain, so tables that follow from them would prove nothing.
    """
    tables, verifier, last, count = Tables(target), Verifier(), 0, 0
    while rows := source.execute(WRITING["all_entries"], (last, _AT_ONCE)).fetchall():
        for seq, line in rows:
            if (broken := verifier.feed(line)) is not None:
                raise errors.Misconfigured([f"{FILE}: entry {broken}; check it with 'killcord journal verify'"])
            tables.apply(projection.changes(codec.decode(line), Position(stream, seq)), seq)
        tables.flush()
        last, count = rows[-1][0], count + len(rows)
        progress(last)
    return count


def differences(source: sqlite3.Connection, progress: Progress = lambda _: None) -> list[TableFinding]:
    """What differs between the stored tables and a projection of the stored entries, table by table.

    The scratch database is a temporary file that SQLite removes. ``source`` should be in a read transaction while a gateway writes.

    Raises:
        Misconfigured: an entry cannot be read.
    """
    (stream,) = source.execute(READING["stream"]).fetchone()
    with closing(sqlite3.connect("", isolation_level=None)) as scratch:
        scratch.execute("PRAGMA journal_mode = OFF")
        scratch.execute("PRAGMA synchronous = OFF")
        for (statement,) in source.execute(_SCHEMA, (orjson.dumps(PROJECTED).decode(),)).fetchall():
            scratch.execute(statement)
        scratch.execute("BEGIN")
        try:
            project(source, scratch, str(stream), progress)
        except (ValueError, KeyError, TypeError) as broken:
            raise errors.Misconfigured([f"{FILE}: an entry cannot be read ({broken}); check it with 'killcord journal verify'"]) from broken
        found = [one for table in PROJECTED if (one := _compare(table, source, scratch)) is not None]
        misfiled = source.execute(READING["misfiled_entry"]).fetchall()
        return [
            *found,
            *(TableFinding("entries", f"seq={seq}", "its kind, run or tenant differs from that in its line") for (seq,) in misfiled),
        ]


_SCHEMA = """
SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name IN (SELECT value FROM json_each(?)) ORDER BY type = 'index', name
"""


def _compare(table: str, stored: sqlite3.Connection, projected: sqlite3.Connection) -> TableFinding | None:
    described = projected.execute(f"PRAGMA table_info({table})").fetchall()
    keys = [row[1] for row in sorted(described, key=lambda row: row[5]) if row[5]]
    places = [next(place for place, row in enumerate(described) if row[1] == key) for key in keys]
    query = f"SELECT * FROM {table} ORDER BY {', '.join(keys)}"  # noqa: S608 - names of our own
    for left, right in zip_longest(_rows(stored, query), _rows(projected, query)):
        if left == right:
            continue
        at_left, at_right = (None if row is None else [row[place] for place in places] for row in (left, right))
        if at_left == at_right:
            columns = ", ".join(row[1] for place, row in enumerate(described) if left[place] != right[place])
            return TableFinding(table, _named(keys, at_left), f"{columns} differ from what its entries give")
        if at_right is None or (at_left is not None and at_left < at_right):
            return TableFinding(table, _named(keys, at_left), "a row that no entry gives")
        return TableFinding(table, _named(keys, at_right), "the row that its entries give is missing")
    return None


def _rows(connection: sqlite3.Connection, query: str) -> Iterator[Any]:
    for row in connection.execute(query):
        yield tuple(map(_cell, row))


def _cell(value: object) -> object:
    """A document's members stand in no order, and one of an earlier version may name a tool elsewhere."""
    if not isinstance(value, bytes):
        return value
    try:
        return with_tool(orjson.loads(value))
    except (ValueError, TypeError):
        return value


def _named(keys: list[str], values: list[Any] | None) -> str:
    return ", ".join(f"{key}={value}" for key, value in zip(keys, values or (), strict=False))


def reproject(opened: database.Database, progress: Progress = lambda _: None) -> int:
    """Empty the projections and project every entry again, in the open transaction of the writer's connection; returns how many. What an
    entry is found by is taken from its line again.
    """
    opened.writer.execute(WRITING["refile_entries"])
    for table in PROJECTED:
        opened.writer.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
    return project(opened.writer, opened.writer, opened.stream, progress)


def rebuild(data_dir: Path, progress: Progress = lambda _: None) -> int:
    """Rebuild the projections, in one transaction; returns how many entries gave them. No gateway may have the folder.

    Raises:
        Misconfigured: a gateway has the folder, or there is no journal in it.
    """
    if not (data_dir / FILE).exists():
        raise errors.Misconfigured([f"{data_dir}: there is no {FILE} to rebuild from; name the gateway's data_dir"])
    opened = database.Database(data_dir, stream="")
    try:
        opened.writer.execute("BEGIN IMMEDIATE")
        count = reproject(opened, progress)
        opened.writer.execute("COMMIT")
        return count
    finally:
        opened.close()
