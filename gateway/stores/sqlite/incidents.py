"""ports.sentinel.Incidents: what was detected about runs, and what was done."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.model.incident import Incident
from gateway.ports.sentinel import Incidents
from gateway.stores.sqlite import rows
from gateway.stores.sqlite.statements import READING


class SqliteIncidents:
    """Durable ones only."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader

    async def incident(self, incident_id: str) -> Incident | None:
        row = self._reader.execute(READING["incident"], (incident_id,)).fetchone()
        return None if row is None else rows.incident(row)

    async def incidents(self, *, run: str | None = None, after: str | None = None, limit: int = 100) -> Sequence[Incident]:
        wanted = {"run": run, "after": after or "", "limit": limit}
        return [rows.incident(row) for row in self._reader.execute(READING["incidents"], wanted).fetchall()]

    async def incident_of(self, run_id: str, generation: int, cause: str) -> Incident | None:
        row = self._reader.execute(READING["incident_of"], (run_id, generation, cause)).fetchone()
        return None if row is None else rows.incident(row)


if TYPE_CHECKING:
    _port: type[Incidents] = SqliteIncidents
