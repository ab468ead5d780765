"""A rollback of one run, as a test describes it: its writes, the nodes of its plan, and who drives it where there is no tool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec.structs import replace

from gateway.clients.keys.vault import TenantVault
from gateway.control.containment.containment import Containment
from gateway.control.review.approvals import Approvals
from gateway.control.review.tasks import Tasks
from gateway.control.rollback.execution import RollbackEntries
from gateway.control.rollback.executor import Executor, OutcomeCheck
from gateway.control.rollback.rollbacks import Rollbacks
from gateway.control.rollback.scope import RollbackPlanner
from gateway.core.adapter.catalog import Undo
from gateway.model.call import Compensation, CompensationRecord, Remedy, Reversibility, Target
from gateway.model.effect import State, Write
from gateway.model.entry import Position
from gateway.model.rollback import CompensationKind, Node, NodeAction, NodeOutcome, NodeState, Rollback, RollbackStatus
from gateway.model.run import Run
from gateway.ports.clock import Clock
from gateway.ports.journal import IntentRequest
from gateway.ports.rollback import CompensationRequest, Examined, Proposal
from gateway.stores.sqlite import SqliteStore
from tests.support import journaling

UNDOS = {("erp", "invoice.update"): Undo(remedy=Remedy.RESTORE_PREVIOUS_VERSION, by="invoice.replace", automatic=True)}
TARGET = Target("erp", "invoice", "inv_1", "acme", "erp")

ROLLBACK = Rollback(
    rollback_id="rb_1",
    run_id="run_1",
    subtree=False,
    tenant="acme",
    workflow_id="wf_1",
    generation=1,
    to="start",
    since=0,
    reason="wrong prices",
    by="ops",
    status=RollbackStatus.RUNNING,
    epoch=1,
    owner="st_1",
    owner_epoch=1,
    plan_ref="sha256:plan",
    nodes=1,
    started_at=1000.0,
    updated_at=1000.0,
)

NODE = Node(
    node_id="n1",
    effects=("kc-1",),
    run_id="run_1",
    tool="erp",
    action="invoice.update",
    target=TARGET,
    way=NodeAction.CALL,
    remedy=Remedy.RESTORE_PREVIOUS_VERSION,
    why="puts back what was there before",
    original="kc-1",
    by="invoice.replace",
    does=CompensationKind.RESTORES,
    automatic=True,
    guard='"v2"',
)


def written(seq: int) -> Write:
    """A standing write whose intent is at ``seq`` and whose outcome follows it."""
    return Write(
        key=journaling.key(f"write-{seq}"),
        attempt=1,
        wire_key=f"kc-{seq}",
        state=State.STANDING,
        run_id="run_1",
        generation=1,
        step_id=f"s{seq}",
        tool="erp",
        action="invoice.update",
        target=TARGET,
        compensation=Compensation(reversibility=Reversibility.REVERSIBLE, remedy=Remedy.RESTORE_PREVIOUS_VERSION, automatic=True),
        intent=Position("st_1", seq),
        outcome=Position("st_1", seq + 1),
        before_version='"v1"',
        after_version='"v2"',
        method="PATCH",
    )


def opening(name: str, id_: str) -> IntentRequest:
    """An intent whose compensation may be carried out at any time."""
    given = journaling.opening(name, id_=id_)
    way = CompensationRecord(class_=Reversibility.REVERSIBLE, type=Remedy.RESTORE_PREVIOUS_VERSION, auto=True)
    return replace(given, entry=replace(given.entry, compensation=way))


async def until(true: Callable[[], Awaitable[bool]], wait: float = 60.0) -> None:
    """Wait for a condition that has to be asked for."""
    async with asyncio.timeout(wait):
        while not await true():
            await asyncio.sleep(0.01)


class _NoTools:
    """The line of compensating calls of a gateway without tools."""

    async def execute(self, compensating: CompensationRequest) -> NodeOutcome:
        return NodeOutcome(NodeState.TASK, "its tool is not there")

    async def proposal(self, compensating: CompensationRequest) -> Proposal | NodeOutcome:
        return NodeOutcome(NodeState.TASK, "its tool is not there")

    async def decide(self, write: Write) -> bool | None:
        return None

    async def settle_unknown(self, order: CompensationRequest, write: Write) -> bool | None:
        return None

    async def examine(self, node: Node, run: Run, effects: Sequence[Write], state: NodeState) -> Examined | None:
        return None


class _NothingDemanded:
    """Policy that has no invariants."""

    revision = "none"

    async def ask(self, rule: str, document: Mapping[str, object]) -> object:
        return []


def rollbacks(
    store: SqliteStore, clock: Clock, containment: Containment, tasks: Tasks, approvals: Approvals, vault: TenantVault
) -> Rollbacks:
    """Rollbacks over a journal alone: what is planned, told and handed over is real, and nothing can be sent."""
    entries, compensations = RollbackEntries(store.journal, clock, vault), _NoTools()

    async def nowhere(run_id: str, checkpoint_id: str) -> Position | None:
        return None

    scope_query = RollbackPlanner(
        store.registry, store.writes, store.history, store.rollbacks, containment, nowhere, store.journal.stream, clock, UNDOS, ()
    )
    return Rollbacks(
        scope_query=scope_query,
        execute=Executor(compensations, store.rollbacks, tasks, approvals, entries, clock, asyncio.ensure_future, patience=0.0),
        outcome=OutcomeCheck(compensations, _NothingDemanded(), containment.replica, store.rollbacks, clock, patience=0.0),
        entries=entries,
        records=store.rollbacks,
        incidents=store.incidents,
        registry=store.registry,
        containment=containment,
        clock=clock,
        spawn=asyncio.ensure_future,
        owner="here",
        alone=asyncio.Lock(),
    )
