"""Carries out a plan: independent branches side by side, each node once, and every one of them to an end that is said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway import errors
from gateway.control.rollback.gather import Gathered
from gateway.control.rollback.ledger import Ledger
from gateway.control.tasks import Tasks
from gateway.core import approvals, progress, tasks
from gateway.core.schedule import Schedule
from gateway.model.approval import Approval, ApprovalStatus
from gateway.model.effect import State, Write
from gateway.model.plan import Node, NodeState, Way
from gateway.model.rollback import Rollback
from gateway.model.run import Run
from gateway.ports import Clock
from gateway.ports.rollback import Carried, Compensating, Compensations, RollbackRecords

PARALLEL = 16
"""Nodes carried out at once."""
TRIES = 5
"""How often a compensation that failed for certain is sent, where sending it again may help."""
FIRST_PAUSE = 0.1
"""Seconds before the second try; each later pause is twice as long."""
UNKNOWN_FOR = 40.0
"""Seconds for which an unknown outcome is looked after before a person is asked."""

Spawn = Callable[[Coroutine[object, object, None]], asyncio.Task[None]]


@dataclass(slots=True)
class Tried:
    """The compensations of a rollback, as the journal has them: by their node, and by their object."""

    _of_node: dict[str, list[Write]] = field(default_factory=dict)
    _of_object: dict[str, dict[str, list[Write]]] = field(default_factory=dict)

    def keep(self, node_id: str, writes: Sequence[Write]) -> None:
        self._of_node[node_id] = list(writes)
        for write in writes:
            self._of_object.setdefault(write.target.object, {})[node_id] = self._of_node[node_id]

    def of_node(self, node_id: str | None) -> Sequence[Write]:
        return self._of_node.get(node_id or "", ())

    def of_object(self, target_object: str) -> Sequence[Write]:
        found = [write for writes in self._of_object.get(target_object, {}).values() for write in writes]
        return sorted(found, key=lambda write: write.intent.seq)

    def all(self) -> list[Write]:
        return [write for writes in self._of_node.values() for write in writes]


class Approvals(Protocol):
    """Who is asked before a compensation that nobody approved in advance."""

    async def request_compensation(self, rollback: Rollback, node: Node, run: Run, summary: str, version: str | None) -> Approval: ...


@dataclass(slots=True)
class Driving:
    """One rollback under way in this process. ``woken``: something that it may come to wait for was decided meanwhile."""

    rollback: Rollback
    gathered: Gathered
    schedule: Schedule
    tried: Tried
    running: int = 0
    woken: bool = False
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Keep what is not on the wire from being sent."""
        self.stopped.set()

    async def pause(self, seconds: float) -> None:
        """Wait, but not past a stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopped.wait(), seconds)

    def fence(self) -> None:
        """Raises:
        LeaseRevoked: the rollback was stopped, or another drives it now.
        """
        if self.stopped.is_set():
            raise errors.LeaseRevoked("The rollback was stopped before this compensation was sent.")


@dataclass(frozen=True, slots=True)
class Drive:
    carry: Compensations
    records: RollbackRecords
    tasks: Tasks
    approvals: Approvals
    ledger: Ledger
    clock: Clock
    spawn: Spawn

    async def __call__(self, driving: Driving) -> None:
        """Run until nothing is ready and nothing runs any more.

        Raises:
            JournalUnavailable: what came of a node cannot be journaled; it goes on from there once it can.
        """
        failures: list[BaseException] = []
        while True:
            while (
                not driving.stopped.is_set()
                and not failures
                and driving.running < PARALLEL
                and (node := driving.schedule.ready()) is not None
            ):
                driving.running += 1
                self.spawn(self._node(driving, node, failures))
            if not driving.running:
                break
            driving.turn.clear()
            await driving.turn.wait()
        if failures:
            raise failures[0]

    async def _node(self, driving: Driving, node: Node, failures: list[BaseException]) -> None:
        try:
            state = await self._came_of(driving, node)
            driving.schedule.settle(node.node_id, state)
        except errors.JournalUnavailable as down:
            failures.append(down)
        except Exception:
            # Nobody knows what it came to: the rollback waits for a person, who finds the error in the log.
            driving.schedule.settle(node.node_id, NodeState.UNKNOWN)
            raise
        finally:
            driving.running -= 1
            driving.turn.set()

    async def _came_of(self, driving: Driving, node: Node) -> NodeState:
        match node.way:
            case Way.NOTHING:
                return await self._marked(driving, node, Carried(state=NodeState.NOTHING, why=node.why))
            case Way.TASK | Way.REVIEW:
                return await self._handed_over(driving, node, node.why, None)
            case Way.PROBE:
                return await self._probed(driving, node)
            case Way.CALL:
                return await self._called(driving, node)

    async def _called(self, driving: Driving, node: Node) -> NodeState:
        if not node.automatic:
            asked = await self._asked(driving, node)
            if asked.status in (ApprovalStatus.DENIED, ApprovalStatus.EXPIRED):
                return await self._handed_over(driving, node, approvals.not_given(asked), None)
            if asked.status is not ApprovalStatus.GRANTED and asked.status is not ApprovalStatus.USED:
                carried = Carried(state=NodeState.WAITING, why="a person has to approve it")
                return await self._marked(driving, node, carried, approval_id=asked.approval_id)
        carried = await self._tried(driving, node)
        match carried.state:
            case NodeState.DONE:
                return NodeState.DONE
            case NodeState.UNKNOWN | NodeState.NOTHING:
                return await self._marked(driving, node, carried)
            case _ if driving.stopped.is_set():
                return NodeState.STOPPED
            case NodeState.STOPPED:
                return await self._marked(driving, node, carried)
            case _:
                return await self._handed_over(driving, node, carried.why, carried.seen)

    async def _asked(self, driving: Driving, node: Node) -> Approval:
        run, summary = driving.gathered.runs[node.run_id], f"{node.by} to take back {node.action}: {node.why}"
        return await self.approvals.request_compensation(driving.rollback, node, run, summary, node.guard)

    async def _tried(self, driving: Driving, node: Node) -> Carried:
        """Send it, and again only after a failure that is certain; what is unknown is looked after, never sent again."""
        pause = FIRST_PAUSE
        for last in [False] * (TRIES - 1) + [True]:
            carried = await self._once(driving, node)
            if carried.state is NodeState.UNKNOWN:
                carried = await self._looked_after(driving, node, carried)
            if driving.stopped.is_set() or last or not (carried.state is NodeState.FAILED and carried.again):
                return carried
            await driving.pause(pause)
            pause *= 2
        return carried

    async def _once(self, driving: Driving, node: Node) -> Carried:
        try:
            order = self._order(driving, node)
        except KeyError:
            return Carried(state=NodeState.TASK, why="what was done to the object after it could not be undone")
        carried = await self.carry.carry(order)
        await self._remember(driving, node)
        return carried

    async def _looked_after(self, driving: Driving, node: Node, carried: Carried) -> Carried:
        """Look whether a compensation of unknown outcome was applied, until it is clear or a person has to be asked."""
        deadline, pause = self.clock.monotonic() + UNKNOWN_FOR, FIRST_PAUSE
        while (newest := _newest(driving, node)) is not None and newest.state is State.UNKNOWN:
            if driving.stopped.is_set():
                return carried
            late = self.clock.monotonic() >= deadline
            # What nobody can see becomes a person's task in the end.
            await (self.carry.decide(newest) if late else self.carry.settle_unknown(self._order(driving, node), newest))
            await self._remember(driving, node)
            if late:
                break
            await driving.pause(pause)
            pause = min(5.0, pause * 2)
        match _newest(driving, node):
            case Write(state=State.STANDING):
                return Carried(state=NodeState.DONE)
            case Write(state=State.FAILED):
                return Carried(state=NodeState.FAILED, why="it was not applied", again=True)
            case _:
                return carried

    async def _probed(self, driving: Driving, node: Node) -> NodeState:
        """Whether there is anything to undo has to be found out first."""
        effects = self._effects(driving, node)
        found = [await self.carry.decide(write) for write in effects if write.state in (State.UNKNOWN, State.IN_FLIGHT)]
        if any(one is None for one in found):
            return await self._marked(driving, node, Carried(state=NodeState.UNKNOWN, why="nobody knows yet whether it was applied"))
        # It has an answer now: the next plan knows what it means.
        return await self._marked(driving, node, Carried(state=NodeState.UNKNOWN, why="it was decided; the rollback plans anew"))

    async def _handed_over(self, driving: Driving, node: Node, why: str, seen: str | None) -> NodeState:
        effects, rollback = self._effects(driving, node), driving.rollback
        task = tasks.of_node(rollback, node, effects, why=why, seen=seen, at=self.clock.now())
        opened = await self.tasks.open(task, self.ledger.whose(rollback))
        return await self._marked(driving, node, Carried(state=NodeState.TASK, why=why, seen=seen), task_id=opened.task_id)

    async def _marked(self, driving: Driving, node: Node, carried: Carried, **more: str | None) -> NodeState:
        await self.ledger.node(driving.rollback, node, carried.state, carried.why, seen=carried.seen, **more)
        return carried.state

    async def _remember(self, driving: Driving, node: Node) -> None:
        """What was tried for a node, as the journal has it now: later nodes on its object are bound to what it left."""
        driving.tried.keep(node.node_id, await self.records.compensations(driving.rollback.rollback_id, node.node_id))

    def _order(self, driving: Driving, node: Node) -> Compensating:
        tried, follows = driving.tried, node.guard_follows
        state = driving.schedule.states.get(follows) if follows is not None else None
        return Compensating(
            rollback=driving.rollback,
            node=node,
            run=driving.gathered.runs[node.run_id],
            effects=self._effects(driving, node),
            guard=progress.guard(node, tried.of_object(node.target.object), tried.of_node(follows), state),
            fence=driving.fence,
        )

    def _effects(self, driving: Driving, node: Node) -> Sequence[Write]:
        return [driving.gathered.effects[key] for key in node.effects]


def _newest(driving: Driving, node: Node) -> Write | None:
    """The newest attempt at a node."""
    tried = driving.tried.of_node(node.node_id)
    return tried[-1] if tried else None
