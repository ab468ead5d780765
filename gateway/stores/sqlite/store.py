"""An open journal with everything that reads it: one process, one folder."""

from __future__ import annotations

from pathlib import Path

from gateway.ports.clock import Clock
from gateway.stores.sqlite import views
from gateway.stores.sqlite.database import Database
from gateway.stores.sqlite.log import history
from gateway.stores.sqlite.log.history import SqliteBlobs, SqliteHistory
from gateway.stores.sqlite.log.journal import PendingEntries, SqliteJournal
from gateway.stores.sqlite.log.writer import Tip
from gateway.stores.sqlite.projection import KnownKeys


class SqliteStore:
    """One object for each port; :meth:`close` writes what was taken and gives the folder free."""

    def __init__(self, database: Database, tip: Tip) -> None:
        reader, stream = database.reader, database.stream
        pending, runs, keys = PendingEntries(), views.RunCache(), KnownKeys(reader)
        self.journal = SqliteJournal(database, tip, pending, keys, runs.refresh)
        self.history = SqliteHistory(reader, self.journal)
        self.writes = views.SqliteWrites(reader, stream, keys)
        self.sightings = views.SqliteSightings(reader, pending)
        self.registry = views.SqliteRegistry(reader, runs, pending)
        self.incidents = views.SqliteIncidents(reader)
        self.rollbacks = views.SqliteRollbacks(reader, stream)
        self.approvals = views.SqliteApprovals(reader)
        self.checkpoints = views.SqliteCheckpoints(reader)
        self.blobs = SqliteBlobs(reader, self.journal.perform)
        self._database = database

    async def close(self) -> None:
        await self.journal.close()
        self._database.close()


async def open_store(data_dir: Path, clock: Clock) -> SqliteStore:
    """Open the journal in a folder, or make it; its end is checked first.

    Raises:
        Misconfigured: another process has the folder, the file cannot be used, or its newest entries do not link.
    """
    database = Database(data_dir, stream=clock.mint("st"))
    try:
        return SqliteStore(database, history.newest(database))
    except BaseException:
        database.close()
        raise
