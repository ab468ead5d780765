"""What a rollback owes when the tool, the journal, a person or an order comes in between. Judged by the tool's own log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway import errors
from gateway.clients.rego.engine import EmbeddedEngine
from gateway.control.rollback.execution import RollbackView
from gateway.control.rollback.scope import WrongRollback
from gateway.control.runs.runs import LeasedRun
from gateway.core.authorization import admission
from gateway.model.call import Outgoing
from gateway.model.review import Approval
from gateway.model.rollback import START, NodeState, Rollback, RollbackStatus
from gateway.model.run import Mode, Scope
from tests.support.failpoints import Failpoints, World, recovered
from tests.support.journaling import typed
from tests.support.ledger import Ledger
from tests.support.rig import ROOT, Rig, until, until_async
from tests.support.toolmodel import ADAPTER, Day, Name, State, Tool
from tests.support.toolmodel_runs import configured, hastened, modelled

ASKING = ADAPTER.replace("by: note.delete, auto: true", "by: note.delete, auto: false")
PATIENT = ADAPTER.replace("settle: 20ms", "settle: 5s")
BEFORE = {"value": 0, "sum": 10}


def doc(name: str) -> Name:
    return ("acme", "docs", name)


@dataclass
class Scene:
    """A run that changed documents of ``acme``, to be compensated."""

    rig: Rig
    tool: Tool
    opened: list[LeasedRun] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        return self.opened[0].run.run_id

    async def open(self, parent: str | None = None) -> LeasedRun:
        asked = admission.RunRequest(tenant="acme", agent_id="agent", scopes=("model:*",), parent_run=parent)
        self.opened.append(await self.rig.gateway.control.runs.open(asked, by="test", reason="test"))
        return self.opened[-1]

    async def call(self, method: str, path: str, body: object = None, by: LeasedRun | None = None) -> int:
        lease = (by or self.opened[0]).lease
        reply = await self.rig.call(lease, method, f"/v1/tenants/acme/{path}", body, tool="model")
        return reply.status

    async def changed(self, *names: str, by: LeasedRun | None = None) -> None:
        for number, name in enumerate(names, 1):
            self.tool.edit(doc(name), BEFORE)
            assert await self.call("PATCH", f"docs/{name}", {"value": number}, by) == 200

    async def contain(self, mode: Mode = Mode.QUARANTINED, run_id: str | None = None) -> None:
        scope = Scope(run=run_id or self.run_id, subtree=True)
        await self.rig.gateway.control.containment.make(scope, mode, reason="test", by="test")

    async def start(self, run_id: str | None = None) -> Rollback:
        rollbacks = self.rig.gateway.recovery.rollbacks
        return await rollbacks.start(run_id or self.run_id, subtree=True, to=START, reason="test", by="test")

    async def roll_back(self) -> str:
        await self.contain()
        return (await self.start()).rollback_id

    async def status(self, rollback_id: str) -> RollbackStatus:
        found = await self.rig.gateway.resources.store.rollbacks.rollback(rollback_id)
        assert found is not None
        return found.status

    async def comes_to(self, rollback_id: str, status: RollbackStatus) -> RollbackView:
        async def there() -> bool:
            return await self.status(rollback_id) is status

        await until_async(there, 30.0)
        return await self.rig.gateway.recovery.rollbacks.view(rollback_id)

    async def resume(self, rollback_id: str) -> Rollback:
        return await self.rig.gateway.recovery.rollbacks.resume(rollback_id, reason="test", by="test")

    async def stop(self, rollback_id: str) -> Rollback:
        return await self.rig.gateway.recovery.rollbacks.stop(rollback_id, reason="test", by="test")

    async def approval(self) -> Approval:
        found: list[Approval] = []

        async def asked() -> bool:
            found[:] = await self.rig.gateway.resources.store.approvals.approvals(run=self.run_id)
            return bool(found)

        await until_async(asked, 30.0)
        return found[0]

    async def tasks(self) -> list[str]:
        return [task.node_id or "" for task in await self.rig.gateway.resources.store.registry.tasks(run=self.run_id) if task.rollback_id]

    def as_before(self, *names: str) -> bool:
        return all(_of(self.tool.now(doc(name))) == BEFORE for name in names)

    def once(self) -> bool:
        return not self.tool.applied or max(self.tool.applied.values()) == 1


def _of(state: State | None) -> dict[str, object]:
    return {name: value for name, value in (state or {}).items() if name != "last"}


@asynccontextmanager
async def scene(folder: Path, adapter: str = ADAPTER, extra: str = "") -> AsyncIterator[Scene]:
    """``extra`` are lines of the configuration."""
    tool = Tool()
    async with hastened(), modelled(folder, tool, adapter, extra) as rig:
        made = Scene(rig, tool)
        await made.open()
        yield made


def days(tool: Tool, *wanted: Day, of: str = "PUT") -> None:
    """The next writes of a method have these days."""
    left = list(wanted)
    tool.day = lambda request: left.pop(0) if left and request.method == of else Day.GOOD


# The tool.


@pytest.mark.parametrize("at", range(4, 40, 4))
async def test_a_compensation_that_is_refused_is_a_persons_and_nothing_is_done_twice_whenever_the_process_dies(
    tmp_path: Path, at: int
) -> None:
    def day(request: Outgoing) -> Day:
        return Day.REFUSED if request.method == "PUT" and request.target.endswith("/d2") else Day.GOOD

    tool = Tool(day)
    engine = EmbeddedEngine(ROOT / "policies", mint=lambda kind: f"{kind}_1", report=lambda *_: None)
    world = World(configured(tmp_path), tool, engine)
    points = Failpoints()
    async with hastened():
        async with world.alive(points) as gateway:
            made = Scene(Rig(gateway, Ledger()), tool)
            await made.open()
            await made.changed("d1", "d2", "d3")
            await made.contain()
            begun = await made.start()
            points.arm(at)
            await until_async(lambda: dead_or_ended(made, begun.rollback_id, points), 30.0)
        async with world.alive(Failpoints()) as gateway:
            made.rig = Rig(gateway, Ledger())
            await recovered(gateway)
            told = await made.comes_to(begun.rollback_id, RollbackStatus.RESIDUE)
            assert made.as_before("d1", "d3")
            assert made.tool.now(doc("d2")) == {**BEFORE, "value": 2}
            assert made.once()
            left = [node.node_id for node in told.plan.nodes if told.states[node.node_id] is not NodeState.DONE]
            assert (len(left), await made.tasks()) == (1, left)
    await engine.close()


async def dead_or_ended(made: Scene, rollback_id: str, points: Failpoints) -> bool:
    return points.dead.is_set() or (await made.status(rollback_id)).ended


@pytest.mark.parametrize("day", [Day.FAILED_AFTER, Day.LOST_AFTER])
async def test_what_was_applied_though_the_answer_was_bad_is_not_sent_again(tmp_path: Path, day: Day) -> None:
    async with scene(tmp_path) as made:
        await made.changed("d1", "d2")
        days(made.tool, day)
        await made.comes_to(await made.roll_back(), RollbackStatus.CLEAN)
        assert made.as_before("d1", "d2")
        assert (made.once(), len(made.tool.log)) == (True, 6)


async def test_a_compensation_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    async with scene(tmp_path, PATIENT) as made:
        await made.changed("d1")
        days(made.tool, Day.LATE)
        rollback_id = await made.roll_back()
        await until(lambda: made.tool.writes == 2)
        made.tool.arrive()
        await until_async(lambda: _decided(made, rollback_id), 30.0)
        if await made.status(rollback_id) is RollbackStatus.NEEDS_OPERATOR:  # on a slow machine patience may have ended before
            await made.resume(rollback_id)
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before("d1"), made.once(), made.tool.writes) == (True, True, 2)


async def _decided(made: Scene, rollback_id: str) -> bool:
    return await made.status(rollback_id) is not RollbackStatus.RUNNING


async def test_a_write_that_comes_late_is_found_and_left_to_a_person(tmp_path: Path) -> None:
    async with scene(tmp_path, PATIENT) as made:
        await made.changed("d2")
        made.tool.edit(doc("d1"), BEFORE)
        days(made.tool, Day.LATE, of="PATCH")
        assert await made.call("PATCH", "docs/d1", {"value": 5}) >= 500
        rollback_id = await made.roll_back()
        await made.comes_to(rollback_id, RollbackStatus.NEEDS_OPERATOR)
        assert made.tool.now(doc("d1")) == BEFORE
        made.tool.arrive()
        late = {**BEFORE, "value": 5}
        assert made.tool.now(doc("d1")) == late
        await made.comes_to(rollback_id, RollbackStatus.RESIDUE)
        # It is there, and nothing but that says whose it is: a person has to correct it.
        assert (made.as_before("d2"), made.tool.now(doc("d1")), made.once()) == (True, late, True)


# People.


async def test_an_edit_between_the_plan_and_the_call_survives(tmp_path: Path) -> None:
    theirs = {"value": 77, "sum": 7}

    def day(request: Outgoing) -> Day:
        if request.method == "PUT" and made.tool.now(doc("d1")) != theirs:
            made.tool.edit(doc("d1"), theirs)
        return Day.GOOD

    async with scene(tmp_path) as made:
        await made.changed("d1")
        made.tool.day = day
        told = await made.comes_to(await made.roll_back(), RollbackStatus.RESIDUE)
        assert made.tool.now(doc("d1")) == theirs
        (task,) = await made.rig.gateway.resources.store.registry.tasks(run=made.run_id)
        assert task.evidence is not None
        assert task.evidence.now == '"3"', "anyone who compares is told what it is at"
        assert await made.tasks() == [told.plan.nodes[0].node_id]


async def test_an_edit_between_two_compensations_of_one_object_survives(tmp_path: Path) -> None:
    theirs = {"value": 77, "sum": 7}

    def day(request: Outgoing) -> Day:
        if request.method == "PUT":
            made.tool.edit(doc("d1"), theirs)
        return Day.GOOD

    async with scene(tmp_path) as made:
        await made.changed("d1")
        assert await made.call("POST", "docs/d1/adjust", {"by": 5, "minus": -5, "ref": "a"}) == 200
        made.tool.day = day
        told = await made.comes_to(await made.roll_back(), RollbackStatus.RESIDUE)
        assert [told.states[node.node_id] for node in told.plan.nodes] == [NodeState.DONE, NodeState.TASK]
        assert made.tool.now(doc("d1")) == theirs


async def test_a_probe_does_not_take_a_persons_later_change_for_the_runs_own(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        made.tool.edit(doc("d1"), BEFORE)
        days(made.tool, Day.LOST_AFTER, of="PATCH")
        assert await made.call("PATCH", "docs/d1", {"value": 5}) >= 500
        theirs = {"value": 5, "sum": 999}
        made.tool.edit(doc("d1"), theirs)
        told = await made.comes_to(await made.roll_back(), RollbackStatus.RESIDUE)
        assert made.tool.now(doc("d1")) == theirs
        assert await made.tasks() == [told.plan.nodes[0].node_id]


@pytest.mark.parametrize(("grant", "status", "left"), [(True, RollbackStatus.CLEAN, 0), (False, RollbackStatus.RESIDUE, 1)])
async def test_an_answer_that_comes_while_another_node_runs_is_heard(
    tmp_path: Path, grant: bool, status: RollbackStatus, left: int
) -> None:
    async with scene(tmp_path, ASKING) as made:
        await made.changed("d1")
        assert await made.call("POST", "notes", {"ref": "n"}) == 201
        made.tool.hold = asyncio.Event()
        rollback_id = await made.roll_back()
        asked = await made.approval()
        await until(lambda: made.tool.writes == 3)
        await made.rig.gateway.control.approvals.decide(asked.approval_id, grant=grant, reason="looked", by="a person")
        assert await made.status(rollback_id) is RollbackStatus.RUNNING
        made.tool.hold.set()
        await made.comes_to(rollback_id, status)
        assert (made.as_before("d1"), len(await made.tasks())) == (True, left)
        assert (made.tool.now(("acme", "notes", "notes-1")) is None) is grant


# Orders and stops.


async def test_a_later_order_on_the_tool_holds_back_what_was_not_sent_until_it_is_released(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed(*(f"d{number}" for number in range(40)))
        made.tool.hold = asyncio.Event()
        rollback_id = await made.roll_back()
        await until(lambda: made.tool.writes == 40 + 16)
        order = await made.rig.gateway.control.containment.make(Scope(tool="model"), Mode.PAUSED, reason="test", by="test")
        made.tool.hold.set()
        told = await made.comes_to(rollback_id, RollbackStatus.STOPPED)
        assert (made.tool.writes, await made.tasks()) == (40 + 16, [])
        assert len(told.rollback.residue) == 24
        await made.rig.gateway.control.containment.release(order.order_id, reason="test", by="test")
        await made.resume(rollback_id)
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before(*(f"d{number}" for number in range(40))), made.once()) == (True, True)


@pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.QUARANTINED, Mode.REVOKED])
async def test_a_runs_own_later_orders_do_not_stop_its_rollback(tmp_path: Path, mode: Mode) -> None:
    async with scene(tmp_path) as made:
        await made.changed("d1", "d2")
        made.tool.hold = asyncio.Event()
        await made.contain(Mode.READ_ONLY)
        begun = await made.start()
        await made.contain(mode)
        made.tool.hold.set()
        await made.comes_to(begun.rollback_id, RollbackStatus.CLEAN)
        assert made.as_before("d1", "d2")


async def test_a_stop_lets_what_is_on_the_wire_end_and_sends_no_more(tmp_path: Path) -> None:
    names = [f"d{number}" for number in range(40)]
    async with scene(tmp_path) as made:
        await made.changed(*names)
        made.tool.hold = asyncio.Event()
        rollback_id = await made.roll_back()
        await until(lambda: made.tool.writes == 40 + 16)
        assert (await made.stop(rollback_id)).status is RollbackStatus.STOPPED
        going_on = asyncio.ensure_future(made.resume(rollback_id))
        await asyncio.sleep(0.05)
        assert (made.tool.writes, going_on.done()) == (40 + 16, False), "what was stopped ends first"
        made.tool.hold.set()
        await going_on
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before(*names), made.once()) == (True, True)


async def test_a_stop_holds_where_the_journal_cannot_be_written_and_is_reported_once_it_can(tmp_path: Path) -> None:
    names = [f"d{number}" for number in range(40)]
    async with scene(tmp_path) as made:
        await made.changed(*names)
        made.tool.hold = asyncio.Event()
        rollback_id = await made.roll_back()
        await until(lambda: made.tool.writes == 40 + 16)
        await _down(made)
        with pytest.raises(errors.JournalUnavailable):
            await made.stop(rollback_id)
        made.tool.hold.set()
        await _up(made)
        await made.comes_to(rollback_id, RollbackStatus.STOPPED)
        assert made.tool.writes == 40 + 16
        await until_async(lambda: _settled(made), 30.0)
        await made.resume(rollback_id)
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before(*names), made.once()) == (True, True)


async def test_a_rollback_continues_once_the_journal_is_back(tmp_path: Path) -> None:
    names = [f"d{number}" for number in range(40)]
    async with scene(tmp_path) as made:
        await made.changed(*names)
        made.tool.hold = asyncio.Event()
        rollback_id = await made.roll_back()
        await until(lambda: made.tool.writes == 40 + 16)
        await _down(made)
        made.tool.hold.set()
        await asyncio.sleep(0.1)
        assert made.tool.writes == 40 + 16, "nothing is sent that the journal does not have"
        await _up(made)
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before(*names), made.once(), await made.tasks()) == (True, True, [])


async def _down(made: Scene) -> None:
    """The disk is full: nothing can be journaled."""
    writer: Any = made.rig.gateway.resources.store._database.writer
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    while made.rig.gateway.resources.store.journal.health().ok:
        try:
            await made.rig.gateway.resources.store.journal.append(
                typed({"ts": "2026-01-01T00:00:00.000000Z", "kind": "finding", "reason": "x" * 4000})
            )
        except errors.JournalUnavailable:
            await asyncio.sleep(0)


async def _up(made: Scene) -> None:
    made.rig.gateway.resources.store._database.writer.execute("PRAGMA max_page_count = 1000000")
    await until(lambda: made.rig.gateway.resources.store.journal.health().ok)


async def _settled(made: Scene) -> bool:
    return not [one for one in await made.rig.gateway.resources.store.writes.unsettled() if one.state.value == "in_flight"]


# Several at once.


async def test_starts_at_once_give_one_rollback(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed("d1", "d2")
        await made.contain()
        begun = await asyncio.gather(*(made.start() for _ in range(8)))
        assert len({one.rollback_id for one in begun}) == 1
        await made.comes_to(begun[0].rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before("d1", "d2"), len(made.tool.log)) == (True, 6)


async def test_continues_at_once_make_one_driver(tmp_path: Path) -> None:
    async with scene(tmp_path, ASKING) as made:
        assert await made.call("POST", "notes", {"ref": "n"}) == 201
        rollback_id = await made.roll_back()
        await made.comes_to(rollback_id, RollbackStatus.NEEDS_OPERATOR)
        await made.stop(rollback_id)
        gone_on = await asyncio.gather(*(made.resume(rollback_id) for _ in range(8)), return_exceptions=True)
        epochs = {one.owner_epoch for one in gone_on if isinstance(one, Rollback)}
        assert len(epochs) == 1
        assert all(isinstance(one, Rollback | WrongRollback) for one in gone_on)


async def test_a_coordinator_is_compensated_with_its_workers_and_no_worker_beside_it(tmp_path: Path) -> None:
    async with scene(tmp_path, ASKING) as made:
        worker = await made.open(made.run_id)
        await made.changed("d1")
        await made.changed("d2", by=worker)
        assert await made.call("POST", "notes", {"ref": "n"}, worker) == 201
        await made.contain()
        begun = await made.start()
        assert (await made.start(worker.run.run_id)).rollback_id == begun.rollback_id
        await made.comes_to(begun.rollback_id, RollbackStatus.NEEDS_OPERATOR)
        assert made.as_before("d1", "d2")


async def test_a_coordinator_waits_for_the_rollback_of_a_worker(tmp_path: Path) -> None:
    async with scene(tmp_path, ASKING) as made:
        worker = await made.open(made.run_id)
        assert await made.call("POST", "notes", {"ref": "n"}, worker) == 201
        await made.contain()
        begun = await made.start(worker.run.run_id)
        await made.comes_to(begun.rollback_id, RollbackStatus.NEEDS_OPERATOR)
        with pytest.raises(WrongRollback, match=begun.rollback_id):
            await made.start()


async def test_a_write_that_is_on_the_wire_when_its_run_is_compensated_is_compensated_too(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed("d1")
        made.tool.edit(doc("d2"), BEFORE)
        made.tool.hold = asyncio.Event()
        writing = asyncio.ensure_future(made.call("PATCH", "docs/d2", {"value": 9}))
        await until(lambda: made.tool.writes == 2)
        await made.contain()
        starting = asyncio.ensure_future(made.start())
        await asyncio.sleep(0.05)
        assert not starting.done(), "its outcome is waited for"
        made.tool.hold.set()
        assert await writing == 200
        await made.comes_to((await starting).rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before("d1", "d2"), made.once()) == (True, True)
