"""Which calls are the same call, and what becomes of one whose outcome is unknown: over a real store and a real HTTP tool."""

from __future__ import annotations

import asyncio
from collections import Counter

import orjson
import pytest

from gateway.model.entry import Position
from gateway.pipeline import sealed_payloads
from gateway.ports.journal import IntentRefused, IntentRequest
from tests.support.rig import Rig, code, header, until_async

INVOICE = "/v1/tenants/acme/invoices/inv_1"
REFUNDS = "/v1/tenants/acme/refunds"


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
    assert {code(reply) for reply in replies} <= {None, "in-flight", "run-paused", "run-read-only"}, "and contained for the spike it is"
    assert [reply.status for reply in replies].count(201) >= 1
    counters = await gateway.gateway.resources.store.registry.counters(f"run:{run.run.run_id}")
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


@pytest.mark.parametrize("key", ["k" * 255, '"' + "k" * 255 + '"', '"order 4711, again"', "8e03978e-40d5-43dd-bc93-6894a57f9324"])
async def test_a_key_is_taken_as_clients_make_them(gateway: Rig, key: str) -> None:
    run = await gateway.open()
    first, again = [await gateway.call(run.lease, "POST", REFUNDS, {"amount": 6}, Idempotency_Key=key) for _ in range(2)]
    assert (first.status, header(again, "idempotent-replayed")) == (201, "true")


@pytest.mark.parametrize("key", ['""', "k" * 256, '"a\tb"'])
async def test_what_is_no_key_stands_for_no_call(gateway: Rig, key: str) -> None:
    run = await gateway.open()
    assert code(await gateway.call(run.lease, "POST", REFUNDS, {"amount": 6}, Idempotency_Key=key)) == "malformed-request"
    assert gateway.ledger.count("refunds") == 0


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


async def test_a_500_on_a_write_is_unknown_and_is_not_sent_again(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.fail_after_apply = 1
    first = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 2})
    again = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 2})
    assert (first.status, again.status, code(again), gateway.ledger.count("refunds")) == (500, 409, "outcome-unknown", 1)
    problem = orjson.loads(again.body)
    tasks = await gateway.gateway.resources.store.registry.tasks(run=run.run.run_id)
    assert [task.task_id for task in tasks] == [problem["task_id"]]
    assert code(await gateway.call(run.lease, "POST", REFUNDS, {"amount": 2})) == "outcome-unknown"
    assert len(await gateway.gateway.resources.store.registry.tasks(run=run.run.run_id)) == 1


@pytest.mark.parametrize(("resolution", "status", "refunds"), [("applied", 409, 1), ("not_applied", 201, 2)])
async def test_a_person_decides_an_unknown_refund(gateway: Rig, resolution: str, status: int, refunds: int) -> None:
    run = await gateway.open()
    gateway.ledger.drop_after_apply = 1
    lost = await gateway.call(run.lease, "POST", REFUNDS, {"amount": 99})
    assert (lost.status, code(lost), orjson.loads(lost.body)["outcome"]) == (502, "tool-unreachable", "unknown")
    task = orjson.loads((await gateway.call(run.lease, "POST", REFUNDS, {"amount": 99})).body)["task_id"]
    await gateway.gateway.recovery.tasks.resolve(task, resolution=resolution, note="looked", by="operator")
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
    assert (found["result"], found["known_by"], found["by"], "after_version" in found) == ("found", "state", "probe", False)


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


async def test_a_write_is_never_taken_for_abandoned_while_it_is_carried(gateway: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await gateway.open()
    journal, adopted = gateway.gateway.resources.store.journal, []
    intend = journal.intend

    async def then_reconcile(opening: IntentRequest) -> Position | IntentRefused:
        """The intent is on disk, and the line has not learned of it yet."""
        opened = await intend(opening)
        adopted.append(await gateway.gateway.recovery.reconciler.adopt())
        return opened

    monkeypatch.setattr(journal, "intend", then_reconcile)
    replies = await asyncio.gather(*(gateway.call(run.lease, "POST", REFUNDS, {"amount": 5}) for _ in range(20)))
    assert len(adopted) > 1, "several calls reached for the key"
    assert set(adopted) == {0}
    assert sorted({reply.status for reply in replies}) == [201, 409]
    assert [write.state.value for write in await gateway.writes(run.run.run_id)] == ["standing"]
    assert gateway.gateway.recovery.reconciler.live == Counter()


def test_what_was_struck_out_of_a_kept_request_is_known_to_be_missing() -> None:
    kept = b'{"request": {"path": {}, "body": {"amount": "[redacted]"}}, "run": {}, "redacted": true}'
    assert sealed_payloads.request_from(kept, {}).redacted
    assert not sealed_payloads.request_from(kept.replace(b"true", b"false"), {}).redacted
