"""Two rollbacks of one run, one after the other: what the one compensated the other leaves alone, and never are both at work."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.control.rollback.execution import RollbackView
from gateway.control.rollback.scope import Busy
from gateway.model.review import ApprovalStatus
from gateway.model.rollback import START, NodeState, RollbackStatus
from tests.faults.test_rollback import ASKING, Scene, scene
from tests.support.rig import until_async

# No versions: nothing at the tool would tell that it was offset before.
OFFSETTING = ASKING.replace("type: delete_created, by: note.delete, auto: false", "type: offsetting_action, by: note.delete, auto: false")


async def stopped_while_it_asks(made: Scene) -> str:
    """A rollback of a changed document and a note, stopped while it waits for an approval to the note's removal."""
    await made.changed("d1")
    assert await made.call("POST", "notes", {"ref": "n"}) == 201
    first = await made.roll_back()
    await made.comes_to(first, RollbackStatus.NEEDS_OPERATOR)
    await made.stop(first)
    return first


async def approved(made: Scene, rollback_id: str) -> None:
    """A person says yes to all that this rollback asks for."""
    approvals = made.rig.gateway.resources.store.approvals

    async def asked() -> bool:
        return any(one.rollback_id == rollback_id for one in await approvals.approvals(run=made.run_id))

    await until_async(asked, 30.0)
    for one in await approvals.approvals(run=made.run_id):
        if one.rollback_id == rollback_id and one.status is ApprovalStatus.PENDING:
            await made.rig.gateway.control.approvals.decide(one.approval_id, grant=True, reason="looked", by="a person")


def states(told: RollbackView) -> list[tuple[str, NodeState]]:
    return [(node.action, told.states[node.node_id]) for node in told.plan.nodes]


async def test_one_that_was_stopped_is_not_continued_beside_another(tmp_path: Path) -> None:
    async with scene(tmp_path, ASKING) as made:
        first = await stopped_while_it_asks(made)
        second = (await made.start()).rollback_id
        await made.comes_to(second, RollbackStatus.NEEDS_OPERATOR)
        with pytest.raises(Busy, match=second):
            await made.resume(first)
        assert await made.status(first) is RollbackStatus.STOPPED
        await made.stop(second)
        assert (await made.resume(first)).rollback_id == first


@pytest.mark.parametrize("adapter", [ASKING, OFFSETTING], ids=["removing", "offsetting"])
async def test_what_another_took_back_meanwhile_is_not_compensated_again(tmp_path: Path, adapter: str) -> None:
    async with scene(tmp_path, adapter) as made:
        first = await stopped_while_it_asks(made)
        second = (await made.start()).rollback_id
        await approved(made, second)
        await made.comes_to(second, RollbackStatus.CLEAN)
        sent = made.tool.writes
        await made.resume(first)
        told = await made.comes_to(first, RollbackStatus.CLEAN)
        assert states(told) == [("note.make", NodeState.NOTHING), ("doc.change", NodeState.DONE)]
        assert (made.tool.writes, await made.tasks(), told.rollback.residue) == (sent, [], ())


async def test_what_another_left_of_an_object_is_still_compensated(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed("d1")
        between = await made.rig.gateway.resources.store.history.tail()
        assert await made.call("PATCH", "docs/d1", {"value": 7}) == 200
        await made.contain()
        rollbacks = made.rig.gateway.recovery.rollbacks
        first = await made.start()
        await made.stop(first.rollback_id)
        place = f"{between.stream}/{between.seq}"
        second = await rollbacks.start(made.run_id, subtree=True, to=place, reason="test", by="test")
        await made.comes_to(second.rollback_id, RollbackStatus.CLEAN)
        await made.resume(first.rollback_id)
        await made.comes_to(first.rollback_id, RollbackStatus.CLEAN)
        assert (made.as_before("d1"), made.once(), await made.tasks()) == (True, True, [])


async def test_a_worker_that_is_rolled_back_automatically_keeps_a_coordinator_waiting(tmp_path: Path) -> None:
    async with scene(tmp_path, ASKING) as made:
        worker = await made.open(made.run_id)
        assert await made.call("POST", "notes", {"ref": "n"}, worker) == 201
        await made.contain()
        rollbacks = made.rig.gateway.recovery.rollbacks
        begun = await rollbacks.start(worker.run.run_id, subtree=False, to=START, reason="test", by="test")
        with pytest.raises(Busy, match=begun.rollback_id):
            await made.start()
