from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.clients.keys.vault import TenantVault
from gateway.model.review import Approval
from tests.support.approvals import DRAFT, REQUEST, ask
from tests.support.control_api import Api


@pytest.fixture
async def asked(at: Api) -> Approval:
    return await ask(at.parts)


async def test_an_approval_shows_what_would_be_done(at: Api, asked: Approval) -> None:
    status, page = await at.ask("GET", "/v1/approvals?run=run_1&status=pending", as_="approver-token")
    assert (status, page["next"], len(page["items"])) == (200, None, 1)
    (shown,) = page["items"]
    assert (shown["approval_id"], shown["status"], shown["action"], shown["tool"]) == (asked.approval_id, "pending", "refund.delete", "erp")
    assert shown["target"] == {"system": "erp", "type": "refund", "id": "r1", "tenant": "acme", "tool": "erp"}
    assert (shown["existed"], shown["version"]) == (True, '"v7"')
    assert shown["reasons"] == [{"code": "irreversible", "message": "No way back."}]
    assert shown["args_digest"] == f"sha256:{DRAFT.content}"
    assert shown["request"] == REQUEST
    assert shown["expires_at"] > shown["requested_at"]
    assert "request_ref" not in shown
    assert (await at.ask("GET", f"/v1/approvals/{asked.approval_id}", as_="approver-token"))[1] == shown


async def test_who_decides_and_who_contains_see_the_same_request_and_others_all_but_that(at: Api, asked: Approval) -> None:
    """Every role that reads approvals, in lists and one by one."""
    one = f"/v1/approvals/{asked.approval_id}"
    seen: dict[str, dict[str, Any]] = {}
    for role in ("admin", "approver", "operator", "viewer", "verifier"):
        (listed,) = (await at.ask("GET", "/v1/approvals", as_=f"{role}-token"))[1]["items"]
        assert (await at.ask("GET", one, as_=f"{role}-token"))[1] == listed
        seen[role] = listed
    assert (seen["approver"]["request"], seen["approver"]["request_state"]) == (REQUEST, "shown")
    assert seen["operator"] == seen["admin"] == seen["approver"]
    assert seen["viewer"] == seen["verifier"] == seen["approver"] | {"request": None, "request_state": "withheld"}
    assert "very-private" not in str(seen["viewer"])


@pytest.mark.parametrize("token", ["viewer-token", "operator-token", "verifier-token"])
async def test_a_role_that_sees_an_approval_may_still_not_decide_it(at: Api, asked: Approval, token: str) -> None:
    body = {"decision": "approve", "reason": "mine"}
    assert (await at.ask("POST", f"/v1/approvals/{asked.approval_id}", body, as_=token))[0] == 403


async def test_an_orchestrator_neither_sees_nor_decides(at: Api, asked: Approval) -> None:
    assert (await at.ask("GET", "/v1/approvals", as_="orchestrator-token"))[0] == 403
    body = {"decision": "approve", "reason": "mine"}
    assert (await at.ask("POST", f"/v1/approvals/{asked.approval_id}", body, as_="orchestrator-token"))[0] == 403
    assert not await at.parts.services.approvals.granted(asked.approval_id)


@pytest.mark.parametrize(("decision", "becomes"), [("approve", "granted"), ("deny", "denied")])
async def test_a_decision_is_taken_once_and_journaled_with_who_took_it(at: Api, asked: Approval, decision: str, becomes: str) -> None:
    path, body = f"/v1/approvals/{asked.approval_id}", {"decision": decision, "reason": "looked"}
    status, shown = await at.ask("POST", path, body, as_="approver-token")
    assert (status, shown["status"], shown["decided_by"], shown["reason"]) == (200, becomes, "approver", "looked")
    for again in ("approve", "deny"):
        status, answer = await at.ask("POST", path, {"decision": again, "reason": "again"})
        assert (status, answer["code"]) == (409, "conflict")
    _, page = await at.ask("GET", "/v1/journal?kind=approval&run=run_1")
    assert [(one["change"], one.get("by"), one.get("reason")) for one in page["items"]] == [
        ("requested", None, None),
        (becomes, "approver", "looked"),
    ]


async def test_of_many_decisions_at_once_one_is_taken(at: Api, asked: Approval) -> None:
    path = f"/v1/approvals/{asked.approval_id}"
    taken = await asyncio.gather(
        *(at.ask("POST", path, {"decision": word, "reason": "r"}) for word in ("approve", "deny") for _ in range(10))
    )
    assert sorted(status for status, _ in taken) == [200] + [409] * 19


@pytest.mark.parametrize(
    "body", [{"decision": "maybe", "reason": "x"}, {"decision": "approve"}, {"decision": "approve", "reason": ""}, {"reason": "x"}, {}]
)
async def test_a_decision_is_a_word_and_a_reason(at: Api, asked: Approval, body: dict[str, str]) -> None:
    status, answer = await at.ask("POST", f"/v1/approvals/{asked.approval_id}", body)
    assert (status, answer["code"]) == (400, "bad-request")


async def test_what_is_void_or_has_expired_cannot_be_decided(at: Api, asked: Approval) -> None:
    approvals = at.parts.services.approvals
    await approvals.void(asked, "it changed")
    approvals.ttl = 0.0
    expired = await ask(at.parts)
    assert expired.approval_id != asked.approval_id
    for one, said in ((asked, "is void"), (expired, "has expired")):
        status, answer = await at.ask("POST", f"/v1/approvals/{one.approval_id}", {"decision": "approve", "reason": "r"})
        assert (status, said in answer["detail"]) == (409, True)
    listed = {one["approval_id"]: one["status"] for one in (await at.ask("GET", "/v1/approvals"))[1]["items"]}
    assert listed == {asked.approval_id: "void", expired.approval_id: "expired"}
    assert [one["status"] for one in (await at.ask("GET", "/v1/approvals?status=expired"))[1]["items"]] == ["expired"]


async def test_a_run_that_ended_or_continued_is_not_decided_for(at: Api, asked: Approval) -> None:
    earlier = await ask(at.parts, generation=0)
    status, answer = await at.ask("POST", f"/v1/approvals/{earlier.approval_id}", {"decision": "approve", "reason": "r"})
    assert (status, "has been resumed since" in answer["detail"]) == (409, True)
    await at.ask("POST", "/v1/runs/run_1/close", {})
    status, answer = await at.ask("POST", f"/v1/approvals/{asked.approval_id}", {"decision": "approve", "reason": "r"})
    assert (status, "has ended" in answer["detail"]) == (409, True)


async def test_another_tenants_approval_is_not_there(at: Api, asked: Approval) -> None:
    foreign = await ask(at.parts, run_id="run_2", tenant="globex")
    assert [one["tenant"] for one in (await at.ask("GET", "/v1/approvals", as_="acme-approver"))[1]["items"]] == ["acme"]
    body = {"decision": "approve", "reason": "r"}
    assert (await at.ask("GET", f"/v1/approvals/{foreign.approval_id}", as_="acme-approver"))[0] == 404
    assert (await at.ask("POST", f"/v1/approvals/{foreign.approval_id}", body, as_="acme-approver"))[0] == 404
    assert (await at.ask("POST", "/v1/approvals/apr_none", body))[0] == 404
    assert (await at.ask("POST", f"/v1/approvals/{asked.approval_id}", body, as_="acme-approver"))[0] == 200


async def test_a_forgotten_tenants_request_is_not_there_any_more(at: Api, asked: Approval) -> None:
    vault = at.parts.services.approvals.vault
    assert isinstance(vault, TenantVault)
    await vault.forget("acme")
    shown = (await at.ask("GET", f"/v1/approvals/{asked.approval_id}"))[1]
    assert (shown["request"], shown["request_state"]) == (None, "forgotten")
