from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.clients.keys.vault import TenantVault, open_master_key
from gateway.control.review.findings import LARGEST
from tests.support.control_api import Api

Json = dict[str, Any]
PROOF = {"kind": "ledger.imbalance", "severity": "critical", "evidence": {"sum": 12.5, "account": "canary-4711"}}


@pytest.fixture
async def running(at: Api) -> Api:
    await at.open_run("r1")
    return at


async def entry(at: Api, answer: Json) -> Json:
    _, found = await at.ask("GET", f"/v1/journal/{answer['entry']}")
    return found


async def test_a_finding_stands_in_the_journal_with_who_reported_it(running: Api) -> None:
    status, answer = await running.ask("POST", "/v1/runs/r1/findings", {**PROOF, "reason": "nightly"}, as_="verifier-token")
    assert status == 201, answer
    assert set(answer) == {"finding_id", "entry", "about"}, "nobody watches this journal, so there is no incident"
    assert answer["about"] == [], "its evidence names nothing of the run"
    found = await entry(running, answer)
    assert (found["kind"], found["finding"], found["severity"]) == ("finding", "ledger.imbalance", "critical")
    assert (found["finding_id"], found["by"], found["reason"]) == (answer["finding_id"], "verifier", "nightly")
    assert (found["run_id"], found["tenant"], found["agent_id"], found["task_class"], found["generation"]) == (
        "r1",
        "acme",
        "billing",
        "default",
        1,
    )


async def test_the_evidence_is_sealed_and_its_digest_told(running: Api, tmp_path: Path) -> None:
    _, answer = await running.ask("POST", "/v1/runs/r1/findings", PROOF)
    found = await entry(running, answer)
    assert "canary" not in json.dumps(found)
    plain = b'{"account":"canary-4711","sum":12.5}'
    assert found["evidence_digest"] == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    blobs = running.parts.store.blobs
    sealed = await blobs.blob(found["evidence_ref"])
    assert sealed is not None
    assert sealed.tenant == "acme"
    assert await TenantVault(blobs, open_master_key(tmp_path / "var" / "keys")).unseal(sealed) == plain


async def test_entries_that_the_evidence_names_are_reported_in_the_clear_and_others_are_only_counted(running: Api) -> None:
    _, entries = await running.ask("GET", "/v1/journal?run=r1")
    opened = f"{entries['items'][0]['stream']}/{entries['items'][0]['seq']}"
    elsewhere = f"{opened.partition('/')[0]}/{'9' * 30}"
    await running.open_run("theirs", tenant="globex")
    _, others = await running.ask("GET", "/v1/journal?run=theirs")
    foreign = f"{others['items'][0]['stream']}/{others['items'][0]['seq']}"
    evidence = {"entry": opened, "entries": [foreign, elsewhere, "st_x/1", 7], "objects": ["invoice:canary-4711"]}
    status, answer = await running.ask("POST", "/v1/runs/r1/findings", {**PROOF, "evidence": evidence}, as_="verifier-token")
    assert (status, answer["about"]) == (201, [opened])
    found = await entry(running, answer)
    assert (found["about"], found["unfound"]) == ([opened], 5)
    assert "canary" not in json.dumps(found)


async def test_the_largest_evidence_fits_and_a_byte_more_does_not(running: Api) -> None:
    room = LARGEST - len('{"x":""}')
    fits = {**PROOF, "evidence": {"x": "e" * room}}
    assert (await running.ask("POST", "/v1/runs/r1/findings", fits))[0] == 201
    status, answer = await running.ask("POST", "/v1/runs/r1/findings", {**PROOF, "evidence": {"x": "e" * (room + 1)}})
    assert (status, answer["code"]) == (400, "bad-request")
    assert answer["problems"][0].startswith(f"evidence: is {LARGEST + 1} bytes long")


@pytest.mark.parametrize(
    "change",
    [
        {"severity": "very bad"},
        {"severity": ""},
        {"severity": None},
        {"kind": "two words"},
        {"kind": ""},
        {"evidence": []},
        {"evidence": "x"},
        {"more": 1},
    ],
)
async def test_a_finding_is_a_kind_a_severity_and_an_object(running: Api, change: Json) -> None:
    status, answer = await running.ask("POST", "/v1/runs/r1/findings", {**PROOF, **change})
    assert (status, answer["code"]) == (400, "bad-request")


@pytest.mark.parametrize(("word", "kept"), [("warning", "warning"), ("sev-2", "sev-2"), ("CRITICAL", "critical"), ("Critical", "critical")])
async def test_a_severity_is_any_word_for_policy_to_weigh(running: Api, word: str, kept: str) -> None:
    """Refused because of its word, a finding would hold nobody."""
    status, answer = await running.ask("POST", "/v1/runs/r1/findings", {**PROOF, "severity": word}, as_="verifier-token")
    assert status == 201
    assert (await entry(running, answer))["severity"] == kept


@pytest.mark.parametrize("missing", ["kind", "severity", "evidence"])
async def test_each_part_has_to_be_there(running: Api, missing: str) -> None:
    body = {name: value for name, value in PROOF.items() if name != missing}
    assert (await running.ask("POST", "/v1/runs/r1/findings", body))[0] == 400


async def test_a_closed_run_can_still_be_found_unsafe(running: Api) -> None:
    await running.ask("POST", "/v1/runs/r1/close", {})
    assert (await running.ask("POST", "/v1/runs/r1/findings", PROOF))[0] == 201


async def test_an_unknown_run_and_another_tenants_are_not_there(running: Api) -> None:
    await running.open_run("theirs", tenant="globex")
    assert (await running.ask("POST", "/v1/runs/r404/findings", PROOF))[0] == 404
    assert (await running.ask("POST", "/v1/runs/theirs/findings", PROOF, as_="acme-verifier"))[0] == 404
    assert (await running.ask("POST", "/v1/runs/r1/findings", PROOF, as_="acme-verifier"))[0] == 201
