"""What stops a call on its way: limits and orders, over a real store and a real HTTP tool."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from gateway.model.run import Mode, Rate
from tests.support.rig import Rig, assembled, code, header, until

INVOICE = "/v1/tenants/acme/invoices/inv_1"
REFUNDS = "/v1/tenants/acme/refunds"


async def test_writes_amounts_steps_and_rates_are_limited(gateway: Rig) -> None:
    run = await gateway.open(limits={"writes": 3})
    codes = [code(await gateway.call(run.lease, "POST", REFUNDS, {"amount": 1, "n": n})) for n in range(5)]
    assert codes == [None, None, None, "blast-radius", "run-read-only"]
    run = await gateway.open(limits={"amount": {"refund": 10_000_000}})
    first, second = [await gateway.call(run.lease, "POST", REFUNDS, {"amount": 6, "m": n}) for n in range(2)]
    assert (first.status, orjson.loads(second.body)["violated-policies"]) == (201, [f"run:{run.run.run_id} amount:refund"])
    run = await gateway.open(limits={"steps": 2})
    assert [code(await gateway.call(run.lease, "GET", INVOICE)) for _ in range(3)] == [None, None, "blast-radius"]
    run = await gateway.open(limits={"rate": Rate(2)})
    replies = [await gateway.call(run.lease, "GET", INVOICE) for _ in range(8)]
    assert [code(reply) for reply in replies].count("rate-limited") >= 5
    assert header(replies[-1], "retry-after") == "1"
    assert (header(replies[-1], "ratelimit-policy"), header(replies[-1], "ratelimit")) == ('"run";q=2;w=1', '"run";r=0;t=1')


@pytest.mark.parametrize(("extra", "status"), [("", 403), ("http: {blast_radius_status: 429}", 429)])
async def test_an_exhausted_limit_is_refused_without_a_time_to_wait(tmp_path: Path, extra: str, status: int) -> None:
    async with assembled(tmp_path, extra=extra) as gateway:
        run = await gateway.open(limits={"writes": 0})
        reply = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 1})
        said = orjson.loads(reply.body)
        assert (reply.status, said["status"], said["code"], said["retryable"]) == (status, status, "blast-radius", False)
        assert (header(reply, "retry-after"), "retry_after" in said) == (None, False)
        assert code(await gateway.call(run.lease, "POST", REFUNDS, {"amount": 2})) == "run-read-only", "blast.limit fired"


async def test_an_amount_is_reported_to_its_last_digit(gateway: Rig) -> None:
    run = await gateway.open(limits={"amount": {"refund": 10_500_000}})
    assert (await gateway.call(run.lease, "POST", REFUNDS, {"amount": 10.5})).status == 201
    refused = orjson.loads((await gateway.call(run.lease, "POST", REFUNDS, {"amount": 0.000001})).body)
    assert refused["detail"].endswith("may use 10.5 of amount:refund, has used 10.5, and the call needs 0.000001 more.")
    run = await gateway.open()
    refused = orjson.loads((await gateway.call(run.lease, "POST", REFUNDS, {"amount": 1234567.5})).body)
    assert refused["detail"].endswith("may use 100000 of amount:refund, has used 0, and the call needs 1234567.5 more.")


async def test_a_child_is_charged_to_its_parent_too(gateway: Rig) -> None:
    parent = await gateway.open(limits={"writes": 2})
    children = [await gateway.open(parent_run=parent.run.run_id) for _ in range(3)]
    codes = [code(await gateway.call(child.lease, "POST", REFUNDS, {"amount": 1, "n": n})) for n, child in enumerate(children)]
    assert codes == [None, None, "blast-radius"]


async def test_a_limited_amount_must_be_reported(gateway: Rig) -> None:
    run = await gateway.open()
    for body in ({}, {"amount": "a lot"}, {"amount": -5}, {"amount": True}):
        assert code(await gateway.call(run.lease, "POST", REFUNDS, body)) == "blast-radius"
    assert gateway.ledger.seen == []


async def test_read_only_lets_reads_pass_and_stops_writes_first_or_repeated(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.call(run.lease, "POST", REFUNDS, {"amount": 5})
    order = await gateway.contain(run.run.run_id)
    read = await gateway.call(run.lease, "GET", INVOICE)
    assert (read.status, header(read, "killcord-mode")) == (200, "read_only")
    for body in ({"amount": 5}, {"amount": 6}):
        refused = await gateway.call(run.lease, "POST", REFUNDS, body)
        assert (code(refused), orjson.loads(refused.body)["order_id"]) == ("run-read-only", order.order_id)
    await gateway.gateway.control.containment.release(order.order_id, reason="test", by="test")
    assert (await gateway.call(run.lease, "POST", REFUNDS, {"amount": 6})).status == 201


async def test_a_cut_lease_stays_cut_when_its_order_is_released(gateway: Rig) -> None:
    run = await gateway.open()
    order = await gateway.contain(run.run.run_id, Mode.REVOKED)
    assert code(await gateway.call(run.lease, "GET", INVOICE)) == "lease-revoked"
    await gateway.gateway.control.containment.release(order.order_id, reason="test", by="test")
    assert code(await gateway.call(run.lease, "GET", INVOICE)) == "lease-revoked"


async def test_an_order_that_arrives_while_the_snapshot_is_read_stops_the_send(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.hold = asyncio.Event()
    call = asyncio.ensure_future(gateway.call(run.lease, "PATCH", INVOICE, {"status": "fenced"}))
    await until(lambda: len(gateway.ledger.seen) == 1)
    await gateway.contain(run.run.run_id)
    gateway.ledger.hold.set()
    reply = await call
    assert (reply.status, code(reply), gateway.ledger.writes) == (403, "run-read-only", [])
    outcome = (await gateway.journal(run.run.run_id, "outcome"))[-1]
    assert (outcome["result"], header(reply, "killcord-entry")) == ("denied", f"{outcome['stream']}/{outcome['seq']}")
    assert [write.state.value for write in await gateway.writes(run.run.run_id)] == ["failed"]


async def test_even_a_call_with_a_dead_lease_is_journaled(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.contain(run.run.run_id, Mode.REVOKED)
    reply = await gateway.call(run.lease, "GET", INVOICE)
    refusal = (await gateway.journal(run.run.run_id, "refusal"))[-1]
    assert (refusal["code"], refusal["tenant"]) == ("lease-revoked", "acme")
    assert orjson.loads(reply.body)["entry"] == f"{refusal['stream']}/{refusal['seq']}"
