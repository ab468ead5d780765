"""The fold, into tables: the changes of a batch of entries, gathered and written in few steps."""

from __future__ import annotations

import sqlite3
from typing import assert_never

from gateway.core.authorization import gate
from gateway.core.incident import incidents
from gateway.core.journal import projection
from gateway.model.effect import Charge, Violation, Write
from gateway.model.order import Scope
from gateway.model.run import Mode, Run
from gateway.stores.sqlite import rows, statements
from gateway.stores.sqlite.projection.counters import Counters

Attempt = statements.Row
"""Tenant, workflow, key digest, attempt: unique."""


class Tables:
    """The folded tables in the open transaction; :meth:`flush` before its commit, :meth:`drop` when it did not stand."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._counters = Counters(connection)
        self._taken: set[Attempt] = set()
        self._writes: list[statements.Row] = []
        self._settled: dict[str, statements.Row] = {}
        self._sightings: dict[tuple[str, str], statements.Row] = {}
        self.runs: dict[str, Run] = {}
        """Runs as this transaction leaves them."""

    def expect(self, attempts: list[Attempt]) -> None:
        """Look up at once which of these attempts are taken: those that a batch is about to open."""
        self._taken |= set(statements.pick(self._connection, "taken_keys", attempts))

    def taken(self, attempt: Attempt) -> bool:
        """Whether an expected attempt has been opened, in this batch or before it."""
        return attempt in self._taken

    def over(self, charges: tuple[Charge, ...]) -> tuple[Violation, ...]:
        return self._counters.over(charges)

    def granted(self, approval_id: str) -> bool:
        """Whether an approval is there to be spent, as this transaction leaves it."""
        return self._connection.execute(statements.WRITING["granted"], (approval_id,)).fetchone() is not None

    def apply(self, changes: tuple[projection.Change, ...], seq: int) -> None:
        """Make the changes of the entry at ``seq``."""
        for change in changes:
            match change:
                case projection.Stepped():
                    for scope in change.scopes:
                        self._counters.add(scope, projection.STEPS, 1)
                case projection.Charged():
                    self._counters.take(change.charges)
                case projection.WriteOpened():
                    self._open(change.write)
                case projection.WriteSettled():
                    self._settle(change)
                case projection.Compensated():
                    self._flush_writes()  # settled first: an effect is taken back only while it stands
                    statements.put(self._connection, "compensate_writes", [(key,) for key in change.wire_keys])
                case projection.Seen():
                    for scope in (f"run:{change.run_id}", f"workflow:{change.workflow_id}"):
                        self._sightings[scope, change.object] = (scope, change.object, change.version, seq)
                case projection.RunChanged():
                    self._keep_run(change.run)
                case projection.OrderChanged():
                    self._keep_order(change)
                case projection.TaskChanged():
                    self._connection.execute(statements.WRITING["keep_task"], rows.of_task(change.task))
                case projection.IncidentChanged():
                    self._keep_incident(change)
                case projection.RollbackChanged():
                    self._connection.execute(statements.WRITING["keep_rollback"], rows.of_rollback(change.rollback))
                case projection.CheckpointTaken():
                    self._connection.execute(statements.WRITING["keep_checkpoint"], rows.of_checkpoint(change.checkpoint))
                case projection.ApprovalChanged():
                    self._connection.execute(statements.WRITING["keep_approval"], rows.of_approval(change.approval))
                case projection.ApprovalSpent():
                    self._connection.execute(statements.WRITING["spend_approval"], (change.at, str(change.by), change.approval_id))
                case _:
                    assert_never(change)

    def flush(self) -> dict[str, Run]:
        """Write what was gathered into the open transaction; returns the runs it changed."""
        self._flush_writes()
        statements.put(self._connection, "keep_sightings", list(self._sightings.values()))
        self._counters.flush()
        changed = self.runs
        self._forget()
        return changed

    def drop(self) -> None:
        self._counters.drop()
        self._forget()

    def _forget(self) -> None:
        self._taken, self._writes, self._settled, self._sightings, self.runs = set(), [], {}, {}, {}

    def _keep_incident(self, change: projection.IncidentChanged) -> None:
        row = self._connection.execute(statements.READING["incident"], (change.incident.incident_id,)).fetchone()
        incident = incidents.told(None if row is None else rows.incident(row), change.incident, change.change)
        self._connection.execute(statements.WRITING["keep_incident"], rows.of_incident(incident))

    def _open(self, write: Write) -> None:
        self._taken.add((write.key.tenant, write.key.workflow_id, write.key.digest, write.attempt))
        self._writes.append(rows.of_write(write))

    def _settle(self, settled: projection.WriteSettled) -> None:
        if settled.wire_key in self._settled:  # one statement settles a write once: the order of two must show
            self._flush_writes()
        self._settled[settled.wire_key] = rows.of_settled(settled)

    def _flush_writes(self) -> None:
        statements.put(self._connection, "keep_writes", self._writes)
        statements.put(self._connection, "settle_writes", list(self._settled.values()))
        self._writes, self._settled = [], {}

    def _keep_run(self, run: Run) -> None:
        self._connection.execute(statements.WRITING["keep_run"], rows.of_run(run))
        # Read back: what was revoked stays so, whatever this entry's writer still believed.
        self.runs[run.run_id] = rows.run(self._connection.execute(statements.READING["run"], (run.run_id,)).fetchone())

    def _open_runs(self, scope: Scope) -> list[statements.Row]:
        """The open runs that a scope could cover, and few others."""
        wanted = {"run": None if scope.subtree else scope.run, "agent": scope.agent, "tenant": scope.tenant}
        return self._connection.execute(statements.WRITING["open_runs"], wanted).fetchall()

    def _keep_order(self, change: projection.OrderChanged) -> None:
        order = change.order
        self._connection.execute(statements.WRITING["keep_order"], rows.of_order(order))
        # A lease is good for all tools: where an order takes one of them away, the lease stays.
        if not (change.made and order.mode is Mode.REVOKED and order.scope.tool is None):
            return
        for row in self._open_runs(order.scope):
            run = rows.run(row)
            if gate.covers(order.scope, run):
                self._connection.execute(statements.WRITING["revoke_run"], (run.generation, run.run_id))
                self.runs[run.run_id] = rows.run((row[0], run.generation))
