"""Candidate policies, shadow mode and replay: policy that is watched and not obeyed."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.app import replay
from gateway.core.codec.entry import of_fields
from gateway.core.policy.replay import Ruling, document
from gateway.model.entries import IntentEntry, ReadEntry, RefusalEntry
from gateway.model.run import Mode
from tests.support import rig
from tests.support.rig import ROOT, Rig, code

INVOICE = "/v1/tenants/acme/invoices/inv_1"
REFUNDS = "/v1/tenants/acme/refunds"

STRICTER = """package killcord.authz

denials contains {"code": "amount", "message": "Refunds stop at 10."} if {
	input.action.name == "refund.create"
	input.args.amount > 10
}
"""


def bundle(folder: Path, extra: str = STRICTER) -> Path:
    shutil.copytree(ROOT / "policies", folder)
    (folder / "killcord" / "authz" / "more.rego").write_text(extra)
    return folder


@pytest.fixture
async def candidate(tmp_path: Path) -> AsyncIterator[Rig]:
    bundle(tmp_path / "next")
    async with rig.assembled(tmp_path, extra="candidate: {path: ./next}") as assembled:
        assembled.ledger.put("acme", "invoices", "inv_1", status="open")
        yield assembled


@pytest.fixture
async def shadow(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig.assembled(tmp_path, tool_extra="mode: shadow\n    until: 2999-01-01") as assembled:
        assembled.ledger.put("acme", "invoices", "inv_1", status="open")
        yield assembled


async def test_a_candidate_is_journaled_and_not_obeyed(candidate: Rig) -> None:
    run = await candidate.open()
    assert (await candidate.call(run.lease, "POST", REFUNDS, {"amount": 11})).status == 201
    assert (await candidate.call(run.lease, "POST", REFUNDS, {"amount": 5})).status == 201
    intents = await candidate.journal(run.run.run_id, "intent")
    assert [one["decision"]["allow"] for one in intents] == [True, True]
    said = [one["decision"]["candidate"] for one in intents]
    assert [one["allow"] for one in said] == [False, True]
    assert said[0]["reasons"] == [{"code": "amount", "message": "Refunds stop at 10."}]
    assert said[0]["revision"] != intents[0]["decision"]["revision"]


async def test_shadow_mode_waives_denials_and_approvals_in_writing(shadow: Rig) -> None:
    run = await shadow.open(scopes=("ledger:invoice.read",))
    assert (await shadow.call(run.lease, "POST", REFUNDS, {"amount": 5})).status == 201
    assert (await shadow.call(run.lease, "DELETE", f"{REFUNDS}/refunds-1")).status == 200
    intents = await shadow.journal(run.run.run_id, "intent")
    assert [(one["decision"]["allow"], one["decision"]["waived"]) for one in intents] == [(False, True), (False, True)]
    assert intents[0]["decision"]["reasons"][0]["code"] == "scope"


async def test_shadow_mode_waives_nothing_but_policy(shadow: Rig) -> None:
    crossing = await shadow.open()
    assert code(await shadow.call(crossing.lease, "PATCH", "/v1/tenants/globex/invoices/x", {"status": "x"})) == "tenant-boundary"
    run = await shadow.open(limits={"writes": 1})
    for method, path, body, expected in [
        ("PATCH", "/v1/tenants/acme/unknown/x", {"status": "x"}, "action-unknown"),
        ("POST", REFUNDS, {"amount": 1}, None),
        ("POST", REFUNDS, {"amount": 2}, "blast-radius"),
    ]:
        assert code(await shadow.call(run.lease, method, path, body)) == expected
    await shadow.contain(run.run.run_id, Mode.READ_ONLY)
    assert code(await shadow.call(run.lease, "POST", REFUNDS, {"amount": 3})) == "run-read-only"
    assert code(await shadow.call("nonsense", "GET", INVOICE)) == "lease-invalid"


async def test_a_shadow_whose_time_is_over_is_enforced(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path, tool_extra="mode: shadow\n    until: 2020-01-01") as gateway:
        run = await gateway.open(scopes=("ledger:invoice.read",))
        assert code(await gateway.call(run.lease, "POST", REFUNDS, {"amount": 5})) == "policy-denied"


async def _busy(gateway: Rig) -> None:
    run, narrow = await gateway.open(), await gateway.open(scopes=("ledger:invoice.read",))
    crossing = await gateway.open()  # a run that did nothing else: its rollback, which follows at once, makes no calls
    await gateway.call(run.lease, "GET", INVOICE + "?a=1&b=%20x")
    await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"}, Killcord_Step="s", Killcord_Parent_Step="p")
    await gateway.call(run.lease, "POST", REFUNDS, {"amount": 11})
    await gateway.call(run.lease, "POST", REFUNDS, {"amount": 5})
    await gateway.call(narrow.lease, "POST", REFUNDS, {"amount": 4})
    await gateway.call(run.lease, "DELETE", f"{REFUNDS}/r")
    await gateway.call(crossing.lease, "PATCH", "/v1/tenants/globex/invoices/x", {"status": "x"})
    await gateway.journal()


async def test_the_document_of_every_decision_can_be_made_again_from_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig.assembled(tmp_path) as gateway:
        gateway.ledger.put("acme", "invoices", "inv_1", status="open")
        asked: list[dict[str, Any]] = []
        engine, decide = gateway.gateway.resources.engine, gateway.gateway.resources.engine.decide

        async def listening(given: Any) -> Any:
            asked.append(given)
            return await decide(given)

        monkeypatch.setattr(engine, "decide", listening)
        await _busy(gateway)
        entries = [one for one in await gateway.journal() if "decision" in one]
        assert len(entries) == len(asked) == 7
        vault = gateway.gateway.calls.endpoint.vault
        for entry, given in zip(entries, asked, strict=True):
            run = await gateway.gateway.resources.store.registry.run(entry["run_id"])
            assert run is not None
            plain = await vault.open(entry["requested"].get("args_ref"))
            asked_with = orjson.loads(plain)["request"] if plain else {"body": None, "query": None}
            decided = of_fields(entry)
            assert isinstance(decided, ReadEntry | IntentEntry | RefusalEntry)
            assert orjson.loads(orjson.dumps(document(decided, run, asked_with["body"], asked_with["query"]))) == orjson.loads(
                orjson.dumps(given)
            )


async def test_replay_tells_where_another_bundle_parts_beside_a_running_gateway(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path) as gateway:
        gateway.ledger.put("acme", "invoices", "inv_1", status="open")
        await _busy(gateway)
        seen = len(gateway.ledger.seen)
        stricter = await replay.run(gateway.gateway.config.data_dir, bundle(tmp_path / "stricter"), progress=lambda *_: None)
        assert [(one.action, one.was, one.now, one.reasons) for one in stricter.different] == [
            ("refund.create", Ruling.ALLOW, Ruling.DENY, ("amount: Refunds stop at 10.",))
        ]
        same = await replay.run(gateway.gateway.config.data_dir, ROOT / "policies", progress=lambda *_: None)
        assert (same.different, same.decided, same.lost.total()) == ([], 7, 0)
        assert len(gateway.ledger.seen) == seen, "replay sends nothing"


async def test_what_a_forgotten_tenant_asked_is_counted_as_lost(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path) as gateway:
        gateway.ledger.put("acme", "invoices", "inv_1", status="open")
        await _busy(gateway)
        await gateway.gateway.calls.endpoint.vault.forget("acme")  # type: ignore[attr-defined]
        found = await replay.run(gateway.gateway.config.data_dir, ROOT / "policies", progress=lambda *_: None)
        assert (found.decided, found.lost.total()) == (1, 6), "what had neither body nor query needs no key"
