"""The line over a real store and a real HTTP tool: what reaches the tool, what the journal says, what the agent hears."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from gateway.model.run import Mode
from tests.support import rig
from tests.support.rig import Rig, code, header, until

INVOICE = "/v1/tenants/acme/invoices/inv_1"
REFUNDS = "/v1/tenants/acme/refunds"


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
    store = gateway.gateway.resources.store
    from gateway.clients.keys.vault import TenantVault, open_master_key

    vault = TenantVault(store.blobs, open_master_key(gateway.gateway.config.data_dir / "keys"))
    args = await store.blobs.blob(intent["requested"]["args_ref"])
    before = await store.blobs.blob(intent["snapshot_ref"])
    assert args is not None
    assert before is not None
    assert orjson.loads(await vault.unseal(args))["request"]["body"] == {"status": "very-private"}
    sealed = {"exists": True, "version": '"v1"', "state": {"status": "open", "amount": 10}}
    assert orjson.loads(await vault.unseal(before)) == sealed | {"representation": {"content_type": "application/json; charset=utf-8"}}


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
    ],
)
async def test_what_policy_or_catalog_prevent_never_reaches_the_tool(
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


async def test_a_refusal_before_the_run_is_reached_still_says_whose_call_it_was(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.contain(run.run.run_id, Mode.REVOKED)
    for tool, refused in (("nothing", "tool-unknown"), ("ledger", "lease-revoked")):
        reply = await gateway.call(run.lease, "GET", INVOICE, tool=tool, Killcord_Step="s1")
        problem = orjson.loads(reply.body)
        assert (problem["code"], problem["run_id"], problem["step_id"]) == (refused, run.run.run_id, "s1")
        told = [header(reply, name) for name in ("Killcord-Run", "Killcord-Step", "Killcord-Mode", "Killcord-Entry")]
        assert told == [run.run.run_id, "s1", "revoked", problem["entry"]]
    unnamed = orjson.loads((await gateway.call(run.lease, "GET", INVOICE, Killcord_Step="no step")).body)
    assert (unnamed["run_id"], "step_id" in unnamed) == (run.run.run_id, False)
    stranger = await gateway.call(run.lease[:-8] + "AAAAAAAA", "GET", INVOICE, Killcord_Step="s1")
    assert [header(stranger, name) for name in ("Killcord-Run", "Killcord-Step", "Killcord-Mode", "Killcord-Entry")] == [None] * 4


async def test_once_an_intent_is_to_be_written_the_call_is_committed_and_a_read_never_is(gateway: Rig) -> None:
    run = await gateway.open()
    commits: list[str] = []
    await gateway.call(run.lease, "GET", INVOICE, commit=lambda: commits.append("read"))
    other = await gateway.open(scopes=("ledger:invoice.read",))
    await gateway.call(other.lease, "PATCH", INVOICE, {"status": "x"}, commit=lambda: commits.append("refused"))
    await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"}, commit=lambda: commits.append("write"))
    assert commits == ["write"]


async def test_a_draining_gateway_takes_no_new_calls(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.gateway.calls.endpoint.draining = True
    reply = await gateway.call(run.lease, "GET", INVOICE)
    assert (reply.status, code(reply), header(reply, "retry-after")) == (503, "draining", "5")


async def test_a_tool_that_cannot_be_reached_fails_a_write_for_certain(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.gateway.resources.pool.close()
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
        epoch = first.gateway.control.containment.replica.epoch
    ledger.put("acme", "invoices", "inv_1", status="held")
    async with rig.assembled(tmp_path, ledger) as second:
        again = await second.call(run.lease, "POST", REFUNDS, {"amount": 5})
        assert (again.body, header(again, "idempotent-replayed")) == (refund.body, "true")
        assert code(await second.call(run.lease, "PATCH", INVOICE, {"status": "paid"})) == "precondition-changed"
        assert code(await second.call(held.lease, "POST", REFUNDS, {"amount": 1})) == "run-read-only"
        assert second.gateway.control.containment.replica.epoch >= epoch
        await second.call(run.lease, "POST", REFUNDS, {"amount": 6})
        assert code(await second.call(run.lease, "POST", REFUNDS, {"amount": 7})) == "blast-radius"
