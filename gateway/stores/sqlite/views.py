"""What the projection holds, read back: one class for each port. All of it is durable, but for steps and sightings."""

from __future__ import annotations

import functools
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from gateway.core.codec import entry as codec
from gateway.core.journal import projection
from gateway.model.call import Target
from gateway.model.effect import Charge, Key, Sighting, Violation, Write
from gateway.model.entries import RollbackEntry
from gateway.model.review import Approval, Task
from gateway.model.rollback import Checkpoint, Rollback
from gateway.model.run import Order, Run
from gateway.model.trigger import Incident
from gateway.ports.projections import ApprovalRecords, CheckpointRecords, Incidents, Registry, Sightings, Writes
from gateway.ports.rollback import RollbackRecords
from gateway.stores.sqlite import rows
from gateway.stores.sqlite.database import READING, Row
from gateway.stores.sqlite.log.journal import PendingEntries, Sight
from gateway.stores.sqlite.projection import Counters, KnownKeys

T = TypeVar("T")


class View:
    """Reads of durable rows, by the named queries; ``read`` makes the model's value of a row."""

    def __init__(self, reader: sqlite3.Connection, stream: str = "") -> None:
        self._reader = reader
        self._write = functools.partial(rows.write, stream=stream)

    def _one(self, query: str, read: Callable[[Row], T], *arguments: object) -> T | None:
        row = self._reader.execute(READING[query], arguments).fetchone()
        return None if row is None else read(row)

    def _all(self, query: str, read: Callable[[Row], T], *arguments: object) -> list[T]:
        return [read(row) for row in self._reader.execute(READING[query], arguments).fetchall()]

    def _read(self, query: str, wanted: Mapping[str, object]) -> list[Row]:
        return self._reader.execute(READING[query], wanted).fetchall()

    def _page(self, query: str, read: Callable[[Row], T], after: str | None, limit: int | None, **wanted: str | None) -> list[T]:
        named = {"after": after or "", "limit": -1 if limit is None else limit, **wanted}
        return [read(row) for row in self._reader.execute(READING[query], named).fetchall()]


class SqliteWrites(View, Writes):
    """A write's row is there when its append or intend has returned."""

    def __init__(self, reader: sqlite3.Connection, stream: str, keys: KnownKeys, pending: PendingEntries) -> None:
        super().__init__(reader, stream)
        self._keys = keys
        self._pending = pending

    async def latest(self, tenant: str, workflow_id: str, key_digest: str) -> Write | None:
        if not self._keys.maybe(tenant, workflow_id, key_digest):
            return None
        return self._one("latest_write", self._write, tenant, workflow_id, key_digest)

    async def of_run(self, run_id: str) -> Sequence[Write]:
        return self._all("writes_of_run", self._write, run_id)

    async def later(self, workflow_id: str, target_object: str, since: int) -> Sequence[Write]:
        return self._all("later_writes", self._write, workflow_id, target_object, since)

    async def named(self, key: Key) -> Write | None:
        if key.own is None or not self._keys.maybe(key.tenant, key.workflow_id, key.own):
            return None
        found = self._one("named_write", self._write, key.tenant, key.workflow_id, key.own)
        answered = self._one("named_key", tuple, key.tenant, key.workflow_id, key.own)
        if answered is None or (found is not None and found.intent.seq > answered[2]):
            return found
        write = await self.by_wire_key(answered[0])
        return None if write is None else replace(write, key=replace(write.key, content=answered[1]))

    def may_have_undecided(self, tenant: str, workflow_id: str) -> bool:
        return (tenant, workflow_id) in self._pending.undecided

    async def undecided_equals(self, key: Key) -> Sequence[Write]:
        return self._all("undecided_equals", self._write, key.tenant, key.workflow_id, key.digest, key.same, key.content)

    async def others(self, write: Write) -> Sequence[Write]:
        return self._all("other_writes", self._write, write.target.object, write.wire_key, write.intent.seq)

    async def of_object(self, target: Target) -> Sequence[Write]:
        return self._all("writes_of_object", self._write, target.object)

    async def outdated(self, target: Target, version: str, until: int, run_id: str) -> bool:
        wanted = {
            "object": target.object, "type": target.type, "id": target.id, "version": version, "until": until, "run": run_id
        }  # fmt: skip
        return any(self._reader.execute(READING[query], wanted).fetchone() is not None for query in ("written_at", "read_at"))

    async def unsettled(self) -> Sequence[Write]:
        return self._all("unsettled_writes", self._write)

    async def by_wire_key(self, wire_key: str) -> Write | None:
        return self._one("write_by_wire_key", self._write, wire_key)

    async def standing(self, key: Key, until: int) -> Write | None:
        return self._one("standing_write", self._write, key.tenant, key.workflow_id, key.digest, until)


class SqliteSightings(Sightings):
    """A sighting counts as soon as its entry was posted."""

    def __init__(self, reader: sqlite3.Connection, pending: PendingEntries) -> None:
        self._reader = reader
        self._pending = pending

    async def by_run(self, run_id: str, target_object: str) -> Sighting | None:
        return self._pending.sighting((f"run:{run_id}", target_object), self._durable)

    async def by_workflow(self, workflow_id: str, target_object: str) -> Sighting | None:
        return self._pending.sighting((f"workflow:{workflow_id}", target_object), self._durable)

    def _durable(self, sight: Sight) -> Sighting | None:
        row = self._reader.execute(READING["sighting"], sight).fetchone()
        return None if row is None else Sighting(*row)


class RunCache:
    """Runs in memory: each call asks for one. ``refresh`` is called for every change before anybody else observes it."""

    def __init__(self, *, bound: int = 20_000) -> None:
        self._bound = bound
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def get(self, run_id: str) -> Run | None:
        run = self._runs.get(run_id)
        if run is not None:
            self._runs.move_to_end(run_id)
        return run

    def put(self, run: Run) -> None:
        self._runs[run.run_id] = run
        self._runs.move_to_end(run.run_id)
        if len(self._runs) > self._bound:
            self._runs.popitem(last=False)

    def refresh(self, changed: Mapping[str, Run]) -> None:
        for run in changed.values():
            self.put(run)


class SqliteRegistry(View, Registry):
    """The projection of ``run``, ``order`` and ``task`` entries, and of all that is counted."""

    def __init__(self, reader: sqlite3.Connection, runs: RunCache, pending: PendingEntries) -> None:
        super().__init__(reader)
        self._runs = runs
        self._pending = pending

    def latest(self, run_id: str) -> Run | None:
        run = self._runs.get(run_id)
        if run is None and (run := self._one("run", rows.run, run_id)) is not None:
            self._runs.put(run)
        return run

    async def run(self, run_id: str) -> Run | None:
        return self.latest(run_id)

    async def runs(
        self,
        *,
        tenant: str | None = None,
        agent: str | None = None,
        parent: str | None = None,
        after: str | None = None,
        limit: int | None = 100,
    ) -> Sequence[Run]:
        return self._page("runs", rows.run, after, limit, tenant=tenant, agent=agent, parent=parent)

    async def orders(self) -> Sequence[Order]:
        return self._all("orders", rows.ORDERS.value)

    async def task(self, task_id: str) -> Task | None:
        return self._one("task", rows.TASKS.value, task_id)

    async def tasks(self, *, run: str | None = None, after: str | None = None, limit: int | None = 100) -> Sequence[Task]:
        return self._page("tasks", rows.TASKS.value, after, limit, run=run)

    async def counters(self, scope: str) -> Mapping[str, int]:
        """Durable, with the steps that were taken since: two reads in a row cannot both be the last step."""
        found = self._reader.execute(READING["counters"], (scope,)).fetchall()
        used = {name: count for _, name, count in found if name is not None}
        pending = self._pending.steps(scope, above=found[0][0])
        if pending:
            used[projection.STEPS] = used.get(projection.STEPS, 0) + pending
        return used

    async def over(self, charges: Sequence[Charge]) -> Sequence[Violation]:
        return Counters(self._reader).over(charges)


class SqliteIncidents(View, Incidents):
    async def incident(self, incident_id: str) -> Incident | None:
        return self._one("incident", rows.INCIDENTS.value, incident_id)

    async def incidents(self, *, run: str | None = None, after: str | None = None, limit: int | None = 100) -> Sequence[Incident]:
        return self._page("incidents", rows.INCIDENTS.value, after, limit, run=run)

    async def incident_of(self, run_id: str, generation: int, cause: str) -> Incident | None:
        return self._one("incident_of", rows.INCIDENTS.value, run_id, generation, cause)


class SqliteApprovals(View, ApprovalRecords):
    async def approval(self, approval_id: str) -> Approval | None:
        return self._one("approval", rows.approval, approval_id)

    async def approvals(self, *, run: str | None = None, after: str | None = None, limit: int | None = 100) -> Sequence[Approval]:
        return self._page("approvals", rows.approval, after, limit, run=run)

    async def newest_of(self, run_id: str, generation: int, action: str, content: str) -> Approval | None:
        return self._one("approval_of_call", rows.approval, run_id, generation, action, content)


class SqliteCheckpoints(View, CheckpointRecords):
    async def checkpoint(self, checkpoint_id: str) -> Checkpoint | None:
        return self._one("checkpoint", rows.CHECKPOINTS.value, checkpoint_id)

    async def checkpoints(self, run: str, *, after: str | None = None, limit: int | None = 100) -> Sequence[Checkpoint]:
        return self._page("checkpoints", rows.CHECKPOINTS.value, after, limit, run=run)


class SqliteRollbacks(View, RollbackRecords):
    async def rollback(self, rollback_id: str) -> Rollback | None:
        return self._one("rollback", rows.ROLLBACKS.value, rollback_id)

    async def rollbacks(self, *, run: str | None = None, after: str | None = None, limit: int | None = 100) -> Sequence[Rollback]:
        return self._page("rollbacks", rows.ROLLBACKS.value, after, limit, run=run)

    async def unfinished(self) -> Sequence[Rollback]:
        return [one for one in await self.rollbacks(limit=None) if not one.status.ended]

    async def compensations(self, rollback_id: str, node_id: str | None = None) -> Sequence[Write]:
        if node_id is None:
            return self._all("compensations", self._write, rollback_id)
        return self._all("compensations_of_node", self._write, rollback_id, node_id)

    async def marks(self, rollback_id: str, run_id: str) -> Mapping[str, RollbackEntry]:
        found: dict[str, RollbackEntry] = {}
        for (line,) in self._reader.execute(READING["entries_of_rollbacks"], (run_id,)):
            entry = codec.decode(line)
            if isinstance(entry, RollbackEntry) and entry.rollback_id == rollback_id and entry.node is not None:
                found[entry.node] = entry
        return found
