"""Executes a plan: independent branches in parallel, each node once, and every node to an outcome that is journaled.

After that every touched object is read again, and policy is asked for the invariants: the tools' state decides on the outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from gateway import errors
from gateway.control.containment.containment import OrderReplica
from gateway.control.review.approvals import Approvals
from gateway.control.review.tasks import Tasks
from gateway.control.rollback.execution import Execution, RollbackEntries
from gateway.control.rollback.scope import RollbackScope
from gateway.core import tasks, timestamps
from gateway.core.authorization import approvals
from gateway.core.backoff import Backoff
from gateway.core.policy import rules
from gateway.core.request import exact_json
from gateway.core.rollback import progress
from gateway.core.rollback.progress import Wait
from gateway.model.decision import Reason
from gateway.model.effect import State, Write
from gateway.model.review import ApprovalStatus
from gateway.model.rollback import Node, NodeAction, NodeOutcome, NodeState, RollbackStatus, States
from gateway.model.run import Run
from gateway.ports.clock import Clock
from gateway.ports.policy import Rules
from gateway.ports.rollback import CompensationRequest, Compensations, Examined, NotExamined, RollbackRecords

TRIES = 5
"""How often a compensation that was definitely refused is sent, if sending it again may help."""
BACKOFF = Backoff(0.1, 10.0, most_asked=60.0)
"""Between two tries of a node."""
READ_AT_ONCE = 16
"""Objects that are read at once after a rollback."""
UNKNOWN_FOR = 40.0
"""Seconds for which an unknown outcome is probed before a person is asked."""

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
                return await self._marked(execution, node, NodeOutcome(NodeState.NOTHING, node.why))
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

    async def _unapproved(self, execution: Execution, order: CompensationRequest) -> NodeState | None:
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
        outcome = NodeOutcome(NodeState.WAITING, "it needs a person's approval")
        return await self._marked(execution, node, outcome, approval_id=asked.approval_id, request=proposal.request)

    async def _attempted(self, execution: Execution, order: CompensationRequest) -> NodeOutcome:
        """One attempt, unless an earlier one may have been applied: an unknown outcome is looked up, never sent again."""
        node_id = order.node.node_id
        # While it waited, a person may have said what became of it.
        newest = await self._reread(execution, node_id) if node_id in execution.waits else execution.attempts.newest(node_id)
        outcome = NodeOutcome(NodeState.UNKNOWN, "its outcome is unknown")
        if newest is None or newest.state is not State.UNKNOWN:
            outcome = await self.compensations.execute(order)
            newest = await self._reread(execution, node_id)
        if outcome.state is not NodeState.UNKNOWN or newest is None:
            return outcome
        return await self._settled_unknown(execution, order, newest, outcome)

    async def _settled_unknown(self, execution: Execution, order: CompensationRequest, write: Write, outcome: NodeOutcome) -> NodeOutcome:
        """Probe once whether a compensation of unknown outcome was applied; after ``UNKNOWN_FOR`` a person is asked."""
        wait = execution.waits.get(order.node.node_id)
        unknown_for = self.clock.now() - wait.entered if wait is not None and wait.state is NodeState.UNKNOWN else 0.0
        late, newest = unknown_for >= UNKNOWN_FOR, write
        if write.state is State.UNKNOWN:
            try:
                if await self.compensations.settle_unknown(order, write) is None and late:
                    await self.compensations.decide(write)
            except errors.ToolUnreachable as lost:
                return _unread(lost)
            newest = await self._reread(execution, order.node.node_id) or write
        match newest.state:
            case State.STANDING:
                return NodeOutcome(NodeState.DONE)
            case State.FAILED:
                return NodeOutcome(NodeState.WAITING, "it was not applied", again=True)
            case _:
                return NodeOutcome(NodeState.UNKNOWN, outcome.why, again=not late)

    async def _waited(self, execution: Execution, node: Node, outcome: NodeOutcome) -> NodeState | Wait:
        """Retry it later, until ``patience`` has passed: then a person decides when."""
        known, since, now = execution.waits.get(node.node_id), execution.since.get(node.node_id), self.clock.now()
        wait = progress.next_wait(known, outcome, since, now=now, monotonic=self.clock.monotonic(), backoff=BACKOFF)
        if wait.refused >= TRIES:
            return await self._handed_to_person(execution, node, outcome.why, outcome.seen)
        if now - wait.since >= self.patience:
            given_up = NodeOutcome(wait.state, f"{outcome.why.rstrip('.')}; {progress.GIVEN_UP}")
            return await self._marked(execution, node, given_up, retriable=True)
        if known is None and since is None:
            await self._marked(execution, node, NodeOutcome(wait.state, outcome.why), since=timestamps.rfc3339(wait.since))
        return wait

    async def _probed(self, execution: Execution, node: Node) -> NodeState | Wait:
        """Determine whether there is anything to undo."""
        effects = execution.scope.effects_of(node)
        try:
            found = [await self.compensations.decide(write) for write in effects if write.state in (State.UNKNOWN, State.IN_FLIGHT)]
        except errors.ToolUnreachable as lost:
            return NodeState.UNKNOWN if execution.stopped.is_set() else await self._waited(execution, node, _unread(lost))
        if any(one is None for one in found):
            return await self._marked(execution, node, NodeOutcome(NodeState.UNKNOWN, "its outcome is not yet known"))
        execution.wake()  # it has an answer now: the next plan uses it
        return await self._marked(execution, node, NodeOutcome(NodeState.UNKNOWN, "it was decided; the rollback makes a new plan"))

    async def _handed_to_person(self, execution: Execution, node: Node, why: str, seen: str | None) -> NodeState:
        effects, rollback = execution.scope.effects_of(node), execution.rollback
        task = tasks.of_node(rollback, node, effects, why=why, seen=seen, at=self.clock.now())
        opened = await self.tasks.open(task, tasks.Owner(workflow_id=rollback.workflow_id, generation=rollback.generation))
        return await self._marked(execution, node, NodeOutcome(NodeState.TASK, why, seen=seen), task_id=opened.task_id)

    async def _marked(self, execution: Execution, node: Node, outcome: NodeOutcome, **more: object) -> NodeState:
        said = {"node": node.node_id, "state": outcome.state.value, "why": outcome.why, "seen": outcome.seen}
        await self.entries.append(execution.rollback, "node", **said, **more)
        return outcome.state

    async def _reread(self, execution: Execution, node_id: str) -> Write | None:
        """Read the attempts at a node again: later nodes on its object are guarded by the version they left. Returns the newest."""
        execution.attempts.add(await self.records.compensations(execution.rollback.rollback_id, node_id))
        return execution.attempts.newest(node_id)

    def _order(self, execution: Execution, node: Node) -> CompensationRequest:
        attempts, follows = execution.attempts, node.guard_follows
        state = execution.schedule.states.get(follows) if follows is not None else None
        return CompensationRequest(
            rollback=execution.rollback,
            node=node,
            run=execution.scope.runs[node.run_id],
            effects=execution.scope.effects_of(node),
            guard=progress.guard(node, attempts.of_object(node.target.object), attempts.of_node(follows), state),
            fence=execution.fence,
        )


def _unread(lost: errors.ToolUnreachable) -> NodeOutcome:
    return NodeOutcome(NodeState.UNKNOWN, f"the tool cannot be read to decide whether it was applied: {lost.detail}", again=True)


@dataclass(frozen=True, slots=True)
class StateFindings:
    """``violations``: what policy said; ``differing``: objects that are not as they should be; ``unseen``: those that could not be read.

    ``open`` may resolve a little later: objects that were restored and could not be read, and a policy engine that did not answer.
    """

    differing: tuple[tuple[Node, Examined], ...]
    violations: tuple[Reason, ...]
    unseen: tuple[str, ...] = ()
    open: tuple[str, ...] = ()

    @property
    def residue(self) -> list[str]:
        return [*(about_object(node, one.why) for node, one in self.differing), *self.violated]

    @property
    def violated(self) -> list[str]:
        return [f"invariant {one.code}: {one.message}" for one in self.violations]


@dataclass(frozen=True, slots=True)
class OutcomeCheck:
    """The outcome of a rollback when no node runs any more: from its nodes' states, and from the tools' state, never from a receipt.

    ``patience``: seconds for which a tool that cannot be read, or policy that cannot be asked, is waited for.
    """

    compensations: Compensations
    rules: Rules
    replica: OrderReplica
    records: RollbackRecords
    clock: Clock
    patience: float

    async def __call__(self, run: Run, execution: Execution) -> tuple[RollbackStatus, tuple[str, ...]]:
        """The final status, and the residue, a sentence each. A rollback ends only once every object that it restored was read."""
        rollback, planned, states = execution.rollback, execution.scope.plan, execution.schedule.states
        status = execution.schedule.status
        left = progress.residue(planned, states, await self.records.marks(rollback.rollback_id, rollback.run_id))
        if status not in (RollbackStatus.CLEAN, RollbackStatus.RESIDUE):
            return status, tuple(left)
        known: dict[str, Examined] = {}
        tries, since = 0, None
        while not execution.stopped.is_set():
            found = await self.examine(run, execution.scope, states, known)
            if not found.open:
                return RollbackStatus.RESIDUE if left or found.residue else status, (*left, *found.residue)
            now, tries = self.clock.now(), tries + 1
            since = now if since is None else since
            if now - since >= self.patience:
                return RollbackStatus.NEEDS_OPERATOR, (*left, *(f"{one.rstrip('.')}; {progress.GIVEN_UP}" for one in found.open))
            execution.unseen = found.open
            await execution.pause(BACKOFF.pause(tries))
        return status, tuple(left)

    async def examine(self, run: Run, scope: RollbackScope, states: States, known: dict[str, Examined]) -> StateFindings:
        """Read the objects of the plan, and evaluate the invariants. Objects in ``known`` (by node) were read before and are not read
        again; new ones are added, so that an unstable tool need not return everything at once.
        """
        found = await self._read(scope, states, known)
        seen = [(node, one) for node, one in found if isinstance(one, Examined)]
        differing = tuple([(node, one) for node, one in seen if one.as_expected is False])
        unseen = [(node, about_object(node, one.why)) for node, one in found if isinstance(one, NotExamined)]
        violations, answered = await self._violations(run, scope, seen)
        restored = [why for node, why in unseen if states.get(node.node_id) in (NodeState.DONE, NodeState.NOTHING)]
        unanswered = [] if answered else [one.message for one in violations]
        return StateFindings(differing, violations, tuple([why for _, why in unseen]), (*restored, *unanswered))

    async def _read(self, scope: RollbackScope, states: States, known: dict[str, Examined]) -> list[tuple[Node, Examined | NotExamined]]:
        gate = asyncio.Semaphore(READ_AT_ONCE)

        async def read(node: Node) -> Examined | NotExamined | None:
            if node.node_id in known:
                return known[node.node_id]
            async with gate:
                effects, state = scope.effects_of(node), states.get(node.node_id, NodeState.PENDING)
                found = await self.compensations.examine(node, scope.runs[node.run_id], effects, state)
            if isinstance(found, Examined):
                known[node.node_id] = found
            return found

        nodes = _last(scope, states).values()
        found = await asyncio.gather(*map(read, nodes))
        return [(node, one) for node, one in zip(nodes, found, strict=True) if one is not None]

    async def _violations(self, run: Run, scope: RollbackScope, seen: Sequence[tuple[Node, Examined]]) -> tuple[tuple[Reason, ...], bool]:
        """What policy said, and whether it answered: if not, that is a violation."""
        mode = self.replica.hold(run, run.generation, None, now=self.clock.now()).mode
        nodes = [rules.node_document(node, scope.effects_of(node)) for node in scope.plan.nodes]
        document = rules.invariants_document(run=run, mode=mode, objects=[_object(*one) for one in seen], plan={"nodes": nodes})
        try:
            return rules.parse_invariants(await self.rules.ask(rules.INVARIANTS, document)), True
        except errors.PolicyUnavailable as down:
            return rules.unsound(down.detail), False


def _last(scope: RollbackScope, states: States) -> dict[str, Node]:
    """For each object the node that shows how it has to be: the last one that was executed, else its newest."""
    found: dict[str, Node] = {}
    for node in scope.plan.nodes:
        if node.target.id and (node.target.object not in found or states.get(node.node_id) is NodeState.DONE):
            found[node.target.object] = node
    return found


def _object(node: Node, seen: Examined) -> dict[str, object]:
    target = node.target
    shown: dict[str, object] = {"system": target.system, "type": target.type, "id": target.id, "exists": seen.exists}
    named = {"tool": target.tool, "tenant": target.tenant, "version": seen.version, "state": exact_json.for_policy(seen.state)}
    return shown | {name: value for name, value in named.items() if value is not None}


def about_object(node: Node, why: str) -> str:
    """What is said of a node's object."""
    return f"{node.target.short}: {why}"
