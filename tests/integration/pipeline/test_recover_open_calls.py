"""Calls that a gateway left open when it was cut off: the next one decides them by looking, and sends none of them again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.model.effect import State
from tests.support import driven, rig
from tests.support.failpoints import Failpoints
from tests.support.ledger import Ledger
from tests.support.rig import Rig, until_async

INVOICE = "/v1/tenants/acme/invoices/inv_1"


async def states(at: Rig, run_id: str) -> list[State]:
    return [write.state for write in await at.writes(run_id)]


async def settled(at: Rig, run_id: str) -> bool:
    return not {State.IN_FLIGHT, State.UNKNOWN} & set(await states(at, run_id))


@pytest.mark.parametrize(
    ("point", "where", "became", "sent"),
    [(2, "after intent", State.FAILED, 0), (3, "before outcome", State.STANDING, 1), (4, "after outcome", State.STANDING, 1)],
)
async def test_an_open_call_is_decided_by_what_the_tool_shows(tmp_path: Path, point: int, where: str, became: State, sent: int) -> None:
    ledger, points = Ledger(), Failpoints()
    ledger.put("acme", "invoices", "inv_1", status="open")
    async with driven.come_up(tmp_path, ledger, points) as at:
        run = await at.open()
        points.arm(point)
        calling = asyncio.ensure_future(at.call(run.lease, "PATCH", INVOICE, {"status": "paid"}))
        await rig.until(lambda: points.where)
        calling.cancel()
        await asyncio.wait([calling])
    assert points.where == where
    for _ in range(2):  # the second start finds nothing left to decide
        async with driven.come_up(tmp_path, ledger) as at:
            await until_async(lambda: settled(at, run.run.run_id))
            assert (await states(at, run.run.run_id), len(ledger.writes)) == ([became], sent)
            decided = await at.journal(run.run.run_id, "reconciliation")
            assert [one["by"] for one in decided] == ([] if where == "after outcome" else ["restart", "probe"])


async def test_what_no_probe_can_decide_is_one_task_however_often_a_gateway_starts(tmp_path: Path) -> None:
    ledger, points = Ledger(), Failpoints()
    async with driven.come_up(tmp_path, ledger, points) as at:
        run = await at.open()
        points.arm(2)
        calling = asyncio.ensure_future(at.call(run.lease, "POST", "/v1/tenants/acme/refunds", {"amount": 5}))
        await rig.until(lambda: points.where)
        calling.cancel()
        await asyncio.wait([calling])
    for _ in range(3):
        async with driven.come_up(tmp_path, ledger) as at:
            await until_async(lambda: at.gateway.resources.store.registry.tasks(run=run.run.run_id))
            await at.gateway.recovery.reconciler.tick()
            assert await states(at, run.run.run_id) == [State.UNKNOWN]
            assert [one["kind"] for one in await at.journal(run.run.run_id)].count("task") == 1
    assert ledger.writes == []
