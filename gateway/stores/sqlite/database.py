"""One SQLite file under a data folder: its lock, connections, migrations and stream, and the named queries of the .sql files."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec import structs

from gateway import errors
from gateway.ports.journal import Query

FILE = "journal.sqlite"


def file_of(source: Path) -> Path:
    """The journal's file in a folder; a file is one itself, whatever its name."""
    return source if source.is_file() else source / FILE


_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit returns only after fsync: what I1 rests on
    "PRAGMA foreign_keys = OFF",
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA busy_timeout = 2000",
)


class Database:
    """An open journal file that this process alone may write.

    ``writer`` belongs to the writer thread once that runs; ``reader`` cannot write and belongs to the event loop's thread.

    Raises:
        Misconfigured: another process has the folder, or the file cannot be used.
    """

    def __init__(self, data_dir: Path, *, stream: str) -> None:
        """``stream`` is the id a new journal gets; one that exists keeps its own."""
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = data_dir / FILE
        self._lock = _lock(data_dir)
        try:
            _private(self.path)
            self.writer = _connect(str(self.path))
            _migrate(self.writer)
            self.stream = _stream(self.writer, stream)
            self.reader = _connect(f"file:{self.path.absolute().as_posix().replace('?', '%3f').replace('#', '%23')}?mode=ro", uri=True)
        except (sqlite3.Error, OSError, errors.Misconfigured) as broken:
            os.close(self._lock)
            if isinstance(broken, errors.Misconfigured):
                raise
            problem = f"{self.path}: the journal cannot be opened ({broken}); restore it or name another data_dir"
            raise errors.Misconfigured([problem]) from broken

    def close(self) -> None:
        """Close both connections and give the folder free."""
        self.reader.close()
        self.writer.close()
        os.close(self._lock)


def _lock(data_dir: Path) -> int:
    handle = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as taken:
        os.close(handle)
        problem = f"{data_dir}: another killcord process uses this data_dir; stop it, or use another data_dir"
        raise errors.Misconfigured([problem]) from taken
    return handle


def _private(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    os.chmod(path, 0o600)  # SQLite gives the -wal and -shm files the mode of this one


def _connect(name: str, *, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(name, uri=uri, isolation_level=None, check_same_thread=False, cached_statements=256)
    for pragma in _PRAGMAS[1 if uri else 0 :]:
        connection.execute(pragma)
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    (done,) = connection.execute("PRAGMA user_version").fetchone()
    known = migrations()
    if done > known[-1][0]:
        raise errors.Misconfigured(
            [f"journal.sqlite belongs to a newer killcord (schema {done}, this one knows {known[-1][0]}); upgrade killcord"]
        )
    for number, script in known:
        if number > done:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def _stream(connection: sqlite3.Connection, new: str) -> str:
    connection.execute("INSERT INTO meta (name, value) VALUES ('stream', ?) ON CONFLICT DO NOTHING", (new,))
    (stream,) = connection.execute(READING["stream"]).fetchone()
    return str(stream)


Row = tuple[Any, ...]

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_FEW = 16
"""Rows of one statement: it takes any number up to this one."""
_MANY = 128
"""Rows of one statement where there are more: then it takes this many, or ``_FEW``, so that every statement stays prepared."""


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


def entries(reader: sqlite3.Connection, query: Query, *, after: int = 0) -> Iterator[bytes]:
    """The lines of a query's entries above the seq ``after``, ascending, by the index that holds the fewest."""
    narrowest = "entries_of_run" if query.run else "entries_of_tenant" if query.tenant else "entries_of_kind" if query.kind else "entries"
    wanted = structs.asdict(query) | {"after": after, "limit": -1 if query.limit is None else query.limit}
    return (line for (line,) in reader.execute(READING[narrowest], wanted))


def put(connection: sqlite3.Connection, name: str, rows: Sequence[Row]) -> None:
    """Run a query of many rows. One step for as many of them as can be: each gives the interpreter lock away and has to win it back."""
    for chunk in _chunks(rows):
        connection.execute(_spread(name, len(chunk), len(chunk[0])), _flat(chunk))


def pick(connection: sqlite3.Connection, name: str, rows: Sequence[Row]) -> list[Row]:
    """What a query over many rows finds."""
    found: list[Row] = []
    for chunk in _chunks(rows):
        found += connection.execute(_spread(name, len(chunk), len(chunk[0])), _flat(chunk)).fetchall()
    return found


def _chunks(rows: Sequence[Row]) -> Sequence[Sequence[Row]]:
    if len(rows) <= _FEW:
        return (rows,) if rows else ()
    found, start = [], 0
    while start < len(rows):
        size = _MANY if len(rows) - start >= _MANY else _FEW
        found.append(rows[start : start + size])
        start += size
    return found


def _flat(rows: Sequence[Row]) -> Sequence[object]:
    return rows[0] if len(rows) == 1 else tuple(chain.from_iterable(rows))


@functools.cache
def _spread(name: str, rows: int, width: int) -> str:
    return WRITING[name].replace(":rows", ", ".join(["(" + ", ".join("?" * width) + ")"] * rows))
