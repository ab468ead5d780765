"""What the projection holds, read back: one class for each port. All of it is durable, but for steps and sightings."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from gateway.core.journal import projection
from gateway.model.approval import Approval
from gateway.model.checkpoint import Checkpoint
from gateway.model.effect import Key, Sighting, Write
from gateway.model.entry import Kind
from gateway.model.incident import Incident
from gateway.model.order import Order
from gateway.model.rollback import Rollback
from gateway.model.run import Run
from gateway.model.task import Task
from gateway.ports.approvals import ApprovalRecords
from gateway.ports.checkpoints import CheckpointRecords, Standing
from gateway.ports.projections import Registry, Sightings, Writes
from gateway.ports.rollback import RollbackRecords
from gateway.ports.triggers import Incidents
from gateway.stores.sqlite import rows
from gateway.stores.sqlite.database import READING
from gateway.stores.sqlite.log.journal import PendingEntries, Sight
from gateway.stores.sqlite.projection import KnownKeys


class SqliteWrites:
    """A write's row is there when its append or intend has returned."""

    def __init__(self, reader: sqlite3.Connection, stream: str, keys: KnownKeys) -> None:
        self._reader = reader
        self._keys = keys
        self._stream = stream

    async def latest(self, tenant: str, workflow_id: str, key_digest: str) -> Write | None:
        if not self._keys.maybe(tenant, workflow_id, key_digest):
            return None
        return self._one("latest_write", tenant, workflow_id, key_digest)

    async def of_run(self, run_id: str) -> Sequence[Write]:
        return self._all("writes_of_run", run_id)

    async def rewritten(self, workflow_id: str, target_object: str, since: int) -> bool:
        return self._reader.execute(READING["rewritten"], (workflow_id, target_object, since)).fetchone() is not None

    async def unsettled(self) -> Sequence[Write]:
        return self._all("unsettled_writes")

    async def by_wire_key(self, wire_key: str) -> Write | None:
        return self._one("write_by_wire_key", wire_key)

    def _one(self, query: str, *arguments: str) -> Write | None:
        row = self._reader.execute(READING[query], arguments).fetchone()
        return None if row is None else rows.write(row, self._stream)

    def _all(self, query: str, *arguments: str) -> list[Write]:
        return [rows.write(row, self._stream) for row in self._reader.execute(READING[query], arguments).fetchall()]


if TYPE_CHECKING:
    _port_writes: type[Writes] = SqliteWrites


class SqliteSightings:
    """A sighting counts as soon as its entry was posted."""

    def __init__(self, reader: sqlite3.Connection, ahead: PendingEntries) -> None:
        self._reader = reader
        self._ahead = ahead

    async def by_run(self, run_id: str, target_object: str) -> Sighting | None:
        return self._ahead.sighting((f"run:{run_id}", target_object), self._durable)

    async def by_workflow(self, workflow_id: str, target_object: str) -> Sighting | None:
        return self._ahead.sighting((f"workflow:{workflow_id}", target_object), self._durable)

    def _durable(self, sight: Sight) -> Sighting | None:
        row = self._reader.execute(READING["sighting"], sight).fetchone()
        return None if row is None else Sighting(*row)


if TYPE_CHECKING:
    _port_sightings: type[Sightings] = SqliteSightings


class Runs:
    """Runs in memory: each call asks for one. ``refresh`` is called for every change before anyone hears of it."""

    def __init__(self, *, bound: int = 20_000) -> None:
        self._bound = bound
        self._kept: OrderedDict[str, Run] = OrderedDict()

    def get(self, run_id: str) -> Run | None:
        run = self._kept.get(run_id)
        if run is not None:
            self._kept.move_to_end(run_id)
        return run

    def keep(self, run: Run) -> None:
        self._kept[run.run_id] = run
        self._kept.move_to_end(run.run_id)
        if len(self._kept) > self._bound:
            self._kept.popitem(last=False)

    def refresh(self, changed: Mapping[str, Run]) -> None:
        for run in changed.values():
            self.keep(run)


class SqliteRegistry:
    """The fold of ``run``, ``order`` and ``task`` entries, and of all that is counted."""

    def __init__(self, reader: sqlite3.Connection, runs: Runs, ahead: PendingEntries) -> None:
        self._reader = reader
        self._runs = runs
        self._ahead = ahead

    async def run(self, run_id: str) -> Run | None:
        run = self._runs.get(run_id)
        if run is None:
            row = self._reader.execute(READING["run"], (run_id,)).fetchone()
            if row is None:
                return None
            run = rows.run(row)
            self._runs.keep(run)
        return run

    async def runs(
        self, *, tenant: str | None = None, agent: str | None = None, parent: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[Run]:
        wanted = {"tenant": tenant, "agent": agent, "parent": parent, "after": after or "", "limit": limit}
        return [rows.run(row) for row in self._reader.execute(READING["runs"], wanted).fetchall()]

    async def orders(self) -> Sequence[Order]:
        return [rows.order(row) for row in self._reader.execute(READING["orders"]).fetchall()]

    async def task(self, task_id: str) -> Task | None:
        row = self._reader.execute(READING["task"], (task_id,)).fetchone()
        return None if row is None else rows.task(row)

    async def tasks(self, *, run: str | None = None, after: str | None = None, limit: int = 100) -> Sequence[Task]:
        wanted = {"run": run, "after": after or "", "limit": limit}
        return [rows.task(row) for row in self._reader.execute(READING["tasks"], wanted).fetchall()]

    async def counters(self, scope: str) -> Mapping[str, int]:
        """Durable, with the steps that were taken since: two reads in a row cannot both be the last step."""
        found = self._reader.execute(READING["counters"], (scope,)).fetchall()
        used = {name: count for _, name, count in found if name is not None}
        ahead = self._ahead.steps(scope, above=found[0][0])
        if ahead:
            used[projection.STEPS] = used.get(projection.STEPS, 0) + ahead
        return used


if TYPE_CHECKING:
    _port_registry: type[Registry] = SqliteRegistry


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
