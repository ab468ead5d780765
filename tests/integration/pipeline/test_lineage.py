"""Containment as wide as the incident and no wider: coordinators and workers, children and their budgets, tenants beside each other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import errors
from gateway.control.runs.runs import LeasedRun, OtherRun
from gateway.model.run import Mode, Order, Scope
from tests.support import rig
from tests.support.rig import Rig, code

INVOICE = "/v1/tenants/acme/invoices/inv_1"
REFUNDS = "/v1/tenants/acme/refunds"
JOBS = "/v1/tenants/acme/jobs"

_HELD = {
    Mode.READ_ONLY: (None, "run-read-only"),
    Mode.PAUSED: ("run-paused", "run-paused"),
    Mode.QUARANTINED: ("run-quarantined", "run-quarantined"),
    Mode.REVOKED: ("lease-revoked", "lease-revoked"),
}


async def order(gateway: Rig, mode: Mode, *, no_fanout: bool = False, ttl: float | None = None, **scope: Any) -> Order:
    return await gateway.gateway.control.containment.make(Scope(**scope), mode, reason="test", by="test", no_fanout=no_fanout, ttl=ttl)


async def release(gateway: Rig, made: Order) -> None:
    await gateway.gateway.control.containment.release(made.order_id, reason="test", by="test")


async def child_of(gateway: Rig, parent: LeasedRun, **asked: Any) -> LeasedRun:
    return await gateway.open(parent_run=parent.run.run_id, **asked)


async def refund(gateway: Rig, run: LeasedRun, amount: int = 1, n: int = 0) -> str | None:
    return code(await gateway.call(run.lease, "POST", REFUNDS, {"amount": amount, "of": run.run.run_id, "n": n}))


async def both(gateway: Rig, run: LeasedRun, n: int = 0) -> tuple[str | None, str | None]:
    """What a read and a write of a run are refused with."""
    return code(await gateway.call(run.lease, "GET", INVOICE)), await refund(gateway, run, n=n)


@pytest.mark.parametrize("mode", _HELD)
async def test_with_subtree_descendants_are_held_and_without_it_they_continue(gateway: Rig, mode: Mode) -> None:
    boss = await gateway.open()
    worker = await child_of(gateway, boss)
    helper = await child_of(gateway, worker)
    beside = await gateway.open()
    await order(gateway, mode, run=boss.run.run_id)
    assert [await both(gateway, run) for run in (boss, worker, helper)] == [_HELD[mode], (None, None), (None, None)]
    await order(gateway, mode, run=boss.run.run_id, subtree=True)
    assert [await both(gateway, run, n=1) for run in (boss, worker, helper)] == [_HELD[mode]] * 3
    assert await both(gateway, beside) == (None, None)


@pytest.mark.parametrize("mode", [Mode.READ_ONLY, Mode.PAUSED, Mode.QUARANTINED])
async def test_a_descendant_opened_after_the_order_is_held_too(gateway: Rig, mode: Mode) -> None:
    boss = await gateway.open()
    worker = await child_of(gateway, boss)
    await order(gateway, Mode.READ_ONLY, run=boss.run.run_id, subtree=True)
    late = await child_of(gateway, worker)
    assert await both(gateway, late) == _HELD[Mode.READ_ONLY]
    await order(gateway, mode, run=boss.run.run_id, subtree=True)
    assert await both(gateway, late, n=1) == _HELD[mode]


async def test_a_child_opened_while_its_parent_is_held_is_held_by_the_same_orders_and_released_with_them(gateway: Rig) -> None:
    boss = await gateway.open(agent_id="boss")
    before = await child_of(gateway, boss)
    by_run = await order(gateway, Mode.READ_ONLY, run=boss.run.run_id)
    by_agent = await order(gateway, Mode.READ_ONLY, agent="boss")
    during = await child_of(gateway, boss)
    grandchild = await child_of(gateway, during)
    assert [await refund(gateway, run) for run in (before, during, grandchild)] == [None, "run-read-only", "run-read-only"]
    assert grandchild.run.mode is Mode.ACTIVE, "the orders hold it, not a mode of its own"
    await release(gateway, by_run)
    assert [await refund(gateway, run) for run in (during, grandchild)] == ["run-read-only", "run-read-only"]
    await release(gateway, by_agent)
    after = await child_of(gateway, boss)
    assert [await refund(gateway, run, n=1) for run in (boss, during, grandchild, after)] == [None] * 4


async def test_what_a_child_inherits_is_for_the_same_tool_and_outlives_a_restart(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path) as first:
        boss = await first.open()
        await order(first, Mode.PAUSED, run=boss.run.run_id, tool="crm")
        free = await child_of(first, boss)
        made = await order(first, Mode.READ_ONLY, run=boss.run.run_id, tool="ledger")
        held = await child_of(first, boss)
        assert [await refund(first, run) for run in (free, held)] == [None, "run-read-only"]
    async with rig.assembled(tmp_path) as second:
        assert [await refund(second, run, n=1) for run in (free, held)] == [None, "run-read-only"]
        await release(second, made)
        assert await refund(second, held, n=1) is None


@pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.QUARANTINED, Mode.REVOKED])
async def test_a_parent_cannot_bring_a_contained_child_back(gateway: Rig, mode: Mode) -> None:
    boss = await gateway.open()
    child = await child_of(gateway, boss, run_id="child")
    await order(gateway, mode, run="child")
    refused = {Mode.PAUSED: errors.RunPaused, Mode.QUARANTINED: errors.RunQuarantined, Mode.REVOKED: errors.LeaseRevoked}[mode]
    runs = gateway.gateway.control.runs
    with pytest.raises(refused):
        await child_of(gateway, boss, run_id="child")
    with pytest.raises(OtherRun):
        await child_of(gateway, boss, run_id="child", agent_id="another")
    with pytest.raises(refused):
        await runs.renew("child", ttl=None, by="test", reason="test")
    await runs.close("child", by="test", reason="test")
    for again in (child_of(gateway, boss, run_id="child"), runs.renew("child", ttl=None, by="test", reason="test")):
        with pytest.raises(errors.LeaseRevoked):
            await again
    assert code(await gateway.call(child.lease, "GET", INVOICE)) == "lease-revoked"


async def test_of_many_that_open_one_id_at_once_one_does(gateway: Rig) -> None:
    asked = [gateway.open(run_id="r", agent_id=f"agent-{n % 2}") for n in range(10)]
    opened = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in opened] == [LeasedRun, OtherRun] * 5
    assert [one.new for one in opened if isinstance(one, LeasedRun)] == [True, False, False, False, False]
    assert len(await gateway.journal("r", "run")) == 1


async def test_a_renewal_under_way_does_not_open_a_closed_run_again(gateway: Rig) -> None:
    await gateway.open(run_id="r")
    runs = gateway.gateway.control.runs
    await asyncio.gather(
        *(runs.renew("r", ttl=None, by="test", reason="test") for _ in range(5)),
        runs.close("r", by="test", reason="test"),
        *(runs.renew("r", ttl=None, by="test", reason="test") for _ in range(5)),
        return_exceptions=True,
    )
    run = await gateway.gateway.resources.store.registry.run("r")
    assert run is not None
    assert run.closed_at is not None


@pytest.mark.parametrize(
    ("limits", "amount"), [({"writes": 10}, 1), ({"records": 10}, 1), ({"amount": {"refund": 10_000_000}}, 1)], ids=lambda value: str(value)
)
async def test_fifty_children_at_once_have_one_budget(gateway: Rig, limits: dict[str, Any], amount: int) -> None:
    boss = await gateway.open(limits=limits)
    children = [await child_of(gateway, boss) for _ in range(50)]
    codes = await asyncio.gather(*(refund(gateway, child, amount) for child in children))
    assert (codes.count(None), codes.count("blast-radius")) == (10, 40)
    assert gateway.ledger.count("refunds") == 10
    (name,) = limits
    used = await gateway.gateway.resources.store.registry.counters(f"run:{boss.run.run_id}")
    assert used[name if name != "amount" else "amount:refund"] == (10 if name != "amount" else 10_000_000)


async def test_grandchildren_are_charged_all_the_way_up(gateway: Rig) -> None:
    boss = await gateway.open(limits={"writes": 3})
    worker = await child_of(gateway, boss)
    helpers = [await child_of(gateway, worker) for _ in range(2)]
    assert [await refund(gateway, run) for run in (helpers[0], worker, helpers[1], boss)] == [None, None, None, "blast-radius"]


async def test_of_a_supervisor_with_twenty_workers_only_the_supervisor_stops(gateway: Rig) -> None:
    boss = await gateway.open()
    workers = [await child_of(gateway, boss) for _ in range(20)]
    busy = [asyncio.ensure_future(_work(gateway, worker)) for worker in workers]
    await order(gateway, Mode.QUARANTINED, run=boss.run.run_id)
    assert await both(gateway, boss) == _HELD[Mode.QUARANTINED]
    with pytest.raises(errors.RunQuarantined):
        await child_of(gateway, boss)
    assert await asyncio.gather(*busy) == [[(None, None)] * 5] * 20
    assert gateway.ledger.count("refunds") == 100


async def _work(gateway: Rig, run: LeasedRun) -> list[tuple[str | None, str | None]]:
    return [await both(gateway, run, n) for n in range(5)]


async def test_a_tenants_pause_leaves_no_trace_on_another_tenant(gateway: Rig) -> None:
    for tenant in ("acme", "globex"):
        gateway.ledger.put(tenant, "invoices", "inv_1", status="open", amount=10)
    alone, beside, other = [
        await gateway.open(tenant=name, run_id=run) for name, run in (("globex", "g1"), ("globex", "g2"), ("acme", "a1"))
    ]
    await _globex(gateway, alone, lambda: asyncio.sleep(0))

    async def disturbed() -> None:
        if not gateway.gateway.control.containment.listed():
            await order(gateway, Mode.PAUSED, tenant="acme")
        assert await both(gateway, other) == _HELD[Mode.PAUSED]

    await _globex(gateway, beside, disturbed)
    assert _trace(await gateway.journal("g1")) == _trace(await gateway.journal("g2"))


async def _globex(gateway: Rig, run: LeasedRun, between: Any) -> None:
    for n in range(3):
        read = await gateway.call(run.lease, "GET", "/v1/tenants/globex/invoices/inv_1")
        await between()
        write = await gateway.call(run.lease, "POST", "/v1/tenants/globex/refunds", {"amount": n + 1, "of": run.run.run_id})
        assert (read.status, write.status) == (200, 201)


def _trace(entries: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(one["kind"], one.get("action"), one.get("result"), one.get("status"), one.get("code")) for one in entries]


@pytest.mark.parametrize("mode", [Mode.READ_ONLY, Mode.PAUSED, Mode.QUARANTINED, Mode.REVOKED])
async def test_what_sets_others_going_stops_under_no_fanout_and_every_stricter_mode(gateway: Rig, mode: Mode) -> None:
    run = await gateway.open()
    assert await _start_job(gateway, run, 0) is None
    flag = await order(gateway, Mode.ACTIVE, run=run.run.run_id, no_fanout=True)
    assert (await _start_job(gateway, run, 1), await refund(gateway, run)) == ("fanout-blocked", None)
    with pytest.raises(errors.FanoutBlocked):
        await child_of(gateway, run)
    await release(gateway, flag)
    assert await _start_job(gateway, run, 2) is None
    await order(gateway, mode, run=run.run.run_id)
    assert await _start_job(gateway, run, 3) == _HELD[mode][1]
    with opening_refused(mode):
        await child_of(gateway, run)
    assert gateway.ledger.count("jobs") == 2


@contextmanager
def opening_refused(mode: Mode) -> Iterator[None]:
    """Read-only runs may have children, which are held as they are; stricter ones may not."""
    if mode is Mode.READ_ONLY:
        yield
    else:
        with pytest.raises((errors.RunPaused, errors.RunQuarantined, errors.LeaseRevoked)):
            yield


async def _start_job(gateway: Rig, run: LeasedRun, n: int) -> str | None:
    return code(await gateway.call(run.lease, "POST", JOBS, {"n": n, "of": run.run.run_id}, Killcord_Step=f"job-{n}"))


async def test_a_revocation_that_names_a_tool_leaves_the_lease_for_the_others(gateway: Rig) -> None:
    run = await gateway.open()
    await order(gateway, Mode.REVOKED, run=run.run.run_id, tool="crm")
    assert await both(gateway, run) == (None, None)
    made = await order(gateway, Mode.REVOKED, run=run.run.run_id, tool="ledger")
    assert await both(gateway, run, n=1) == _HELD[Mode.REVOKED]
    await release(gateway, made)
    assert await both(gateway, run, n=2) == _HELD[Mode.REVOKED]


async def test_epochs_never_repeat_however_many_orders_are_made_and_released_at_once(gateway: Rig) -> None:
    made = await asyncio.gather(*(order(gateway, Mode.PAUSED, run=f"r{n}") for n in range(20)))
    await asyncio.gather(*(release(gateway, one) for one in made), *(order(gateway, Mode.PAUSED, run=f"s{n}") for n in range(20)))
    epochs = [one["epoch"] for one in await gateway.journal(kind="order")]
    assert len(set(epochs)) == 60
    assert gateway.gateway.control.containment.replica.epoch == max(epochs)
