"""An open journal with everything that reads it: one process, one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.ports.clock import Clock
from gateway.stores.sqlite.database import Database
from gateway.stores.sqlite.log import history
from gateway.stores.sqlite.log.history import SqliteBlobs, SqliteHistory
from gateway.stores.sqlite.log.journal import PendingEntries, SqliteJournal
from gateway.stores.sqlite.projection import KnownKeys
from gateway.stores.sqlite.views import (
    Runs,
    SqliteApprovals,
    SqliteCheckpoints,
    SqliteIncidents,
    SqliteRegistry,
    SqliteRollbacks,
    SqliteSightings,
    SqliteWrites,
)


@dataclass(frozen=True, slots=True)
class SqliteStore:
    """One object for each port; :meth:`close` writes what was taken and gives the folder free."""

    journal: SqliteJournal
    history: SqliteHistory
    writes: SqliteWrites
    sightings: SqliteSightings
    registry: SqliteRegistry
    incidents: SqliteIncidents
    rollbacks: SqliteRollbacks
    approvals: SqliteApprovals
    checkpoints: SqliteCheckpoints
    blobs: SqliteBlobs
    _database: Database

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
        tip = history.newest(database)
    except BaseException:
        database.close()
        raise
    reader, stream, pending, runs, keys = database.reader, database.stream, PendingEntries(), Runs(), KnownKeys(database.reader)
    journal = SqliteJournal(database, tip, pending, keys, runs.refresh)
    return SqliteStore(
        journal=journal,
        history=SqliteHistory(reader, journal),
        writes=SqliteWrites(reader, stream, keys),
        sightings=SqliteSightings(reader, pending),
        registry=SqliteRegistry(reader, runs, pending),
        incidents=SqliteIncidents(reader),
        rollbacks=SqliteRollbacks(reader, stream),
        approvals=SqliteApprovals(reader),
        checkpoints=SqliteCheckpoints(reader),
        blobs=SqliteBlobs(reader, journal),
        _database=database,
    )
