"""Under overload writes are shed first, reads next, orders never; and a crowd of one tenant leaves the others alone."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from gateway.app import servers
from gateway.core.overload import BEATS, BOUNDS, INTERVAL
from gateway.model.call import Effect, Reply
from gateway.model.run import Mode
from gateway.pipeline.stages.schedule import PER_TURN
from tests.support.rig import Rig, assembled, code, header, until

MANY = 100
AT_THE_TOOL = 32
"""Half of the connections to the tool: what one tenant may use."""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with assembled(tmp_path, timeout="60s") as one:
        for tenant in ("acme", "globex"):
            one.ledger.put(tenant, "invoices", "1", status="open")
        yield one


def invoice(tenant: str) -> str:
    return f"/v1/tenants/{tenant}/invoices/1"


def refunds(tenant: str) -> str:
    return f"/v1/tenants/{tenant}/refunds"


def late(rig: Rig, lag: float, beats: int = BEATS) -> None:
    """The event loop as it is after so many beats that came ``lag`` seconds late."""
    lags, now = rig.gateway.calls.line.schedule.lag, 1e6
    lags.beat(now)
    for _ in range(beats):
        now += INTERVAL + lag
        lags.beat(now)


def shed(rig: Rig) -> dict[str, float]:
    return {effect: rig.gateway.metrics.get_sample_value("killcord_shed_total", {"effect": effect}) or 0.0 for effect in ("read", "write")}


async def test_writes_are_shed_while_reads_pass(rig: Rig) -> None:
    run = await rig.open()
    late(rig, 0.2)
    refused = await rig.call(run.lease, "POST", refunds("acme"), {"amount": 1})
    assert (refused.status, code(refused), header(refused, "Retry-After")) == (503, "overloaded", "1")
    assert orjson.loads(refused.body)["retryable"] is True
    assert (await rig.call(run.lease, "GET", invoice("acme"))).status == 200
    assert rig.ledger.writes == []
    assert shed(rig) == {"read": 0.0, "write": 1.0}


async def test_reads_are_shed_next_and_orders_never(rig: Rig) -> None:
    run = await rig.open()
    late(rig, 0.3)
    for reply in (await rig.call(run.lease, "GET", invoice("acme")), await rig.call(run.lease, "POST", refunds("acme"), {"amount": 1})):
        assert (reply.status, code(reply)) == (503, "overloaded")
    assert rig.ledger.seen == []
    order = await rig.contain(run.run.run_id, Mode.QUARANTINED)
    late(rig, 0.0)
    assert order.epoch > 0
    assert code(await rig.call(run.lease, "GET", invoice("acme"))) == "run-quarantined"


async def test_a_shed_call_is_counted_and_not_journaled_and_the_same_call_passes_later(rig: Rig) -> None:
    run = await rig.open()
    late(rig, 0.3)
    for _ in range(50):
        await rig.call(run.lease, "POST", refunds("acme"), {"amount": 1}, Idempotency_Key="one")
    assert shed(rig)["write"] == 50.0
    assert await rig.journal(run.run.run_id, "refusal") == []
    late(rig, 0.0)
    assert (await rig.call(run.lease, "POST", refunds("acme"), {"amount": 1}, Idempotency_Key="one")).status == 201
    assert len(rig.ledger.writes) == 1


async def test_readiness_shows_the_load_and_fails_when_no_call_passes(rig: Rig) -> None:
    for lag, ok in ((0.0, True), (0.2, True), (0.3, False)):
        late(rig, lag)
        ready, parts = servers._ready(rig.gateway)
        assert parts["load"] == {"ok": ok, "detail": f"loop lag {lag * 1000:.0f} ms, 0 calls wait for their turn"}
        assert ready is ok
        assert rig.gateway.metrics.get_sample_value("killcord_loop_lag_seconds") == pytest.approx(lag, abs=1e-6)


async def test_a_blocked_event_loop_is_measured_by_the_beat(rig: Rig) -> None:
    schedule, supervisor = rig.gateway.calls.line.schedule, rig.gateway.control.supervisor
    supervisor.every(INTERVAL, "load", schedule.beat)
    try:
        await asyncio.sleep(2 * INTERVAL)
        for _ in range(5 * BEATS):  # uvloop and asyncio wake a timer some turns after it is due
            time.sleep(0.2)
            await asyncio.sleep(0)
        assert schedule.lag.standing > BOUNDS[Effect.WRITE].lag
        await until(lambda: schedule.lag.standing < BOUNDS[Effect.WRITE].lag)
    finally:
        await supervisor.finish(1.0)


async def test_a_tenant_whose_queue_is_full_is_shed_and_no_other(rig: Rig) -> None:
    acme, globex = await rig.open(), await rig.open(tenant="globex")
    for run, tenant in ((acme, "acme"), (globex, "globex")):  # from here on they share
        await rig.call(run.lease, "GET", invoice(tenant))
    bound = BOUNDS[Effect.WRITE].queued
    calls = [rig.call(acme.lease, "POST", refunds("acme"), {"amount": 1, "n": number}) for number in range(bound + MANY)]
    other = rig.call(globex.lease, "POST", refunds("globex"), {"amount": 1})
    *crowd, watched = await asyncio.gather(*calls, other)
    assert watched.status == 201
    codes = Counter(code(reply) for reply in crowd)
    assert codes == {None: bound + PER_TURN, "overloaded": MANY - PER_TURN}
    assert len(rig.gateway.calls.line.schedule.queue) == 0


async def test_a_call_is_not_sent_behind_the_crowd_of_another_tenant(rig: Rig) -> None:
    acme, globex = await rig.open(), await rig.open(tenant="globex")
    for run, tenant in ((acme, "acme"), (globex, "globex")):
        await rig.call(run.lease, "GET", invoice(tenant))
    rig.ledger.seen.clear()
    calls = [rig.call(acme.lease, "GET", invoice("acme")) for _ in range(MANY)]
    await asyncio.gather(*calls, rig.call(globex.lease, "GET", invoice("globex")))
    paths = [one.path for one in rig.ledger.seen]
    assert len(paths) == MANY + 1
    assert paths.index(invoice("globex")) < 3 * PER_TURN


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_tool_that_stalls_for_one_tenant_keeps_no_other_waiting(rig: Rig, method: str) -> None:
    acme, globex = await rig.open(), await rig.open(tenant="globex")
    stalled = rig.ledger.hold = asyncio.Event()

    def call(lease: str, tenant: str, number: int) -> asyncio.Future[Reply]:
        body = None if method == "GET" else {"amount": 1, "n": number}
        path = invoice(tenant) if method == "GET" else refunds(tenant)
        return asyncio.ensure_future(rig.call(lease, method, path, body))

    crowd = [call(acme.lease, "acme", number) for number in range(MANY)]
    await until(lambda: len(rig.ledger.seen) == AT_THE_TOOL)
    rig.ledger.hold = None
    for number in range(5):
        assert (await call(globex.lease, "globex", number)).status in (200, 201)
    assert not any(one.done() for one in crowd)
    stalled.set()
    assert {reply.status for reply in await asyncio.gather(*crowd)} <= {200, 201}


async def test_calls_that_are_cancelled_or_refused_leave_their_places(rig: Rig) -> None:
    acme, globex = await rig.open(), await rig.open(tenant="globex")
    other = await rig.open(scopes=("ledger:invoice.read",))
    rig.ledger.hold = asyncio.Event()
    waiting = [asyncio.ensure_future(rig.call(acme.lease, "GET", invoice("acme"))) for _ in range(MANY)]
    await asyncio.sleep(0)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    rig.ledger.hold = None
    refused = await asyncio.gather(*(rig.call(other.lease, "POST", refunds("acme"), {"amount": 1, "n": number}) for number in range(MANY)))
    assert None not in {code(reply) for reply in refused}
    assert (await rig.call(globex.lease, "POST", refunds("globex"), {"amount": 1})).status == 201
    assert len(rig.gateway.calls.line.schedule.queue) == 0
