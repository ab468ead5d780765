"""Rollbacks under way in this process: plan and progress of each, what waits in it, how it is shown, and its entries.

The state in memory is not durable: after a crash the next process rebuilds it from the journal, by :meth:`Rollbacks.adopt`. The entries
are durable: each change of a rollback, and of a node, is journaled before anything acts on it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway import errors
from gateway.control.rollback.scope import RollbackScope, WrongRollback
from gateway.core import timestamps
from gateway.core.codec import record
from gateway.core.rollback.progress import Schedule, Wait
from gateway.model.effect import State, Write
from gateway.model.entries import RollbackEntry
from gateway.model.entry import Position, Sealed
from gateway.model.rollback import Node, NodeState, Plan, Rollback, States
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.vault import Vault

PARALLEL = 16
"""Nodes executed at once."""
RETRIED = 4
"""How many of these may have waited before: what is unavailable keeps nothing else from continuing."""


class Attempts:
    """The compensations of a rollback, as the journal has them, by node and by object; a node's id is their step id."""

    def __init__(self, writes: Iterable[Write] = ()) -> None:
        self._of_node: dict[str, dict[Position, Write]] = defaultdict(dict)
        self._of_object: dict[str, dict[Position, Write]] = defaultdict(dict)
        self.add(writes)

    def add(self, writes: Iterable[Write]) -> None:
        """Keep these, oldest first; each replaces what was known of the same attempt."""
        for write in writes:
            self._of_node[write.step_id][write.intent] = write
            self._of_object[write.target.object][write.intent] = write

    def of_node(self, node_id: str | None) -> Sequence[Write]:
        return tuple(self._of_node[node_id].values()) if node_id in self._of_node else ()

    def newest(self, node_id: str) -> Write | None:
        """The newest attempt at a node."""
        return next(reversed(self.of_node(node_id)), None)

    def of_object(self, target_object: str) -> Sequence[Write]:
        return sorted(self._of_object.get(target_object, {}).values(), key=lambda write: write.intent.seq)


@dataclass(slots=True)
class Execution:
    """``woken``: something that it may wait for was decided meanwhile. ``since`` holds, by node, when an earlier executor began to wait;
    ``waits`` the nodes that were tried here and wait, also while they are tried again.
    """

    rollback: Rollback
    scope: RollbackScope
    schedule: Schedule
    attempts: Attempts
    since: Mapping[str, float] = field(default_factory=dict)
    waits: dict[str, Wait] = field(default_factory=dict)
    running: int = 0
    retrying: int = 0
    woken: bool = False
    unseen: tuple[str, ...] = ()
    """Objects that could not be read at the end, and are read again."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def next(self, now: float) -> Node | None:
        """The node to execute now, which counts as running from here on; ``now`` is on the monotonic clock."""
        if self.stopped.is_set() or self.running >= PARALLEL:
            return None
        node = self.schedule.ready(now if self._retries else None)
        if node is not None:
            self.running += 1
            self.retrying += node.node_id in self.waits
        return node

    def settle(self, node: Node, to: NodeState | Wait) -> None:
        """Record that a running node has ended, or waits."""
        if isinstance(to, Wait):
            self.waits[node.node_id] = to
            self.schedule.postpone(node.node_id, to.state, to.due)
        else:
            self.waits.pop(node.node_id, None)
            self.schedule.settle(node.node_id, to)

    def release(self, *, retried: bool) -> None:
        """A node does not run any more."""
        self.running -= 1
        self.retrying -= retried
        self.changed.set()

    def states(self) -> dict[str, NodeState]:
        """The nodes' states as they are shown: a node that is tried again counts as waiting until that has an outcome."""
        return self.schedule.states | {name: wait.state for name, wait in self.waits.items()}

    @property
    def waiting(self) -> bool:
        """Whether nothing is left but what waits for a time to come."""
        return not self.running and self.schedule.due() is not None

    def wake(self) -> None:
        """Something was decided: waiting nodes are planned again when nothing else is left to do."""
        self.woken = True
        self.changed.set()

    def stop(self) -> None:
        """Keep what is not on the wire from being sent."""
        self.stopped.set()
        self.changed.set()

    async def wait(self, now: float) -> None:
        """Wait until a node ends, a waiting node is due, or the execution is stopped or woken."""
        due = self.schedule.due() if self._retries and self.running < PARALLEL else None
        self.changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), None if due is None else max(0.0, due - now))

    async def pause(self, seconds: float) -> None:
        """Wait, but not past a stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopped.wait(), seconds)

    def fence(self) -> None:
        """Raises:
        LeaseRevoked: the rollback was stopped.
        """
        if self.stopped.is_set():
            raise errors.LeaseRevoked("The rollback was stopped before this compensation was sent.")

    @property
    def _retries(self) -> bool:
        return self.retrying < RETRIED and not self.woken


@dataclass(frozen=True, slots=True)
class RollbackView:
    """A rollback with its plan, node by node. ``marks`` are the newest entries of the nodes that have one; if it runs here, ``waits`` holds
    what nodes wait for and until when (on the monotonic clock), and ``unseen`` the objects that cannot be read at the end.
    """

    rollback: Rollback
    plan: Plan
    states: States
    marks: Mapping[str, RollbackEntry]
    waits: Mapping[str, Wait] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()


@dataclass(slots=True)
class ActiveRollbacks:
    """``stop_requests`` are stops that are not durable yet: the reason, and who asked. ``orphaned`` are rollbacks that nothing executes
    because the journal was down. ``in_flight`` are rollbacks that wait for calls on the wire, with the wire keys of these calls.
    ``decided`` are rollbacks between two executions: something that they wait for was decided after their next plan was begun.
    ``objects`` are those that each rollback's plan is about, from its first execution until it has ended.
    """

    executions: dict[str, Execution] = field(default_factory=dict)
    stop_requests: dict[str, tuple[str, str]] = field(default_factory=dict)
    orphaned: set[str] = field(default_factory=set)
    in_flight: dict[str, frozenset[str]] = field(default_factory=dict)
    decided: set[str] = field(default_factory=set)
    objects: dict[str, frozenset[str]] = field(default_factory=dict)

    def begin(self, execution: Execution) -> None:
        """The execution is on its way, and heeds what was decided while its plan was made."""
        name = execution.rollback.rollback_id
        self.executions[name] = execution
        self.objects[name] = frozenset(node.target.object for node in execution.scope.plan.nodes)
        if name in self.decided:
            self.decided.discard(name)
            execution.wake()

    def get(self, rollback_id: str) -> Execution | None:
        return self.executions.get(rollback_id)

    def decide(self, rollback_id: str) -> None:
        """Something that a running rollback may wait for was decided: its execution plans again, also one that is not on its way yet."""
        if (execution := self.get(rollback_id)) is not None:
            execution.wake()
        else:
            self.decided.add(rollback_id)  # its next plan may be from before this decision

    def about(self, target_object: str) -> list[str]:
        """The rollbacks that are executed, or wait, and whose plan is about this object."""
        return [rollback_id for rollback_id, objects in self.objects.items() if target_object in objects]

    def end(self, execution: Execution) -> None:
        """The execution is over; those who wait for its end continue."""
        del self.executions[execution.rollback.rollback_id]
        execution.ended.set()

    def request_stop(self, rollback_id: str, reason: str, by: str) -> None:
        """Send nothing more for a rollback, from now on. This works while the journal does not."""
        self.stop_requests[rollback_id] = (reason, by)
        if (execution := self.get(rollback_id)) is not None:
            execution.stop()

    def await_calls(self, execution: Execution) -> None:
        """Continue later if calls of the rollback's scope are still on the wire."""
        calls = [key for key, write in execution.scope.effects.items() if write.state is State.IN_FLIGHT]
        if calls:
            self.in_flight[execution.rollback.rollback_id] = frozenset(calls)

    def calls_ended(self, live: Collection[str]) -> list[str]:
        """The rollbacks whose calls have all ended; ``live`` are the wire keys that are still on the wire. Each is given once."""
        over = [rollback_id for rollback_id, calls in self.in_flight.items() if calls.isdisjoint(live)]
        for rollback_id in over:
            del self.in_flight[rollback_id]
        return over


@dataclass(frozen=True, slots=True)
class RollbackEntries:
    """The entries of rollbacks, and their plans, which are sealed beside the entry that names them."""

    journal: Journal
    clock: Clock
    vault: Vault

    async def append(self, rollback: Rollback, change: str, blobs: Sequence[Sealed] = (), /, **members: Any) -> None:
        """Journal a change of a rollback; ``members`` are its entry's, beside whose it is and when."""
        entry = RollbackEntry(
            ts=timestamps.rfc3339(self.clock.now()),
            tenant=rollback.tenant,
            workflow_id=rollback.workflow_id,
            run_id=rollback.run_id,
            generation=rollback.generation,
            rollback_id=rollback.rollback_id,
            change=change,
            **members,
        )
        await self.journal.append(entry, blobs)

    async def sealed(self, tenant: str, plan: Plan) -> Sealed:
        """A plan as it is kept with the entry that names it."""
        return await self.vault.seal(tenant, orjson.dumps(record.plan_json(plan)))

    async def plan_of(self, rollback: Rollback) -> Plan:
        """The plan by which a rollback is executed.

        Raises:
            WrongRollback: it is not there any more.
            KeyError, ValueError: it cannot be read; its tenant was forgotten.
        """
        plain = await self.vault.open(rollback.plan_ref)
        if plain is None:
            raise WrongRollback(f"The plan of rollback {rollback.rollback_id} is not in this journal any more.")
        return record.plan_of(orjson.loads(plain))
