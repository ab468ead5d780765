"""After a rollback: every touched object read again, and the invariants asked. The tool's state counts, never a receipt.

The outcome of a rollback when no node runs any more: from its nodes' states and from the tools' state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway import errors
from gateway.control.containment.containment import OrderReplica
from gateway.control.rollback import executor
from gateway.control.rollback.execution import Execution
from gateway.control.rollback.scope import RollbackScope
from gateway.core.policy import rules
from gateway.core.rollback import progress
from gateway.core.rollback.progress import Wait
from gateway.model.decision import Reason
from gateway.model.rollback import Node, NodeState, RollbackStatus
from gateway.model.run import Run
from gateway.ports.clock import Clock
from gateway.ports.rollback import Compensations, Examined, NotExamined, RollbackRecords
from gateway.ports.rules import Rules

PARALLEL = 16


@dataclass(frozen=True, slots=True)
class Soundness:
    """``violations``: what policy said; ``differing``: objects that are not as they should be; ``unseen``: those that could not be read.

    ``open`` is what may show a little later: objects that were undone and could not be read, and that policy gave no answer.
    """

    differing: tuple[tuple[Node, Examined], ...]
    violations: tuple[Reason, ...]
    unseen: tuple[str, ...] = ()
    open: tuple[str, ...] = ()

    @property
    def residue(self) -> list[str]:
        return [*(named(node, one.why) for node, one in self.differing), *self.violated]

    @property
    def violated(self) -> list[str]:
        return [f"invariant {one.code}: {one.message}" for one in self.violations]


@dataclass(frozen=True, slots=True)
class StateCheck:
    compensations: Compensations
    rules: Rules
    replica: OrderReplica
    clock: Clock

    async def __call__(
        self, run: Run, scope: RollbackScope, states: Mapping[str, NodeState], *, known: dict[str, Examined] | None = None
    ) -> Soundness:
        """Read the objects of the plan, and evaluate the invariants. Objects in ``known`` (by node) were read before and are not read
        again; new ones are added, so that an unstable tool need not return everything at once.
        """
        found = await self._examined(list(_last(scope, states).values()), scope, states, {} if known is None else known)
        seen = [(node, one) for node, one in found if isinstance(one, Examined)]
        differing = tuple((node, one) for node, one in seen if one.as_expected is False)
        unseen = [(node, named(node, one.why)) for node, one in found if isinstance(one, NotExamined)]
        violations, unasked = await self._violations(run, scope, seen)
        taken_back = [why for node, why in unseen if states.get(node.node_id) in (NodeState.DONE, NodeState.NOTHING)]
        return Soundness(differing, violations, tuple(why for _, why in unseen), (*taken_back, *unasked))

    async def _examined(
        self, nodes: Sequence[Node], scope: RollbackScope, states: Mapping[str, NodeState], known: dict[str, Examined]
    ) -> list[tuple[Node, Examined | NotExamined]]:
        gate = asyncio.Semaphore(PARALLEL)

        async def look(node: Node) -> Examined | NotExamined | None:
            if node.node_id in known:
                return known[node.node_id]
            async with gate:
                effects, state = scope.effects_of(node), states.get(node.node_id, NodeState.PENDING)
                shown = await self.compensations.examine(node, scope.runs[node.run_id], effects, state)
            if isinstance(shown, Examined):
                known[node.node_id] = shown
            return shown

        found = await asyncio.gather(*(look(node) for node in nodes))
        return [(node, one) for node, one in zip(nodes, found, strict=True) if one is not None]

    async def _violations(
        self, run: Run, scope: RollbackScope, seen: Sequence[tuple[Node, Examined]]
    ) -> tuple[tuple[Reason, ...], tuple[str, ...]]:
        """What policy says, and why it said nothing: then that is a violation."""
        mode = self.replica.hold(run, run.generation, None, now=self.clock.now()).mode
        nodes = [rules.node_document(node, scope.effects_of(node)) for node in scope.plan.nodes]
        document = rules.invariants_document(run=run, mode=mode, objects=[_object(*one) for one in seen], plan={"nodes": nodes})
        try:
            return rules.parse_invariants(await self.rules.ask(rules.INVARIANTS, document)), ()
        except errors.PolicyUnavailable as down:
            violations = rules.unsound(down.detail)
            return violations, tuple(one.message for one in violations)


def _last(scope: RollbackScope, states: Mapping[str, NodeState]) -> dict[str, Node]:
    """For each object the node that shows how it has to be: the last one that was executed, else its newest."""
    found: dict[str, Node] = {}
    for node in scope.plan.nodes:
        if node.target.id and (node.target.object not in found or states.get(node.node_id) is NodeState.DONE):
            found[node.target.object] = node
    return found


def _object(node: Node, seen: Examined) -> dict[str, object]:
    target = node.target
    shown: dict[str, object] = {"system": target.system, "type": target.type, "id": target.id, "exists": seen.exists}
    named = {"tenant": target.tenant, "version": seen.version, "state": seen.state}
    return shown | {name: value for name, value in named.items() if value is not None}


def named(node: Node, why: str) -> str:
    """What is said of a node's object."""
    return f"{node.target.type}:{node.target.id}: {why}"


_OVER = (RollbackStatus.CLEAN, RollbackStatus.RESIDUE)


@dataclass(frozen=True, slots=True)
class OutcomeCheck:
    """``patience``: seconds for which a tool that cannot be looked at, or policy that cannot be asked, is waited for."""

    state_check: StateCheck
    records: RollbackRecords
    clock: Clock
    patience: float

    async def __call__(self, run: Run, execution: Execution) -> tuple[RollbackStatus, tuple[str, ...]]:
        """The state it comes to, and what is left: a sentence each. It is over only once everything that was undone was seen."""
        rollback, planned, states = execution.rollback, execution.scope.plan, execution.schedule.states
        status = execution.schedule.status
        left = progress.residue(planned, states, await self.records.marks(rollback.rollback_id, rollback.run_id))
        if status not in _OVER:
            return status, tuple(left)
        wait: Wait | None = None
        known: dict[str, Examined] = {}
        while not execution.stopped.is_set():
            found = await self.state_check(run, execution.scope, states, known=known)
            if not found.open:
                return RollbackStatus.RESIDUE if left or found.residue else status, (*left, *found.residue)
            now, why = self.clock.now(), "the state cannot be verified"
            wait = progress.longer(wait, NodeState.WAITING, why, now=now, monotonic=self.clock.monotonic(), backoff=executor.BACKOFF)
            if now - wait.since >= self.patience:
                return RollbackStatus.NEEDS_OPERATOR, (*left, *(f"{one.rstrip('.')}; {progress.GIVEN_UP}" for one in found.open))
            execution.unseen = found.open
            await execution.pause(executor.BACKOFF.pause(wait.tries))
        return status, tuple(left)
