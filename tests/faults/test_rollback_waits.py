"""What a rollback cannot do now and may later: it waits, sends nothing twice, and makes no task of it. Judged by the tool's own log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.clients.rego.engine import EmbeddedEngine
from gateway.control.rollback.execution import RollbackView
from gateway.model.call import Outgoing
from gateway.model.entry import Kind
from gateway.model.review import TaskKind
from gateway.model.rollback import START, NodeState, RollbackStatus
from gateway.pipeline.stages import probe
from tests.faults.test_policy_engine_faults import asking
from tests.faults.test_rollback import ASKING, BEFORE, Scene, days, dead_or_ended, doc, scene
from tests.support import opa
from tests.support.failpoints import Failpoints, World, recovered
from tests.support.ledger import Ledger
from tests.support.rig import ROOT, Rig, until, until_async
from tests.support.toolmodel import Day, Tool
from tests.support.toolmodel_runs import configured, hastened, modelled

NAMES = [f"d{number}" for number in range(40)]
SOON_OVER = "rollback: {patience: 100ms}\n"


def is_away(_: Outgoing) -> bool:
    return True


def is_there(_: Outgoing) -> bool:
    return False


def away_for(*names: str) -> Callable[[Outgoing], bool]:
    """Only calls about these documents do not reach the tool."""
    return lambda request: request.target.split("/")[-1] in names


async def told(made: Scene, rollback_id: str) -> RollbackView:
    return await made.rig.gateway.recovery.rollbacks.view(rollback_id)


async def waiting(made: Scene, rollback_id: str) -> set[str]:
    """The documents whose compensations wait."""
    found = await told(made, rollback_id)
    return {node.target.id for node in found.plan.nodes if found.waits.get(node.node_id) and node.target.id}


async def all_wait(made: Scene, rollback_id: str, *names: str) -> None:
    async def there() -> bool:
        return await waiting(made, rollback_id) == set(names)

    await until_async(there, 30.0)


async def marks(made: Scene, rollback_id: str) -> list[dict[str, Any]]:
    return [one for one in await made.rig.journal(made.run_id, Kind.ROLLBACK) if one.get("rollback_id") == rollback_id and "node" in one]


# A tool that is unavailable.


async def test_a_tool_that_is_unavailable_is_waited_for_and_nothing_becomes_a_task(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed(*NAMES)
        made.tool.away = is_away
        rollback_id = await made.roll_back()
        await all_wait(made, rollback_id, *NAMES)
        await until(lambda: made.tool.missed > 3 * len(NAMES))
        assert (await made.status(rollback_id), await made.tasks()) == (RollbackStatus.RUNNING, [])
        made.tool.away = is_there
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before(*NAMES), made.once(), await made.tasks()) == (True, True, [])
        assert len(await marks(made, rollback_id)) == len(NAMES), "how often it was tried is nothing for the journal"


async def test_where_patience_is_over_a_person_says_when_it_continues(tmp_path: Path) -> None:
    async with scene(tmp_path, extra=SOON_OVER) as made:
        await made.changed("d1", "d2")
        made.tool.away = is_away
        rollback_id = await made.roll_back()
        for _ in range(2):
            given_up = await made.comes_to(rollback_id, RollbackStatus.NEEDS_OPERATOR)
            assert set(given_up.states.values()) == {NodeState.WAITING}
            assert {mark.retriable for mark in given_up.marks.values()} == {True}
            assert all("rollbacks continue" in sentence for sentence in given_up.rollback.residue)
            assert await made.tasks() == []
            made.tool.missed = 0
            assert (await made.resume(rollback_id)).status is RollbackStatus.RUNNING
            await until(lambda: made.tool.missed)
        await made.comes_to(rollback_id, RollbackStatus.NEEDS_OPERATOR)
        made.tool.away = is_there
        await made.resume(rollback_id)
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before("d1", "d2"), made.once(), await made.tasks()) == (True, True, [])


async def test_a_conflict_is_a_task_nevertheless_and_is_not_tried_again(tmp_path: Path) -> None:
    async with scene(tmp_path, extra=SOON_OVER) as made:
        await made.changed("d1", "d2")
        theirs = {"value": 77, "sum": 7}
        made.tool.edit(doc("d2"), theirs)
        made.tool.away = away_for("d1")
        rollback_id = await made.roll_back()
        found = await made.comes_to(rollback_id, RollbackStatus.NEEDS_OPERATOR)
        (task,) = await made.tasks()
        assert {node.target.id: found.states[node.node_id] for node in found.plan.nodes} == {"d1": NodeState.WAITING, "d2": NodeState.TASK}
        made.tool.away = is_there
        await made.resume(rollback_id)
        await made.comes_to(rollback_id, RollbackStatus.RESIDUE)
        assert (made.as_before("d1"), made.tool.now(doc("d2")), await made.tasks()) == (True, theirs, [task])


async def test_what_depends_on_what_waits_does_so_too_and_all_else_continues(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed(*NAMES)
        assert await made.call("POST", "docs/d1/adjust", {"by": 5, "minus": -5, "ref": "a"}) == 200
        made.tool.away = away_for("d1", "adjust")
        rollback_id = await made.roll_back()
        await until(lambda: made.as_before(NAMES[0], *NAMES[2:]))
        found = await told(made, rollback_id)
        of_d1 = [(node.action, found.states.get(node.node_id)) for node in found.plan.nodes if node.target.id == "d1"]
        assert [action for action, _ in of_d1] == ["doc.adjust", "doc.change"]
        assert [state for _, state in of_d1] == [NodeState.WAITING, None], "the other may only follow"
        made.tool.away = is_there
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.once(), await made.tasks()) == (True, [])


async def test_a_tool_that_swallows_calls_keeps_few_places_of_those_that_others_need(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed("other", *NAMES)
        assert await made.call("POST", "docs/other/adjust", {"by": 5, "minus": -5, "ref": "a"}) == 200
        made.tool.away = lambda request: "docs/d" in request.target
        made.tool.hold = asyncio.Event()
        rollback_id = await made.roll_back()
        await all_wait(made, rollback_id, *NAMES)
        made.tool.hold.set()
        await until(lambda: made.as_before("other"))
        assert await made.status(rollback_id) is RollbackStatus.RUNNING
        made.tool.away = is_there
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)


async def test_a_stop_works_at_once_while_it_waits_and_a_continue_has_new_patience(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed("d1", "d2")
        made.tool.away = is_away
        rollback_id = await made.roll_back()
        await all_wait(made, rollback_id, "d1", "d2")
        assert (await made.stop(rollback_id)).status is RollbackStatus.STOPPED
        await until(lambda: not made.rig.gateway.recovery.rollbacks.is_executing(rollback_id))
        made.tool.away, missed = is_there, made.tool.missed
        assert (made.tool.missed, len(made.tool.log)) == (missed, 4), "nothing is sent that was stopped"
        stopped = await told(made, rollback_id)
        assert set(stopped.states.values()) == {NodeState.WAITING}
        await made.resume(rollback_id)
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before("d1", "d2"), made.once()) == (True, True)


async def test_an_approval_that_is_given_while_others_wait_for_a_tool_is_acted_on(tmp_path: Path) -> None:
    async with scene(tmp_path, ASKING) as made:
        await made.changed("d1")
        assert await made.call("POST", "notes", {"ref": "n"}) == 201
        made.tool.away = away_for("d1")
        rollback_id = await made.roll_back()
        asked = await made.approval()
        await all_wait(made, rollback_id, "d1")
        await made.rig.gateway.control.approvals.decide(asked.approval_id, grant=True, reason="looked", by="a person")
        await until(lambda: made.tool.now(("acme", "notes", "notes-1")) is None)
        await all_wait(made, rollback_id, "d1")
        assert await made.status(rollback_id) is RollbackStatus.RUNNING
        made.tool.away = is_there
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before("d1"), made.once()) == (True, True)


async def test_an_effect_without_a_version_waits_too_and_is_offset_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        assert await made.call("POST", "tallies/t1", {"by": 5, "minus": -5, "ref": "a"}) == 200
        made.tool.away = is_away
        rollback_id = await made.roll_back()
        await until(lambda: made.tool.missed > 5)
        made.tool.away = is_there
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.tool.now(("acme", "tallies", "t1")), made.once()) == ({"sum": 0}, True)


# A process that ends.


@pytest.mark.parametrize("extra", ["", SOON_OVER], ids=["patient", "patience is over"])
async def test_anyone_who_comes_up_continues_what_waited_and_has_no_more_patience_than_was_left(tmp_path: Path, extra: str) -> None:
    async with scene(tmp_path) as made:
        await made.changed("d1", "d2")
        made.tool.away = is_away
        rollback_id = await made.roll_back()
        await all_wait(made, rollback_id, "d1", "d2")
        since = {node_id: wait.since for node_id, wait in (await told(made, rollback_id)).waits.items()}
        made.rig.gateway.recovery.rollbacks.stop_all()
        await until(lambda: not made.rig.gateway.recovery.rollbacks.is_executing(rollback_id))
        assert await made.status(rollback_id) is RollbackStatus.RUNNING
    await asyncio.sleep(0.1)
    async with hastened(), modelled(tmp_path, made.tool, extra=extra) as rig:
        made.rig = rig
        assert await rig.gateway.recovery.rollbacks.adopt() == 1
        if extra:
            await made.comes_to(rollback_id, RollbackStatus.NEEDS_OPERATOR)
            made.tool.away = is_there
            await made.resume(rollback_id)
        else:
            await all_wait(made, rollback_id, "d1", "d2")
            waits = (await told(made, rollback_id)).waits
            assert {node_id: round(wait.since, 3) for node_id, wait in waits.items()} == {
                node_id: round(one, 3) for node_id, one in since.items()
            }
            made.tool.away = is_there
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before("d1", "d2"), made.once(), await made.tasks()) == (True, True, [])


@pytest.mark.parametrize("at", range(1, 60, 4))
async def test_wherever_a_process_dies_whose_tool_comes_and_goes_nothing_is_sent_twice(tmp_path: Path, at: int) -> None:
    # By chance: calls that are repeated in step would meet a tool that comes and goes by their number away for ever.
    chance = random.Random(at)
    tool = Tool(away=lambda _: chance.random() < 0.5)
    engine = EmbeddedEngine(ROOT / "policies", mint=lambda kind: f"{kind}_1", report=lambda *_: None)
    world, points = World(configured(tmp_path), tool, engine), Failpoints()
    async with hastened():
        async with world.alive(points) as gateway:
            made = Scene(Rig(gateway, Ledger()), tool)
            await made.open()
            tool.away, flapping = is_there, tool.away
            await made.changed("d1", "d2", "d3")
            for name in ("t1", "t2"):
                assert await made.call("POST", f"tallies/{name}", {"by": 5, "minus": -5, "ref": name}) == 200
            await made.contain()
            tool.away = flapping
            begun = await made.start()
            points.arm(at)
            await until_async(lambda: dead_or_ended(made, begun.rollback_id, points), 30.0)
        async with world.alive(Failpoints()) as gateway:
            made.rig = Rig(gateway, Ledger())
            await recovered(gateway)
            await _closed(made, begun.rollback_id)
            assert (made.as_before("d1", "d2", "d3"), made.once()) == (True, True)
            assert [tool.now(("acme", "tallies", name)) for name in ("t1", "t2")] == [{"sum": 0}] * 2
    await engine.close()


async def _closed(made: Scene, rollback_id: str) -> None:
    """Its clean end, with a person beside it who says what became of a tally, which no tool can show."""

    async def clean() -> bool:
        for task in await made.rig.gateway.resources.store.registry.tasks(run=made.run_id, limit=1000):
            assert (task.kind, task.target and task.target.type) == (TaskKind.OUTCOME_UNKNOWN, "tally")
            if task.resolution is None:
                word = "applied" if made.tool.applied[task.wire_keys[0]] else "not_applied"
                await made.rig.gateway.recovery.tasks.resolve(task.task_id, resolution=word, note="looked", by="a person")
        return await made.status(rollback_id) is RollbackStatus.CLEAN

    await until_async(clean, 60.0)


# What else passes by itself.


async def test_an_opa_that_is_killed_in_the_middle_is_waited_for_and_nothing_is_sent_until_it_is_back(tmp_path: Path) -> None:
    with opa.serving() as server:
        async with hastened(), asking(tmp_path, server.url) as node:
            run = await node.rig.open()
            for number in range(5):
                node.rig.ledger.put("acme", "invoices", f"inv_{number}", status="open")
                path = f"/v1/tenants/acme/invoices/inv_{number}"
                assert (await node.rig.call(run.lease, "PATCH", path, {"status": "void"})).status == 200
            await node.rig.contain(run.run.run_id)
            server.kill()
            rollbacks, run_id = node.rig.gateway.recovery.rollbacks, run.run.run_id
            begun = await rollbacks.start(run_id, subtree=False, to=START, reason="test", by="test")

            async def waits() -> bool:
                found = await rollbacks.view(begun.rollback_id)
                return len(found.waits) == 5 and all("policy engine" in wait.why for wait in found.waits.values())

            async def clean() -> bool:
                return (await rollbacks.view(begun.rollback_id)).rollback.status is RollbackStatus.CLEAN

            await until_async(waits, 30.0)
            assert len(node.rig.ledger.writes) == 5
            await asyncio.to_thread(server.start)
            await until_async(clean, 60.0)
            assert [node.rig.ledger.get("acme", "invoices", f"inv_{number}")["status"] for number in range(5)] == ["open"] * 5
            assert (len(node.rig.ledger.writes), await node.rig.gateway.resources.store.registry.tasks(run=run_id)) == (10, [])


async def test_a_tool_that_has_no_time_is_asked_again_under_new_attempts(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed("d1")
        days(made.tool, *[Day.BUSY] * 8)
        told = await made.comes_to(await made.roll_back(), RollbackStatus.CLEAN)
        tried = await made.rig.gateway.resources.store.rollbacks.compensations(told.rollback.rollback_id)
        assert [write.attempt for write in tried] == list(range(1, 10))
        assert (made.as_before("d1"), made.once(), await made.tasks()) == (True, True, [])


async def test_what_may_have_been_applied_when_the_tool_went_away_is_looked_at_and_not_sent_again(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed(*NAMES)

        def day(request: Outgoing) -> Day:
            if request.method == "PUT":
                made.tool.away = is_away
                return Day.LOST_AFTER if request.target.endswith(("0", "2", "4", "6", "8")) else Day.LOST_BEFORE
            return Day.GOOD

        made.tool.day = day
        rollback_id = await made.roll_back()
        await all_wait(made, rollback_id, *NAMES)
        found = await told(made, rollback_id)
        assert {wait.state for wait in found.waits.values()} == {NodeState.UNKNOWN, NodeState.WAITING}
        await until(lambda: made.tool.missed > 10 * len(NAMES))
        assert (await made.status(rollback_id), await _unknown_tasks(made)) == (RollbackStatus.RUNNING, [])
        made.tool.day, made.tool.away = lambda _: Day.GOOD, is_there
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before(*NAMES), made.once(), await _unknown_tasks(made)) == (True, True, [])


async def test_what_the_run_may_have_done_is_found_out_once_its_tool_is_back_and_by_nobody_before(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed("d1")
        made.tool.edit(doc("d2"), BEFORE)
        days(made.tool, Day.LOST_AFTER, of="PATCH")
        assert await made.call("PATCH", "docs/d2", {"value": 9}) >= 500
        made.tool.away = is_away
        rollback_id = await made.roll_back()
        await all_wait(made, rollback_id, "d1", "d2")
        await until(lambda: made.tool.missed > 20)
        assert (await made.status(rollback_id), await _unknown_tasks(made)) == (RollbackStatus.RUNNING, [])
        made.tool.away = is_there
        await made.comes_to(rollback_id, RollbackStatus.RESIDUE)
        # What is there is as the run asked, and others may have done it too.
        assert (made.as_before("d1"), made.once(), len(await _unknown_tasks(made))) == (True, True, 1)
        assert made.tool.now(doc("d2")) == {**BEFORE, "value": 9}


async def test_what_is_decided_while_another_outcome_is_looked_after_has_it_planned_again_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        made.tool.edit(doc("d1"), BEFORE)
        for path in ("docs/d1/adjust", "tallies/t1"):
            assert await made.call("POST", path, {"by": 5, "minus": -5, "ref": "a"}) == 200
        made.tool.day = lambda request: Day.LOST_AFTER if "tallies" in request.target else Day.FAILED_AFTER
        found = await made.comes_to(await made.roll_back(), RollbackStatus.NEEDS_OPERATOR)
        states = {node.action: found.states[node.node_id] for node in found.plan.nodes}
        assert states == {"doc.adjust": NodeState.DONE, "tally.add": NodeState.UNKNOWN}
        assert (found.rollback.owner_epoch < 5, made.once(), len(await _unknown_tasks(made))) == (True, True, 1)


async def test_a_person_is_asked_about_what_its_tool_does_not_show_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "UNSEEN", 0.1)
    async with scene(tmp_path) as made:
        made.tool.edit(doc("d1"), BEFORE)
        days(made.tool, Day.LOST_AFTER, of="PATCH")
        assert await made.call("PATCH", "docs/d1", {"value": 9}) >= 500
        made.tool.away = is_away

        async def asked() -> bool:
            return bool(await _unknown_tasks(made))

        await until_async(asked, 30.0)
        (task,) = await made.rig.gateway.resources.store.registry.tasks(run=made.run_id)
        assert "has not returned" in task.summary


async def _unknown_tasks(made: Scene) -> list[str]:
    return [task.task_id for task in await made.rig.gateway.resources.store.registry.tasks(run=made.run_id, limit=1000)]


# The look in the end.


async def test_it_is_over_only_once_everything_that_was_compensated_was_seen(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed("d1")

        def away(request: Outgoing) -> bool:
            return made.tool.now(doc("d1")) == BEFORE

        made.tool.away = away
        rollback_id = await made.roll_back()

        async def unseen() -> bool:
            return bool((await told(made, rollback_id)).unseen)

        await until_async(unseen, 30.0)
        assert (await made.status(rollback_id), made.as_before("d1")) == (RollbackStatus.RUNNING, True)
        made.tool.away = is_there
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.once(), await made.tasks()) == (True, [])


async def test_what_could_not_be_seen_in_the_end_is_read_again_by_a_continue(tmp_path: Path) -> None:
    async with scene(tmp_path, extra=SOON_OVER) as made:
        await made.changed("d1")
        made.tool.away = lambda _: made.tool.now(doc("d1")) == BEFORE
        rollback_id = await made.roll_back()
        found = await made.comes_to(rollback_id, RollbackStatus.NEEDS_OPERATOR)
        assert "rollbacks continue" in found.rollback.residue[0]
        made.tool.away = is_there
        await made.resume(rollback_id)
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert made.once()
