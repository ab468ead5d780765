"""The line over a real store and a real HTTP tool: what reaches the tool, what the journal says, what the agent hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from gateway.model.run import Mode
from tests.support import rig
from tests.support.rig import Rig, code, header

INVOICE = "/v1/tenants/acme/invoices/inv_1"
REFUNDS = "/v1/tenants/acme/refunds"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig.assembled(tmp_path) as assembled:
        assembled.ledger.put("acme", "invoices", "inv_1", status="open", amount=10)
        yield assembled


async def test_a_read_passes_with_the_tools_secret_and_nothing_of_ours(gateway: Rig) -> None:
    run = await gateway.open()
    reply = await gateway.call(run.lease, "GET", INVOICE, Killcord_Step="s1", Idempotency_Key="k")
    assert (reply.status, orjson.loads(reply.body)) == (200, {"data": {"status": "open", "amount": 10}})
    seen = gateway.ledger.seen[-1].headers
    assert seen["authorization"] == f"Basic {rig.SECRET}"
    assert not [name for name in seen if name.startswith(("killcord", "idempotency"))]
    assert run.lease not in str(seen)
    assert (header(reply, "killcord-step"), header(reply, "killcord-mode")) == ("s1", "active")
    assert header(reply, "idempotent-replayed") is None


async def test_a_write_is_guarded_journaled_and_verified(gateway: Rig) -> None:
    run = await gateway.open()
    reply = await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"}, Killcord_Step="s2", Killcord_Parent_Step="s1")
    assert (reply.status, header(reply, "killcord-verification")) == (200, "passed")
    sent = gateway.ledger.writes[-1].headers
    intent, outcome = [e for e in await gateway.journal(run.run.run_id) if e.get("step_id") == "s2"]
    assert (intent["kind"], outcome["kind"], outcome["result"], outcome["verification"]) == ("intent", "outcome", "success", "passed")
    assert sent["if-match"] == '"v1"'
    assert sent["idempotency-key"] == intent["idempotency_key"] == outcome["idempotency_key"]
    assert (intent["before_ref"], outcome["after_ref"]) == ("ledger:invoice:inv_1:v1", "ledger:invoice:inv_1:v2")
    assert (intent["parent_step_id"], intent["compensation"]["class"]) == ("s1", "reversible")
    assert intent["compensation"]["allowed_until"]
    assert intent["sent"]["body_digest"].startswith("sha256:")


async def test_what_is_sealed_can_be_unsealed_and_stands_nowhere_in_the_clear(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.call(run.lease, "PATCH", INVOICE, {"status": "very-private"})
    intent = next(e for e in await gateway.journal(run.run.run_id) if e["kind"] == "intent")
    assert "very-private" not in orjson.dumps(await gateway.journal()).decode()
    store = gateway.gateway.store
    from gateway.clients.vault import TenantVault, open_master_key

    vault = TenantVault(store.blobs, open_master_key(gateway.gateway.config.data_dir / "keys"))
    args = await store.blobs.blob(intent["requested"]["args_ref"])
    before = await store.blobs.blob(intent["snapshot_ref"])
    assert args is not None
    assert before is not None
    assert orjson.loads(await vault.unseal(args))["request"]["body"] == {"status": "very-private"}
    assert orjson.loads(await vault.unseal(before)) == {"exists": True, "version": '"v1"', "state": {"status": "open", "amount": 10}}


async def test_the_same_refund_twice_is_one_effect(gateway: Rig) -> None:
    run = await gateway.open()
    first = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 5, "invoice": "inv_1"})
    again = await gateway.call(run.lease, "POST", REFUNDS, {"invoice": "inv_1", "amount": 5})
    assert (first.status, again.status, first.body) == (201, 201, again.body)
    assert (header(first, "idempotent-replayed"), header(again, "idempotent-replayed")) == (None, "true")
    assert gateway.ledger.count("refunds") == 1


async def test_two_hundred_identical_refunds_at_once_are_one_effect(gateway: Rig) -> None:
    run = await gateway.open()
    replies = await asyncio.gather(*(gateway.call(run.lease, "POST", REFUNDS, {"amount": 8}) for _ in range(200)))
    assert gateway.ledger.count("refunds") == 1
    assert {reply.status for reply in replies} <= {201, 409}
    assert [reply.status for reply in replies].count(201) >= 1
    assert {code(reply) for reply in replies} <= {None, "in-flight"}
    counters = await gateway.gateway.store.registry.counters(f"run:{run.run.run_id}")
    assert (counters["writes"], counters["amount:refund"]) == (1, 8_000_000)


async def test_a_requeued_run_of_the_same_workflow_keeps_its_keys_and_another_workflow_does_not(gateway: Rig) -> None:
    one, two = await gateway.open(workflow_id="wf"), await gateway.open(workflow_id="wf")
    other = await gateway.open()
    for run in (one, two, other):
        await gateway.call(run.lease, "POST", REFUNDS, {"amount": 11})
    assert gateway.ledger.count("refunds") == 2


async def test_own_and_step_keys_refuse_other_content(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.call(run.lease, "POST", REFUNDS, {"amount": 6}, Idempotency_Key="k-1")
    other = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 7}, Idempotency_Key="k-1")
    same = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 6}, Idempotency_Key='"k-1"')
    assert (other.status, code(other), same.status) == (422, "key-reused", 201)
    await gateway.call(run.lease, "POST", REFUNDS, {"amount": 9}, Killcord_Step="a")
    await gateway.call(run.lease, "POST", REFUNDS, {"amount": 9}, Killcord_Step="b")
    assert gateway.ledger.count("refunds") == 3
    assert code(await gateway.call(run.lease, "POST", REFUNDS, {"amount": 10}, Killcord_Step="a")) == "key-reused"


async def test_after_a_definite_failure_the_same_key_may_try_again(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.refuse = 1
    first = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 6}, Idempotency_Key="k")
    second = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 7}, Idempotency_Key="k")
    assert (first.status, second.status, gateway.ledger.count("refunds")) == (422, 201, 1)
    intents = [e for e in await gateway.journal(run.run.run_id) if e["kind"] == "intent"]
    assert [e["attempt"] for e in intents] == [1, 2]
    assert intents[0]["idempotency_key"] != intents[1]["idempotency_key"]


async def test_open_paid_open_again_is_three_writes(gateway: Rig) -> None:
    run = await gateway.open()
    for status in ("open", "paid", "open"):
        assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": status})).status == 200
        assert gateway.ledger.get("acme", "invoices", "inv_1")["status"] == status


async def test_a_replay_does_not_speak_for_an_object_seen_at_another_version(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.call(run.lease, "PATCH", INVOICE, {"status": "open"})
    gateway.ledger.put("acme", "invoices", "inv_1", status="held")
    assert header(await gateway.call(run.lease, "PATCH", INVOICE, {"status": "open"}), "idempotent-replayed") == "true"
    await gateway.call(run.lease, "GET", INVOICE)
    await gateway.call(run.lease, "PATCH", INVOICE, {"status": "open"})
    assert gateway.ledger.get("acme", "invoices", "inv_1")["status"] == "open"


async def test_an_agent_that_acts_on_what_it_saw_before_a_persons_edit_is_stopped_without_a_send(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.call(run.lease, "GET", INVOICE)
    gateway.ledger.put("acme", "invoices", "inv_1", status="held", by="a person")
    reply = await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})
    assert (reply.status, code(reply)) == (412, "precondition-changed")
    assert gateway.ledger.writes == []
    assert code(await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})) == "precondition-changed"
    await gateway.call(run.lease, "GET", INVOICE)
    assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})).status == 200


async def test_an_edit_between_snapshot_and_send_is_caught_by_the_tool_and_said_as_drift(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.hold = asyncio.Event()
    call = asyncio.ensure_future(gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"}))
    await until(lambda: len(gateway.ledger.seen) == 1)
    gateway.ledger.hold, held = asyncio.Event(), gateway.ledger.hold
    held.set()
    await until(lambda: len(gateway.ledger.writes) == 1)
    gateway.ledger.put("acme", "invoices", "inv_1", status="held")
    gateway.ledger.hold.set()
    reply = await call
    assert (reply.status, code(reply)) == (412, "precondition-changed")
    outcome = next(e for e in await gateway.journal(run.run.run_id) if e["kind"] == "outcome")
    assert outcome["result"] == "failed"
    assert header(reply, "killcord-entry") == f"{outcome['stream']}/{outcome['seq']}"


async def test_an_agents_own_if_match_wins_and_its_412_passes_through(gateway: Rig) -> None:
    run = await gateway.open()
    reply = await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"}, If_Match='"v7"')
    assert (reply.status, orjson.loads(reply.body)) == (412, {"error": "version"})
    assert gateway.ledger.writes[-1].headers["if-match"] == '"v7"'


async def test_an_upsert_of_what_is_not_there_is_bound_to_its_absence(gateway: Rig) -> None:
    run = await gateway.open()
    reply = await gateway.call(run.lease, "PUT", "/v1/tenants/acme/invoices/new", {"status": "draft"})
    sent = gateway.ledger.writes[-1].headers
    assert (reply.status, sent["if-none-match"], sent["idempotency-key"][0]) == (200, "*", '"')


async def test_a_500_on_a_write_is_unknown_and_is_not_sent_again(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.fail_after_apply = 1
    first = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 2})
    again = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 2})
    assert (first.status, again.status, code(again), gateway.ledger.count("refunds")) == (500, 409, "outcome-unknown", 1)
    problem = orjson.loads(again.body)
    tasks = await gateway.gateway.store.registry.tasks(run=run.run.run_id)
    assert [task.task_id for task in tasks] == [problem["task_id"]]
    assert code(await gateway.call(run.lease, "POST", REFUNDS, {"amount": 2})) == "outcome-unknown"
    assert len(await gateway.gateway.store.registry.tasks(run=run.run.run_id)) == 1


@pytest.mark.parametrize(("resolution", "status", "refunds"), [("applied", 409, 1), ("not_applied", 201, 2)])
async def test_a_person_decides_an_unknown_refund(gateway: Rig, resolution: str, status: int, refunds: int) -> None:
    run = await gateway.open()
    gateway.ledger.drop_after_apply = 1
    lost = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 99})
    assert (lost.status, code(lost), orjson.loads(lost.body)["outcome"]) == (502, "tool-unreachable", "unknown")
    task = orjson.loads((await gateway.call(run.lease, "POST", REFUNDS, {"amount": 99})).body)["task_id"]
    await gateway.gateway.tasks.resolve(task, resolution=resolution, note="looked", by="operator")
    again = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 99})
    assert (again.status, gateway.ledger.count("refunds")) == (status, refunds)
    assert code(again) in (None, "reply-not-kept")


async def test_a_dropped_update_that_was_applied_is_found_by_its_probe(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.drop_after_apply = 1
    assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})).status == 502
    again = await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})
    assert (code(again), len(gateway.ledger.writes)) == ("reply-not-kept", 1)
    found = next(e for e in await gateway.journal(run.run.run_id) if e["kind"] == "reconciliation")
    assert (found["result"], found["by"], found["after_version"]) == ("success", "probe", '"v2"')


async def test_a_dropped_update_that_was_not_applied_is_tried_again_only_after_it_settled(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.drop_before_apply = 1
    assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})).status == 502
    await until_async(lambda: _status(gateway, run.lease))
    assert gateway.ledger.get("acme", "invoices", "inv_1")["status"] == "paid"
    assert [w.attempt for w in await gateway.writes(run.run.run_id)] == [1, 2]


async def _status(gateway: Rig, lease: str) -> bool:
    reply = await gateway.call(lease, "PATCH", INVOICE, {"status": "paid"})
    assert code(reply) in (None, "outcome-unknown")
    return reply.status == 200


async def test_a_tool_that_says_yes_and_did_nothing_is_found(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.ignore = 1
    reply = await gateway.call(run.lease, "PATCH", INVOICE, {"status": "cancelled"})
    assert (reply.status, header(reply, "killcord-verification")) == (200, "failed")
    assert (await gateway.journal(run.run.run_id, "outcome"))[-1]["verification"] == "failed"


async def test_a_version_that_the_reply_does_not_carry_is_taken_from_reading_back(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.without_etag = True
    await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})
    outcome = (await gateway.journal(run.run.run_id, "outcome"))[-1]
    assert "after_version" not in outcome
    assert outcome["verification"] == "passed"


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("PATCH", "/v1/tenants/globex/invoices/inv_9", {"status": "x"}, "tenant-boundary"),
        ("GET", "/v1/tenants/globex/invoices", None, "tenant-boundary"),
        ("PATCH", "/v1/tenants/acme/unknown/x", {"a": 1}, "action-unknown"),
        ("PATCH", INVOICE + "?force=true", {"status": "x"}, "action-unknown"),
        ("GET", "/v1/other", None, "action-unknown"),
        ("DELETE", "/v1/tenants/acme/refunds/r1", None, "approval-required"),
    ],
)
async def test_what_policy_or_catalog_stand_against_never_reaches_the_tool(
    gateway: Rig, method: str, path: str, body: object, expected: str
) -> None:
    run = await gateway.open()
    reply = await gateway.call(run.lease, method, path, body)
    assert (reply.status, code(reply)) == (403, expected)
    assert gateway.ledger.seen == []
    refusal = (await gateway.journal(run.run.run_id, "refusal"))[-1]
    assert (refusal["code"], header(reply, "killcord-entry")) == (expected, f"{refusal['stream']}/{refusal['seq']}")


async def test_a_scope_that_was_not_given_is_a_denial_with_its_reason(gateway: Rig) -> None:
    run = await gateway.open(scopes=("ledger:invoice.read",))
    reply = await gateway.call(run.lease, "PATCH", INVOICE, {"status": "x"})
    problem = orjson.loads(reply.body)
    assert (problem["code"], [reason["code"] for reason in problem["reasons"]]) == ("policy-denied", ["scope"])


async def test_leases_that_are_missing_broken_doubled_or_of_no_tool(gateway: Rig) -> None:
    run = await gateway.open()
    assert code(await gateway.call(None, "GET", INVOICE)) == "lease-missing"
    assert code(await gateway.call(run.lease[:-8] + "AAAAAAAA", "GET", INVOICE)) == "lease-invalid"
    assert code(await gateway.call(run.lease, "GET", INVOICE, Killcord_Lease=run.lease)) == "malformed-request"
    assert code(await gateway.call(run.lease, "GET", INVOICE, tool="nothing")) == "tool-unknown"
    assert (await gateway.call(None, "GET", INVOICE, Killcord_Lease=run.lease)).status == 200


async def test_writes_amounts_steps_and_rates_are_limited(gateway: Rig) -> None:
    run = await gateway.open(limits={"writes": 3})
    codes = [code(await gateway.call(run.lease, "POST", REFUNDS, {"amount": 1, "n": n})) for n in range(5)]
    assert codes == [None, None, None, "blast-radius", "blast-radius"]
    run = await gateway.open(limits={"amount": {"refund": 10_000_000}})
    first, second = [await gateway.call(run.lease, "POST", REFUNDS, {"amount": 6, "m": n}) for n in range(2)]
    assert (first.status, orjson.loads(second.body)["violated-policies"]) == (201, [f"run:{run.run.run_id} amount:refund"])
    run = await gateway.open(limits={"steps": 2})
    assert [code(await gateway.call(run.lease, "GET", INVOICE)) for _ in range(3)] == [None, None, "blast-radius"]
    run = await gateway.open(limits={"rate": rig_rate(2)})
    replies = [await gateway.call(run.lease, "GET", INVOICE) for _ in range(8)]
    assert [code(reply) for reply in replies].count("rate-limited") >= 5
    assert header(replies[-1], "retry-after") == "1"


async def test_a_child_is_charged_to_its_parent_too(gateway: Rig) -> None:
    parent = await gateway.open(limits={"writes": 2})
    children = [await gateway.open(parent_run=parent.run.run_id) for _ in range(3)]
    codes = [code(await gateway.call(child.lease, "POST", REFUNDS, {"amount": 1, "n": n})) for n, child in enumerate(children)]
    assert codes == [None, None, "blast-radius"]


async def test_a_limited_amount_must_be_told(gateway: Rig) -> None:
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
    await gateway.gateway.containment.release(order.order_id, reason="test", by="test")
    assert (await gateway.call(run.lease, "POST", REFUNDS, {"amount": 6})).status == 201


async def test_a_cut_lease_stays_cut_when_its_order_is_released(gateway: Rig) -> None:
    run = await gateway.open()
    order = await gateway.contain(run.run.run_id, Mode.REVOKED)
    assert code(await gateway.call(run.lease, "GET", INVOICE)) == "lease-revoked"
    await gateway.gateway.containment.release(order.order_id, reason="test", by="test")
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


async def test_once_an_intent_is_to_be_written_the_call_is_committed_and_a_read_never_is(gateway: Rig) -> None:
    run = await gateway.open()
    commits: list[str] = []
    await gateway.call(run.lease, "GET", INVOICE, commit=lambda: commits.append("read"))
    await gateway.call(run.lease, "PATCH", "/v1/tenants/globex/invoices/x", {"status": "x"}, commit=lambda: commits.append("refused"))
    await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"}, commit=lambda: commits.append("write"))
    assert commits == ["write"]


async def test_a_draining_gateway_takes_no_new_calls(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.gateway.front.draining = True
    reply = await gateway.call(run.lease, "GET", INVOICE)
    assert (reply.status, code(reply), header(reply, "retry-after")) == (503, "draining", "5")


async def test_a_tool_that_cannot_be_reached_fails_a_write_for_certain(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.gateway.pool.close()
    reply = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 1})
    assert (reply.status, orjson.loads(reply.body)["outcome"]) == (502, "not-sent")
    assert (await gateway.journal(run.run.run_id, "outcome"))[-1]["result"] == "failed"


async def test_after_a_restart_leases_keys_counters_sightings_and_orders_are_still_there(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path) as first:
        ledger = first.ledger
        ledger.put("acme", "invoices", "inv_1", status="open")
        run, held = await first.open(limits={"writes": 2}), await first.open()
        refund = await first.call(run.lease, "POST", REFUNDS, {"amount": 5})
        await first.call(run.lease, "GET", INVOICE)
        await first.contain(held.run.run_id)
        epoch = first.gateway.containment.mirror.epoch
    ledger.put("acme", "invoices", "inv_1", status="held")
    async with rig.assembled(tmp_path, ledger) as second:
        again = await second.call(run.lease, "POST", REFUNDS, {"amount": 5})
        assert (again.body, header(again, "idempotent-replayed")) == (refund.body, "true")
        assert code(await second.call(run.lease, "PATCH", INVOICE, {"status": "paid"})) == "precondition-changed"
        assert code(await second.call(held.lease, "POST", REFUNDS, {"amount": 1})) == "run-read-only"
        assert second.gateway.containment.mirror.epoch >= epoch
        await second.call(run.lease, "POST", REFUNDS, {"amount": 6})
        assert code(await second.call(run.lease, "POST", REFUNDS, {"amount": 7})) == "blast-radius"


def rig_rate(count: int) -> object:
    from gateway.model.run import Rate

    return Rate(count)


async def until(true: object, wait: float = 10.0) -> None:
    assert callable(true)
    async with asyncio.timeout(wait):
        while not true():
            await asyncio.sleep(0.005)


async def until_async(true: object, wait: float = 10.0) -> None:
    assert callable(true)
    async with asyncio.timeout(wait):
        while not await true():
            await asyncio.sleep(0.02)


async def test_even_a_call_with_a_dead_lease_is_journaled(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.contain(run.run.run_id, Mode.REVOKED)
    reply = await gateway.call(run.lease, "GET", INVOICE)
    refusal = (await gateway.journal(run.run.run_id, "refusal"))[-1]
    assert (refusal["code"], refusal["tenant"]) == ("lease-revoked", "acme")
    assert orjson.loads(reply.body)["entry"] == f"{refusal['stream']}/{refusal['seq']}"
