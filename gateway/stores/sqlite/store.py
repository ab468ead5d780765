"""A journal opened by the one process that writes it, with everything that reads it; or opened to be read alone.

What only reads takes no lock and cannot change a byte, also while a gateway writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gateway import errors
from gateway.core.codec import entry as codec
from gateway.core.journal import chain
from gateway.core.journal.heads import Mismatches
from gateway.model.entries import Entry, RunEntry
from gateway.model.entry import Head, Kind
from gateway.model.run import Run
from gateway.ports.clock import Clock
from gateway.ports.journal import Query
from gateway.ports.projections import Registry
from gateway.ports.vault import Blobs
from gateway.stores.sqlite import database, views
from gateway.stores.sqlite.database import FILE, READING, Database, file_of
from gateway.stores.sqlite.known_names import SqliteKnownNames
from gateway.stores.sqlite.log import history, opening
from gateway.stores.sqlite.log.history import SqliteBlobs, SqliteHistory
from gateway.stores.sqlite.log.journal import PendingEntries, SqliteJournal
from gateway.stores.sqlite.log.opening import Expected
from gateway.stores.sqlite.log.writer import Tip
from gateway.stores.sqlite.open_work import SqliteOpenWork
from gateway.stores.sqlite.projection import KnownKeys
from gateway.stores.sqlite.state_digest import StateDigest


class SqliteStore:
    """One object for each port; :meth:`close` writes what was taken and gives the folder free."""

    def __init__(self, file: Database, tip: Tip, state: StateDigest, mismatches: Mismatches) -> None:
        reader, stream = file.reader, file.stream
        pending, runs, keys = PendingEntries(), views.RunCache(), KnownKeys(reader)
        pending.undecided.update(reader.execute(database.READING["undecided_workflows"]).fetchall())
        self.journal = SqliteJournal(file, tip, state, pending, keys, runs.refresh)
        self.history = SqliteHistory(reader, self.journal)
        self.writes = views.SqliteWrites(reader, stream, keys, pending)
        self.sightings = views.SqliteSightings(reader, pending)
        self.registry = views.SqliteRegistry(reader, runs, pending)
        self.names = SqliteKnownNames(reader)
        self.open_work = SqliteOpenWork(reader)
        self.incidents = views.SqliteIncidents(reader)
        self.rollbacks = views.SqliteRollbacks(reader, stream)
        self.approvals = views.SqliteApprovals(reader)
        self.checkpoints = views.SqliteCheckpoints(reader)
        self.blobs = SqliteBlobs(reader, self.journal.perform)
        self.mismatches = mismatches
        self._database = file

    async def close(self) -> None:
        await self.journal.close()
        self._database.close()


async def open_store(data_dir: Path, clock: Clock, expected: Expected) -> SqliteStore:
    """Open the journal in a folder, or make it; its end, its heads and its projections are checked first.

    Raises:
        Misconfigured: another process has the folder, the file cannot be used, its newest entries do not link, a head that this node signed
            does not match, or a projection differs.
    """
    file = Database(data_dir, stream=clock.mint("st"))
    try:
        tip = history.newest(file)
        mismatches = opening.check_heads(file, tip, expected)
        return SqliteStore(file, tip, opening.check_tables(file, tip, expected), mismatches)
    except BaseException:
        file.close()
        raise


PAGE = 2_000


@dataclass(frozen=True, slots=True)
class Reading:
    """``registry`` and ``blobs`` as they are on disk now."""

    registry: Registry
    blobs: Blobs
    _connection: sqlite3.Connection

    @property
    def newest(self) -> int:
        """The newest entry's seq, 0 if there is none."""
        (seq,) = self._connection.execute(READING["newest_seq"]).fetchone()
        return seq or 0

    @property
    def stream(self) -> str:
        (stream,) = self._connection.execute(READING["stream"]).fetchone()
        return str(stream)

    def run_of(self, run_id: str, generation: int) -> Run | None:
        """A run as it was in one of its generations, at the end of it; a resume makes it narrower."""
        entries = map(codec.decode, database.entries(self._connection, Query(run=run_id, kind=Kind.RUN, limit=None)))
        found = [one.run for one in entries if isinstance(one, RunEntry) and one.run.generation == generation]
        return found[-1] if found else None

    def decided(self, *, after: int, until: int) -> Iterator[Entry]:
        """Entries of calls that policy may have decided, oldest first."""
        while after < until:
            rows = self._connection.execute(READING["entries_of_calls"], {"after": after, "until": until, "limit": PAGE}).fetchall()
            yield from (codec.decode(line) for _, line in rows)
            if not rows:
                return
            after = rows[-1][0]

    def lines(self) -> Iterator[bytes]:
        """Every entry as it is stored, then the signed heads, as an export holds them.

        Raises:
            Misconfigured: the file is broken.
        """
        try:
            heads = [chain.head_line(Head(*row)) for row in self._connection.execute(READING["heads"]).fetchall()]
            for line in database.entries(self._connection, Query(limit=None)):
                yield line if isinstance(line, bytes) else str(line).encode()
        except sqlite3.Error as broken:
            raise errors.Misconfigured([f"{FILE}: the journal cannot be read ({broken})"]) from broken
        yield from heads


async def _refuse(_: object) -> NoReturn:
    raise errors.JournalUnavailable("The journal is open read-only.")


@contextmanager
def reading(source: Path) -> Iterator[Reading]:
    """Open a journal for reading: its folder, or its file, whatever its name.

    Raises:
        Misconfigured: there is none, or it cannot be read.
    """
    path = file_of(source)
    if not path.is_file():
        raise errors.Misconfigured([f"{path}: there is no journal; name the configuration of a gateway that has been started"])
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as broken:
        raise errors.Misconfigured([f"{path}: the journal cannot be read ({broken})"]) from broken
    try:
        yield Reading(views.SqliteRegistry(connection, views.RunCache(), PendingEntries()), SqliteBlobs(connection, _refuse), connection)
    finally:
        connection.close()
