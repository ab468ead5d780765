"""A run that is let go while it is being compensated: what it could write by then is not raced with."""

from __future__ import annotations

from pathlib import Path

from gateway.control.runs.runs import LeasedRun
from gateway.model.rollback import NodeState, RollbackStatus
from gateway.model.run import Mode, Order, Scope
from tests.faults.test_rollback import ASKING, Scene, scene


async def held(made: Scene, mode: Mode = Mode.READ_ONLY) -> Order:
    return await made.rig.gateway.control.containment.make(Scope(run=made.run_id), mode, reason="test", by="test")


async def waiting(made: Scene) -> tuple[str, Order]:
    """A rollback that waits for an approval, and the order that contains its run."""
    await made.changed("d1")
    assert await made.call("POST", "notes", {"ref": "n"}) == 201
    order = await held(made)
    rollback_id = (await made.start()).rollback_id
    await made.comes_to(rollback_id, RollbackStatus.NEEDS_OPERATOR)
    return rollback_id, order


async def approve(made: Scene) -> None:
    await made.rig.gateway.control.approvals.decide((await made.approval()).approval_id, grant=True, reason="looked", by="a person")


async def test_a_yes_for_a_run_that_was_released_waits_until_it_is_contained_again(tmp_path: Path) -> None:
    async with scene(tmp_path, ASKING) as made:
        rollback_id, order = await waiting(made)
        await made.rig.gateway.control.containment.release(order.order_id, reason="test", by="test")
        assert await made.call("POST", "notes", {"ref": "it builds on the first"}) == 201
        await approve(made)
        told = await made.comes_to(rollback_id, RollbackStatus.STOPPED)
        assert made.tool.now(("acme", "notes", "notes-1")) is not None
        assert "active again" in told.rollback.residue[0]
        assert await made.tasks() == []
        await held(made)
        await made.resume(rollback_id)
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)
        assert (made.tool.now(("acme", "notes", "notes-1")), made.as_before("d1"), made.once()) == (None, True, True)


async def test_what_one_order_releases_another_may_still_hold(tmp_path: Path) -> None:
    async with scene(tmp_path, ASKING) as made:
        rollback_id, order = await waiting(made)
        await held(made, Mode.QUARANTINED)
        await made.rig.gateway.control.containment.release(order.order_id, reason="test", by="test")
        await approve(made)
        await made.comes_to(rollback_id, RollbackStatus.CLEAN)


async def test_a_run_that_was_closed_needs_no_order(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.changed("d1")
        closed: LeasedRun = made.opened[0]
        await made.rig.gateway.control.runs.close(closed.run.run_id, by="test", reason="test")
        told = await made.comes_to((await made.start()).rollback_id, RollbackStatus.CLEAN)
        assert (list(told.states.values()), made.as_before("d1")) == ([NodeState.DONE], True)
