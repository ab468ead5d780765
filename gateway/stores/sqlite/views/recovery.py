"""ports.sentinel.Incidents: what was detected about runs, and what was done.

ports.approvals.ApprovalRecords: what people were asked, and what they said.

ports.checkpoints: the checkpoints that were taken, and what stands from before one.

ports.rollback.RollbackRecords: rollbacks, and what was tried for them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from gateway.model.approval import Approval
from gateway.model.checkpoint import Checkpoint
from gateway.model.effect import Key, Write
from gateway.model.entry import Kind
from gateway.model.incident import Incident
from gateway.model.rollback import Rollback
from gateway.ports.approvals import ApprovalRecords
from gateway.ports.checkpoints import CheckpointRecords, Standing
from gateway.ports.rollback import RollbackRecords
from gateway.ports.triggers import Incidents
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
    _port_incidents: type[Incidents] = SqliteIncidents


class SqliteApprovals:
    """Durable ones only."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader

    async def approval(self, approval_id: str) -> Approval | None:
        row = self._reader.execute(READING["approval"], (approval_id,)).fetchone()
        return None if row is None else rows.approval(row)

    async def approvals(self, *, run: str | None = None, after: str | None = None, limit: int = 100) -> Sequence[Approval]:
        wanted = {"run": run, "after": after or "", "limit": limit}
        return [rows.approval(row) for row in self._reader.execute(READING["approvals"], wanted).fetchall()]

    async def newest_of(self, run_id: str, generation: int, action: str, content: str) -> Approval | None:
        row = self._reader.execute(READING["approval_of_call"], (run_id, generation, action, content)).fetchone()
        return None if row is None else rows.approval(row)


if TYPE_CHECKING:
    _port_approvals: type[ApprovalRecords] = SqliteApprovals


class SqliteCheckpoints:
    """Durable ones only."""

    def __init__(self, reader: sqlite3.Connection, stream: str) -> None:
        self._reader = reader
        self._stream = stream

    async def checkpoint(self, checkpoint_id: str) -> Checkpoint | None:
        row = self._reader.execute(READING["checkpoint"], (checkpoint_id,)).fetchone()
        return None if row is None else rows.checkpoint(row)

    async def checkpoints(self, run: str, *, after: str | None = None, limit: int = 100) -> Sequence[Checkpoint]:
        wanted = {"run": run, "after": after or "", "limit": limit}
        return [rows.checkpoint(row) for row in self._reader.execute(READING["checkpoints"], wanted).fetchall()]

    async def standing(self, key: Key, until: int) -> Write | None:
        wanted = {"tenant": key.tenant, "workflow": key.workflow_id, "key": key.digest, "until": until}
        row = self._reader.execute(READING["standing_write"], wanted).fetchone()
        return None if row is None else rows.write(row, self._stream)


if TYPE_CHECKING:
    _records: type[CheckpointRecords] = SqliteCheckpoints
    _standing: type[Standing] = SqliteCheckpoints


_PAGE = 1000


class SqliteRollbacks:
    """Durable ones only."""

    def __init__(self, reader: sqlite3.Connection, stream: str) -> None:
        self._reader = reader
        self._stream = stream

    async def rollback(self, rollback_id: str) -> Rollback | None:
        row = self._reader.execute(READING["rollback"], (rollback_id,)).fetchone()
        return None if row is None else rows.rollback(row)

    async def rollbacks(self, *, run: str | None = None, after: str | None = None, limit: int = 100) -> Sequence[Rollback]:
        wanted = {"run": run, "after": after or "", "limit": limit}
        return [rows.rollback(row) for row in self._reader.execute(READING["rollbacks"], wanted).fetchall()]

    async def unfinished(self) -> Sequence[Rollback]:
        found: list[Rollback] = []
        after: str | None = None
        while page := await self.rollbacks(after=after, limit=_PAGE):
            found += [one for one in page if not one.status.ended]
            after = page[-1].rollback_id
        return found

    async def compensations(self, rollback_id: str, node_id: str | None = None) -> Sequence[Write]:
        wanted = {"rollback": rollback_id, "node": node_id}
        return [rows.write(row, self._stream) for row in self._reader.execute(READING["compensations"], wanted).fetchall()]

    async def marks(self, rollback_id: str, run_id: str) -> Mapping[str, Mapping[str, object]]:
        found: dict[str, Mapping[str, object]] = {}
        wanted = {"run": run_id, "kind": Kind.ROLLBACK, "tenant": None, "limit": -1, "after": 0}
        for (line,) in self._reader.execute(READING["entries_of_run"], wanted):
            entry = orjson.loads(line)
            if entry.get("rollback_id") == rollback_id and "node" in entry:
                found[entry["node"]] = entry
        return found


if TYPE_CHECKING:
    _port_rollbacks: type[RollbackRecords] = SqliteRollbacks
