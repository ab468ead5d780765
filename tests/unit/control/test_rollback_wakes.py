"""A decision that arrives while a rollback is between two executions is heeded by the next one, whose plan may be from before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.control.rollback.automatic import RollbackResumer
from gateway.control.rollback.execution import ActiveRollbacks, Attempts, Execution
from gateway.control.rollback.rollbacks import Rollbacks
from gateway.control.rollback.scope import RollbackScope
from gateway.core.rollback.progress import Schedule
from gateway.model.entries import ReconciliationEntry
from gateway.model.entry import Position, Sealed
from gateway.model.rollback import BY_ROLLBACK, START, NodeState, Plan, Rollback, RollbackStatus
from tests.support import journaling as make
from tests.support.journaling import typed

NAME = "rb_1"
NOTHING = Plan(())


def rollback(status: RollbackStatus = RollbackStatus.RUNNING) -> Rollback:
    return Rollback(
        rollback_id=NAME,
        run_id="run_1",
        subtree=False,
        tenant="acme",
        workflow_id="wf_1",
        generation=1,
        to=START,
        since=0,
        reason="test",
        by="test",
        status=status,
        epoch=1,
        owner="here",
        owner_epoch=1,
        plan_ref="plan",
        nodes=0,
        started_at=0.0,
        updated_at=0.0,
    )


def execution(of: Rollback | None = None) -> Execution:
    return Execution(of or rollback(), RollbackScope(NOTHING, {}, {}), Schedule(NOTHING, {}), Attempts())


def test_an_execution_that_begins_heeds_what_was_decided_before_it() -> None:
    active, other = ActiveRollbacks(), execution(replace(rollback(), rollback_id="rb_2"))
    active.decide(NAME)
    active.begin(other)
    assert not other.woken
    first, second = execution(), execution()
    active.begin(first)
    assert first.woken
    active.end(first)
    active.begin(second)
    assert not second.woken, "a decision is heeded once: the plan of the second is from after it"


def test_an_execution_on_its_way_is_woken_at_once() -> None:
    active, running = ActiveRollbacks(), execution()
    active.begin(running)
    active.decide(NAME)
    assert running.woken
    assert running.changed.is_set()
    active.end(running)
    assert not active.decided


@dataclass
class Desk:
    """What a rollback's changes rest on, without a store: ``planning`` holds up the next plan until ``planned`` is set."""

    record: Rollback
    planning: asyncio.Event = field(default_factory=asyncio.Event)
    planned: asyncio.Event = field(default_factory=asyncio.Event)
    plans: int = 0
    status: RollbackStatus = RollbackStatus.NEEDS_OPERATOR
    executed: list[Execution] = field(default_factory=list)
    ended: list[asyncio.Task[None]] = field(default_factory=list)
    reading: Callable[[], None] = lambda: None
    executing: Callable[[Execution], None] = lambda _: None

    async def __call__(self, *_: object, **__: object) -> RollbackScope:
        self.plans += 1
        self.planning.set()
        await self.planned.wait()
        return RollbackScope(NOTHING, {}, {})

    async def begun(self, *_: object, **__: object) -> int:
        return 0

    async def rollback(self, _: str) -> Rollback:
        found = self.record
        self.reading()
        return found

    async def compensations(self, *_: object) -> tuple[()]:
        return ()

    async def marks(self, *_: object) -> dict[str, Any]:
        return {}

    async def run(self, run_id: str) -> object:
        return SimpleNamespace(run_id=run_id, tenant="acme")

    async def plan_of(self, _: Rollback) -> Plan:
        return NOTHING

    async def sealed(self, tenant: str, _: Plan) -> Sealed:
        return Sealed("plan", tenant, b"")

    async def append(self, changed: Rollback, *_: object, **__: object) -> None:
        self.record = changed

    async def executes(self, one: Execution) -> None:
        self.executed.append(one)
        self.executing(one)

    async def outcome(self, *_: object) -> tuple[RollbackStatus, tuple[str, ...]]:
        return self.status, ()

    def rollbacks(self) -> Rollbacks:
        parts: Any = self
        entries: Any = SimpleNamespace(sealed=self.sealed, plan_of=self.plan_of, append=self.append, journal=SimpleNamespace(stream="st"))
        clock: Any = SimpleNamespace(now=lambda: 0.0)
        return Rollbacks(
            scope_query=parts,
            execute=self.executes,  # type: ignore[arg-type]
            outcome=self.outcome,  # type: ignore[arg-type]
            entries=entries,
            records=parts,
            incidents=parts,
            registry=parts,
            containment=parts,
            clock=clock,
            spawn=lambda work: self.ended.append(asyncio.ensure_future(work)),
            owner="here",
            alone=asyncio.Lock(),
        )


async def settled(desk: Desk) -> None:
    while open_ := [one for one in desk.ended if not one.done()]:
        await asyncio.gather(*open_)


async def test_a_decision_between_two_executions_leads_to_one_more_plan() -> None:
    """The first execution is woken while its last node waits: it ends so that the rollback, which runs on, is planned again."""
    desk = Desk(rollback(RollbackStatus.NEEDS_OPERATOR))
    rollbacks = desk.rollbacks()

    def wakes_once(one: Execution) -> None:
        if len(desk.executed) == 1:
            one.wake()
            one.schedule.postpone("node", NodeState.WAITING, 1.0)
            desk.planned.clear()

    desk.executing = wakes_once
    desk.planned.set()
    await rollbacks.continue_waiting(NAME)
    desk.planning.clear()
    await desk.planning.wait()
    assert desk.record.status is RollbackStatus.RUNNING
    assert not rollbacks.active.executions
    await rollbacks.continue_waiting(NAME)  # the plan that is being made may be from before this
    desk.planned.set()
    await settled(desk)
    assert [one.woken for one in desk.executed] == [True, True, False]
    assert (desk.plans, desk.record.status) == (3, RollbackStatus.NEEDS_OPERATOR)
    assert not rollbacks.active.decided
    assert not rollbacks.active.executions


async def test_a_decision_wakes_an_execution_that_begins_while_its_rollback_is_looked_up() -> None:
    desk = Desk(rollback())
    rollbacks = desk.rollbacks()
    begins = execution()
    desk.reading = lambda: rollbacks.active.begin(begins)
    await rollbacks.continue_waiting(NAME)
    assert begins.woken


async def test_a_decision_counts_although_another_continued_the_rollback_meanwhile() -> None:
    """The other's execution is over, and its next plan, which may be from before this decision, is being made."""
    desk = Desk(rollback(RollbackStatus.NEEDS_OPERATOR))
    rollbacks = desk.rollbacks()
    waking = asyncio.ensure_future(rollbacks.continue_waiting(NAME))
    await desk.planning.wait()
    desk.record = replace(rollback(), owner_epoch=2)
    desk.planned.set()
    await waking
    assert not desk.executed
    assert rollbacks.active.decided == {NAME}


async def test_without_a_decision_a_rollback_waits_after_one_execution() -> None:
    desk = Desk(rollback(RollbackStatus.NEEDS_OPERATOR))
    desk.planned.set()
    await desk.rollbacks().continue_waiting(NAME)
    await settled(desk)
    assert [one.woken for one in desk.executed] == [False]
    assert (desk.plans, desk.record.status) == (1, RollbackStatus.NEEDS_OPERATOR)


@pytest.mark.parametrize(
    ("by", "of_rollback", "woken"),
    [("a person", NAME, True), ("probe", NAME, True), ("a person", None, True), (BY_ROLLBACK, NAME, False), (BY_ROLLBACK, None, True)],
)
async def test_a_conclusion_wakes_what_waits_for_it_unless_its_own_execution_drew_it(by: str, of_rollback: str | None, woken: bool) -> None:
    """The task that a person resolves may belong to another run: then only the conclusion is an entry of the rollback's run."""
    continued: list[str] = []

    async def continue_waiting(rollback_id: str) -> None:
        continued.append(rollback_id)

    async def rollbacks_of(**_: object) -> list[Rollback]:
        return [rollback()]

    async def no_run(_: str) -> None:
        return None

    spawned: list[asyncio.Task[None]] = []
    decided: list[str] = []

    async def decided_about(target_object: str) -> None:
        decided.append(target_object)

    parts: Any = SimpleNamespace(continue_waiting=continue_waiting, decided_about=decided_about, rollbacks=rollbacks_of, run=no_run)
    resumer = RollbackResumer(parts, parts, parts, lambda work: spawned.append(asyncio.ensure_future(work)))
    more = {} if of_rollback is None else {"rollback_id": of_rollback}
    entry = typed(make.reconciliation("undo") | {"by": by} | more)
    resumer.on_entry(entry, Position("st", 7))
    await asyncio.gather(*spawned)
    assert continued == ([NAME] if woken else [])
    assert isinstance(entry, ReconciliationEntry)
    assert decided == ([entry.target.object] if woken else []), "rollbacks of other runs may wait for a write to this object"


async def test_a_rollback_is_about_its_objects_until_it_has_ended() -> None:
    """What became of another run's write to one of them continues it."""
    desk = Desk(rollback(RollbackStatus.NEEDS_OPERATOR))
    desk.planned.set()
    rollbacks = desk.rollbacks()
    await rollbacks.continue_waiting(NAME)
    await settled(desk)
    assert rollbacks.active.objects == {NAME: frozenset()}
    rollbacks.active.objects[NAME] = frozenset({"acme/erp/erp:invoice:1"})
    await rollbacks.decided_about("acme/erp/erp:invoice:2")
    await settled(desk)
    assert len(desk.executed) == 1
    await rollbacks.decided_about("acme/erp/erp:invoice:1")
    await settled(desk)
    assert len(desk.executed) == 2
    desk.status = RollbackStatus.RESIDUE
    rollbacks.active.objects[NAME] = frozenset({"acme/erp/erp:invoice:1"})
    await rollbacks.decided_about("acme/erp/erp:invoice:1")
    await settled(desk)
    assert not rollbacks.active.objects
