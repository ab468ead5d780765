"""An open journal with everything that reads it: one process, one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.ports.clock import Clock
from gateway.stores.sqlite.database import Database
from gateway.stores.sqlite.log import history
from gateway.stores.sqlite.log.history import SqliteBlobs, SqliteHistory
from gateway.stores.sqlite.log.journal import Intake, PendingEntries, SqliteJournal
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
    _intake: Intake

    async def close(self) -> None:
        await self._intake.close()
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
    ahead, runs, keys = PendingEntries(), Runs(), KnownKeys(database.reader)
    intake = Intake(database.writer, database.stream, tip, ahead, keys, runs.refresh)
    return SqliteStore(
        journal=SqliteJournal(intake),
        history=SqliteHistory(database.reader, intake),
        writes=SqliteWrites(database.reader, database.stream, keys),
        sightings=SqliteSightings(database.reader, ahead),
        registry=SqliteRegistry(database.reader, runs, ahead),
        incidents=SqliteIncidents(database.reader),
        rollbacks=SqliteRollbacks(database.reader, database.stream),
        approvals=SqliteApprovals(database.reader),
        checkpoints=SqliteCheckpoints(database.reader, database.stream),
        blobs=SqliteBlobs(database.reader, intake),
        _database=database,
        _intake=intake,
    )
