"""Executes a plan: independent branches in parallel, each node once, and every node to an outcome that is journaled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from gateway import errors
from gateway.control.review.approvals import Approvals
from gateway.control.review.tasks import Tasks
from gateway.control.rollback.execution import Execution, RollbackEntries
from gateway.core import tasks, timestamps
from gateway.core.authorization import approvals
from gateway.core.backoff import Backoff
from gateway.core.rollback import progress
from gateway.core.rollback.progress import Wait
from gateway.model.approval import ApprovalStatus
from gateway.model.call_entry import Sent
from gateway.model.effect import State, Write
from gateway.model.rollback import Node, NodeAction, NodeState
from gateway.ports.clock import Clock
from gateway.ports.rollback import Compensating, Compensations, NodeOutcome, RollbackRecords

TRIES = 5
"""How often a compensation that is refused for certain is sent, where sending it again may help."""
BACKOFF = Backoff(0.1, 10.0, most_asked=60.0)
"""Between two tries of a node."""
UNKNOWN_FOR = 40.0
"""Seconds for which an unknown outcome that can be looked at is looked after before a person is asked."""

Spawn = Callable[[Coroutine[object, object, None]], asyncio.Task[None]]


@dataclass(frozen=True, slots=True)
class Executor:
    """``patience``: seconds for which a node waits for a transient obstacle; after that a person decides when it is tried again."""

    compensations: Compensations
    records: RollbackRecords
    tasks: Tasks
    approvals: Approvals
    entries: RollbackEntries
    clock: Clock
    spawn: Spawn
    patience: float

    async def __call__(self, execution: Execution) -> None:
        """Run until no node is ready, running, or due later; if the execution was woken, nodes that are due later do not count.

        Raises:
            JournalUnavailable: what came of a node cannot be journaled; it continues from there once it can.
        """
        failures: list[BaseException] = []
        while True:
            while not failures and (node := execution.next(self.clock.monotonic())) is not None:
                self.spawn(self._node(execution, node, failures))
            if not execution.running and (failures or execution.stopped.is_set() or execution.woken or not execution.waiting):
                break
            await execution.wait(self.clock.monotonic())
        if failures:
            raise failures[0]

    async def _node(self, execution: Execution, node: Node, failures: list[BaseException]) -> None:
        retried = node.node_id in execution.waits
        try:
            execution.settle(node, await self._outcome_of(execution, node))
        except errors.JournalUnavailable as down:
            failures.append(down)
        except Exception:
            # The outcome is not known: the rollback waits for a person, who finds the error in the log.
            execution.settle(node, NodeState.UNKNOWN)
            raise
        finally:
            execution.release(retried=retried)

    async def _outcome_of(self, execution: Execution, node: Node) -> NodeState | Wait:
        match node.way:
            case NodeAction.NOTHING:
                return await self._marked(execution, node, NodeOutcome(state=NodeState.NOTHING, why=node.why))
            case NodeAction.TASK | NodeAction.REVIEW:
                return await self._handed_to_person(execution, node, node.why, None)
            case NodeAction.PROBE:
                return await self._probed(execution, node)
            case NodeAction.CALL:
                return await self._called(execution, node)

    async def _called(self, execution: Execution, node: Node) -> NodeState | Wait:
        try:
            order = self._order(execution, node)
        except KeyError:
            return await self._handed_to_person(execution, node, "a later effect on the object could not be undone", None)
        if not node.automatic and (unapproved := await self._unapproved(execution, order)) is not None:
            return unapproved
        outcome = await self._attempted(execution, order)
        match outcome.state:
            case NodeState.DONE:
                return NodeState.DONE
            case NodeState.NOTHING:
                return await self._marked(execution, node, outcome)
            case NodeState.UNKNOWN if execution.stopped.is_set() or not outcome.again:
                return await self._marked(execution, node, outcome)
            case _ if execution.stopped.is_set():
                return NodeState.STOPPED
            case NodeState.STOPPED:
                return await self._marked(execution, node, outcome)
            case _ if outcome.again:
                return await self._waited(execution, node, outcome)
            case _:
                return await self._handed_to_person(execution, node, outcome.why, outcome.seen)

    async def _unapproved(self, execution: Execution, order: Compensating) -> NodeState | None:
        """The state of a node without an approval, ``None`` if it has one. Anyone who is asked sees the request as it would be sent."""
        node, rollback = order.node, execution.rollback
        asked = await self.approvals.compensation(rollback.rollback_id, node.node_id)
        if asked is not None and asked.status in (ApprovalStatus.GRANTED, ApprovalStatus.USED):
            return None
        if asked is not None and asked.status in (ApprovalStatus.DENIED, ApprovalStatus.EXPIRED):
            return await self._handed_to_person(execution, node, approvals.not_given(asked), None)
        proposal = await self.compensations.proposal(order)
        if isinstance(proposal, NodeOutcome):
            return await self._handed_to_person(execution, node, proposal.why, proposal.seen)
        summary = f"{node.by} to undo {node.action}: {node.why}"
        asked = await self.approvals.request_compensation(rollback, node, order.run, summary, order.guard, proposal.shown)
        request = Sent(method=proposal.method, path=proposal.path, body_digest=proposal.body_digest)
        outcome = NodeOutcome(state=NodeState.WAITING, why="it needs a person's approval")
        return await self._marked(execution, node, outcome, approval_id=asked.approval_id, request=request)

    async def _attempted(self, execution: Execution, order: Compensating) -> NodeOutcome:
        """One attempt, unless an earlier one may have been applied: an unknown outcome is looked up, never sent again."""
        node_id = order.node.node_id
        # While it waited, a person may have said what became of it.
        newest = await self._remember(execution, node_id) if node_id in execution.waits else execution.tried.newest(node_id)
        outcome = NodeOutcome(state=NodeState.UNKNOWN, why="its outcome is unknown")
        if newest is None or newest.state is not State.UNKNOWN:
            outcome = await self.compensations.execute(order)
            newest = await self._remember(execution, node_id)
        if outcome.state is not NodeState.UNKNOWN or newest is None:
            return outcome
        return await self._settled_unknown(execution, order, newest, outcome)

    async def _settled_unknown(self, execution: Execution, order: Compensating, write: Write, outcome: NodeOutcome) -> NodeOutcome:
        """Look once whether a compensation of unknown outcome was applied; if that cannot be seen for long, a person is asked."""
        wait = execution.waits.get(order.node.node_id)
        unknown_for = self.clock.now() - wait.entered if wait is not None and wait.state is NodeState.UNKNOWN else 0.0
        late, newest = unknown_for >= UNKNOWN_FOR, write
        if write.state is State.UNKNOWN:
            try:
                if await self.compensations.settle_unknown(order, write) is None and late:
                    await self.compensations.decide(write)
            except errors.ToolUnreachable as lost:
                return _unread(lost)
            newest = await self._remember(execution, order.node.node_id) or write
        match newest.state:
            case State.STANDING:
                return NodeOutcome(state=NodeState.DONE)
            case State.FAILED:
                return NodeOutcome(state=NodeState.WAITING, why="it was not applied", again=True)
            case _:
                return NodeOutcome(state=NodeState.UNKNOWN, why=outcome.why, again=not late)

    async def _waited(self, execution: Execution, node: Node, outcome: NodeOutcome) -> NodeState | Wait:
        """Retry it later, until ``patience`` has passed: then a person decides when."""
        known, since = execution.waits.get(node.node_id), execution.since.get(node.node_id)
        refused, now = outcome.state is NodeState.FAILED, self.clock.now()
        wait = progress.longer(
            known,
            NodeState.WAITING if refused else outcome.state,
            outcome.why,
            now=now,
            monotonic=self.clock.monotonic(),
            backoff=BACKOFF,
            asked=outcome.pause,
            since=since,
            refused=refused,
        )
        if wait.refused >= TRIES:
            return await self._handed_to_person(execution, node, outcome.why, outcome.seen)
        if now - wait.since >= self.patience:
            given_up = NodeOutcome(state=wait.state, why=f"{outcome.why.rstrip('.')}; {progress.GIVEN_UP}")
            return await self._marked(execution, node, given_up, retriable=True)
        if known is None and since is None:
            await self._marked(execution, node, NodeOutcome(state=wait.state, why=outcome.why), since=timestamps.rfc3339(wait.since))
        return wait

    async def _probed(self, execution: Execution, node: Node) -> NodeState | Wait:
        """Whether there is anything to undo has to be found out first."""
        effects = execution.scope.effects_of(node)
        try:
            found = [await self.compensations.decide(write) for write in effects if write.state in (State.UNKNOWN, State.IN_FLIGHT)]
        except errors.ToolUnreachable as lost:
            return NodeState.UNKNOWN if execution.stopped.is_set() else await self._waited(execution, node, _unread(lost))
        if any(one is None for one in found):
            return await self._marked(execution, node, NodeOutcome(state=NodeState.UNKNOWN, why="its outcome is not yet known"))
        execution.wake()  # it has an answer now: the next plan uses it
        return await self._marked(
            execution, node, NodeOutcome(state=NodeState.UNKNOWN, why="it was decided; the rollback makes a new plan")
        )

    async def _handed_to_person(self, execution: Execution, node: Node, why: str, seen: str | None) -> NodeState:
        effects, rollback = execution.scope.effects_of(node), execution.rollback
        task = tasks.of_node(rollback, node, effects, why=why, seen=seen, at=self.clock.now())
        opened = await self.tasks.open(task, tasks.Owner(workflow_id=rollback.workflow_id, generation=rollback.generation))
        return await self._marked(execution, node, NodeOutcome(state=NodeState.TASK, why=why, seen=seen), task_id=opened.task_id)

    async def _marked(self, execution: Execution, node: Node, outcome: NodeOutcome, **more: object) -> NodeState:
        await self.entries.node(execution.rollback, node, outcome.state, outcome.why, seen=outcome.seen, **more)
        return outcome.state

    async def _remember(self, execution: Execution, node_id: str) -> Write | None:
        """Read the attempts at a node again: later nodes on its object are guarded by the version they left. Returns the newest."""
        execution.tried.keep(node_id, await self.records.compensations(execution.rollback.rollback_id, node_id))
        return execution.tried.newest(node_id)

    def _order(self, execution: Execution, node: Node) -> Compensating:
        tried, follows = execution.tried, node.guard_follows
        state = execution.schedule.states.get(follows) if follows is not None else None
        return Compensating(
            rollback=execution.rollback,
            node=node,
            run=execution.scope.runs[node.run_id],
            effects=execution.scope.effects_of(node),
            guard=progress.guard(node, tried.of_object(node.target.object), tried.of_node(follows), state),
            fence=execution.fence,
        )


def _unread(lost: errors.ToolUnreachable) -> NodeOutcome:
    return NodeOutcome(state=NodeState.UNKNOWN, why=f"the tool cannot be read to decide whether it was applied: {lost.detail}", again=True)
