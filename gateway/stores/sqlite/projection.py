"""The projection of journal entries into tables: written in batches, with exact counters."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import assert_never

from gateway.core.authorization import gate
from gateway.core.incident import incidents
from gateway.core.journal import projection
from gateway.model.effect import Charge, Violation, Write
from gateway.model.entries import ChargeRecord
from gateway.model.review import Approval, Task
from gateway.model.rollback import Checkpoint, Rollback
from gateway.model.run import Mode, Order, Run
from gateway.stores.sqlite import database, rows
from gateway.stores.sqlite.database import READING, WRITING
from gateway.stores.sqlite.state_digest import StateDigest

_BOUND = 200_000
"""Cached counters; past it the cache is emptied between two batches."""


class Counters:
    """What scopes have used, in the open transaction. :meth:`flush` before its commit, :meth:`drop` when it did not stand."""

    def __init__(self, connection: sqlite3.Connection, state: StateDigest | None = None) -> None:
        self._connection = connection
        self._state = state
        self._used: dict[tuple[str, str], int] = {}
        self._members: dict[tuple[str, str, str], bool] = {}
        self._changed: dict[tuple[str, str], int] = {}
        self._joined: list[database.Row] = []

    def over(self, charges: Sequence[Charge]) -> tuple[Violation, ...]:
        """The limits that these charges, taken together, would pass; nothing is charged."""
        asked: dict[tuple[str, str], int] = {}
        found: list[Violation] = []
        counted: set[tuple[str, str, str]] = set()
        for charge in charges:
            key, amount, limit = (charge.scope, charge.name), charge.amount, charge.limit
            if charge.member is not None:
                member = (*key, charge.member)
                amount = 0 if self._members.get(member) or member in counted or self._has(member) else 1
                if amount:
                    counted.add(member)
            used = self._used.get(key)
            if used is None:
                used = self.used(*key)
            if key in asked:
                used += asked[key]
                asked[key] += amount
            else:
                asked[key] = amount
            if limit is not None and amount and used + amount > limit:
                found.append(Violation(charge.scope, charge.name, limit, used, amount))
        return tuple(found)

    def take(self, charges: Sequence[ChargeRecord]) -> None:
        """Charge without looking at limits."""
        for charge in charges:
            scope, name, amount = charge.scope, charge.name, charge.amount
            if charge.member is not None:
                member = (scope, name, charge.member)
                if self._has(member):
                    continue
                self._members[member] = True
                self._joined.append(member)
                amount = 1
            self.add(scope, name, amount)

    def add(self, scope: str, name: str, amount: int) -> None:
        key = (scope, name)
        used = self._used.get(key)
        self._used[key] = amount + (self.used(scope, name) if used is None else used)
        self._changed[key] = self._changed.get(key, 0) + amount

    def used(self, scope: str, name: str) -> int:
        found = self._used.get((scope, name))
        if found is None:
            row = self._connection.execute(WRITING["used"], (scope, name)).fetchone()
            found = self._used[scope, name] = row[0] if row else 0
        return found

    def flush(self) -> None:
        """Write what changed into the open transaction."""
        database.put(self._connection, "keep_counters", [(*key, self._used[key]) for key in sorted(self._changed)])
        database.put(self._connection, "keep_members", self._joined)
        if self._state is not None:
            for key, amount in self._changed.items():
                self._state.counted(key, amount)
            self._state.joined(self._joined)
        self._changed.clear()
        self._joined = []
        if len(self._used) + len(self._members) > _BOUND:
            self.drop()

    def drop(self) -> None:
        """Forget everything: what was cached may not be what is on disk."""
        self._used.clear()
        self._members.clear()
        self._changed.clear()
        self._joined = []

    def _has(self, member: tuple[str, str, str]) -> bool:
        found = self._members.get(member)
        if found is None:
            found = self._members[member] = self._connection.execute(WRITING["member"], member).fetchone() is not None
        return found


WORKFLOWS = 20_000
"""Workflows remembered at a time."""

KEYS = 400_000
"""Keys remembered over all of them, about 40 MB at the most."""

Workflow = tuple[str, str]
"""Tenant and workflow id."""


class KnownKeys:
    """The keys that were used, in memory; belongs to the event loop's thread. Only a no is certain: else the table is asked."""

    def __init__(self, reader: sqlite3.Connection, *, bound: int = KEYS) -> None:
        self._reader = reader
        self._bound = bound
        self._used: OrderedDict[Workflow, set[bytes]] = OrderedDict()
        self._count = 0

    def maybe(self, tenant: str, workflow_id: str, digest: str) -> bool:
        """Whether the key may have been used; a no is certain, except for an intent that is not on disk yet."""
        workflow = (tenant, workflow_id)
        used = self._used.get(workflow)
        if used is None:
            used = self._load(workflow)
        else:
            self._used.move_to_end(workflow)
        return used is None or bytes.fromhex(digest) in used

    def note(self, tenant: str, workflow_id: str, digest: str) -> None:
        """An intent under this key was handed in."""
        used = self._used.get((tenant, workflow_id))
        if used is not None:
            before = len(used)
            used.add(bytes.fromhex(digest))
            self._count += len(used) - before
            self._trim()

    def _load(self, workflow: Workflow) -> set[bytes] | None:
        most = self._bound // 4
        rows = self._reader.execute(READING["keys_of_workflow"], (*workflow, most + 1)).fetchall()
        if len(rows) > most:
            return None
        used = self._used[workflow] = {bytes.fromhex(digest) for (digest,) in rows}
        self._count += len(used)
        self._trim()
        return used

    def _trim(self) -> None:
        while len(self._used) > 1 and (self._count > self._bound or len(self._used) > WORKFLOWS):
            self._count -= len(self._used.popitem(last=False)[1])


Attempt = database.Row
"""Tenant, workflow, key digest, attempt: unique."""


class Tables:
    """The projected tables in the open transaction; :meth:`flush` before its commit, :meth:`drop` when it did not stand.

    ``state`` takes each change; a projection to compare with has none.
    """

    def __init__(self, connection: sqlite3.Connection, state: StateDigest | None = None) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._state = state
        self._counters = Counters(connection, state)
        self._taken: set[Attempt] = set()
        self._writes: list[database.Row] = []
        self._settled: dict[str, database.Row] = {}
        self._sightings: dict[tuple[str, str], database.Row] = {}
        self.runs: dict[str, Run] = {}
        """Runs as this transaction leaves them."""

    def expect(self, attempts: list[Attempt]) -> None:
        """Look up at once which of these attempts are taken: those that a batch is about to open."""
        self._taken |= set(database.pick(self._connection, "taken_keys", attempts))

    def taken(self, attempt: Attempt) -> bool:
        """Whether an expected attempt has been opened, in this batch or before it."""
        return attempt in self._taken

    def over(self, charges: tuple[Charge, ...]) -> tuple[Violation, ...]:
        return self._counters.over(charges)

    def granted(self, approval_id: str) -> bool:
        """Whether an approval is there to be spent, as this transaction leaves it."""
        return self._execute(WRITING["granted"], (approval_id,)).fetchone() is not None

    def apply(self, changes: tuple[projection.Change, ...], seq: int) -> None:
        """Make the changes of the entry at ``seq``."""
        for change in changes:
            match change:
                case projection.Stepped():
                    for scope in change.scopes:
                        self._counters.add(scope, projection.STEPS, 1)
                case projection.Charged():
                    self._counters.take(change.charges)
                case Write():
                    self._open(change)
                case projection.WriteSettled():
                    self._settle(change)
                case projection.KeyNamed():
                    row = (change.tenant, change.workflow_id, change.own, change.content, change.wire_key, seq)
                    self._execute(WRITING["name_key"], row)
                case projection.Compensated():
                    self._flush_writes()  # settled first: an effect is undone only while it stands
                    with self._watch(change.wire_keys):
                        database.put(self._connection, "compensate_writes", [(key,) for key in change.wire_keys])
                case projection.Seen():
                    for scope in (f"run:{change.run_id}", f"workflow:{change.workflow_id}"):
                        self._sightings[scope, change.object] = (scope, change.object, change.version, seq)
                case Run():
                    self._put(change)
                    # Read back: what was revoked stays so, whatever this entry's writer still believed.
                    self.runs[change.run_id] = rows.run(self._execute(READING["run"], (change.run_id,)).fetchone())
                case Task() | Rollback() | Checkpoint() | Approval():
                    self._put(change)
                case projection.OrderChanged():
                    self._put(change.order)
                    if change.made:
                        self._revoke(change.order)
                case projection.IncidentChanged():
                    row = self._execute(READING["incident"], (change.incident.incident_id,)).fetchone()
                    earlier = None if row is None else rows.INCIDENTS.value(row)
                    self._put(incidents.merge_entry(earlier, change.incident, change.change))
                case projection.ApprovalSpent():
                    self._execute(WRITING["spend_approval"], (change.at, str(change.by), change.approval_id))
                case projection.ApprovalReturned():
                    self._execute(WRITING["return_approval"], (change.approval_id, change.by))
                case _:
                    assert_never(change)

    def flush(self) -> dict[str, Run]:
        """Write what was gathered into the open transaction; returns the runs it changed."""
        self._flush_writes()
        database.put(self._connection, "keep_sightings", list(self._sightings.values()))
        self._counters.flush()
        changed = self.runs
        self._forget()
        return changed

    def drop(self) -> None:
        self._counters.drop()
        self._forget()

    def _forget(self) -> None:
        self._taken, self._writes, self._settled, self._sightings, self.runs = set(), [], {}, {}, {}

    def _put(self, value: rows.Stored) -> None:
        document = rows.DOCUMENTS[type(value)]
        self._execute(WRITING[document.query], document.row(value))

    def _open(self, write: Write) -> None:
        self._taken.add((write.key.tenant, write.key.workflow_id, write.key.digest, write.attempt))
        row = rows.of_write(write)
        self._writes.append(row)
        if self._state is not None:
            self._state.opened(row)

    def _settle(self, settled: projection.WriteSettled) -> None:
        if settled.wire_key in self._settled:  # one statement settles a write once: the order of two must show
            self._flush_writes()
        self._settled[settled.wire_key] = rows.of_settled(settled)

    def _flush_writes(self) -> None:
        database.put(self._connection, "keep_writes", self._writes)
        settled = list(self._settled.values())
        # What is settled for the first time by the process that opened it is known beforehand: all but few.
        unknown = () if self._state is None else [row[0] for row in settled if not self._state.settled(row)]
        with self._watch(unknown):
            database.put(self._connection, "settle_writes", settled)
        self._writes, self._settled = [], {}

    def _watch(self, wire_keys: Collection[str]) -> AbstractContextManager[None]:
        return nullcontext() if self._state is None or not wire_keys else self._state.watch(wire_keys)

    def _revoke(self, order: Order) -> None:
        """Revoke the open runs that a new order covers. A lease is good for all tools: an order on one of them leaves it."""
        scope = order.scope
        if order.mode is not Mode.REVOKED or scope.tool is not None:
            return
        wanted = {"run": None if scope.subtree else scope.run, "agent": scope.agent, "tenant": scope.tenant}
        for row in self._execute(WRITING["open_runs"], wanted).fetchall():
            run = rows.run(row)
            if gate.covers(scope, run):
                self._execute(WRITING["revoke_run"], (run.generation, run.run_id))
                self.runs[run.run_id] = rows.run((row[0], run.generation))
