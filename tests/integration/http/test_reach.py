"""A narrowed token learns nothing of another tenant's runs, not even that they are there; what it did itself it sees."""

from __future__ import annotations

import pytest

from gateway.http.server.operators import Operator, Role
from tests.support import contained, control_api
from tests.support.control_api import Api

NOBODY = "r404"


@pytest.fixture
async def two_tenants(at: Api) -> Api:
    await at.open_run("mine-billing", task_class="billing")
    await at.open_run("theirs", tenant="globex")
    await at.open_run("theirs-held", tenant="globex")
    await at.ask("POST", "/v1/orders", {"scope": {"run": "theirs-held"}, "mode": "paused", "reason": "x"})
    return at


@pytest.mark.parametrize("run", ["theirs", "theirs-held", NOBODY])
async def test_admission_does_not_tell_another_tenants_run_from_none(two_tenants: Api, run: str) -> None:
    body = {"tenant": "acme", "task_class": "billing", "run_id": run}
    assert await two_tenants.ask("POST", "/v1/admission", body, as_="acme-billing") == (200, {"admit": True, "mode": "active"})


async def test_admission_says_to_whom_may_know_that_a_run_is_of_another_tenant(two_tenants: Api) -> None:
    body = {"tenant": "acme", "task_class": "billing", "run_id": "theirs"}
    status, answer = await two_tenants.ask("POST", "/v1/admission", body, as_="orchestrator-token")
    assert (status, answer["code"]) == (400, "bad-request")


@pytest.mark.parametrize("name", ["theirs", NOBODY])
@pytest.mark.parametrize("more", [{}, {"tenant": "acme"}, {"subtree": True}, {"tenant": "acme", "task_class": "billing"}])
@pytest.mark.parametrize("token", ["acme-operator", "acme-billing-operator"])
async def test_an_order_on_a_run_does_not_tell_another_tenants_from_none(
    two_tenants: Api, monkeypatch: pytest.MonkeyPatch, name: str, more: dict[str, object], token: str
) -> None:
    narrow = Operator("acme-billing-operator", Role.OPERATOR, ("acme",), ("billing",))
    monkeypatch.setitem(control_api.OPERATORS, "acme-billing-operator", narrow)
    before = (await two_tenants.ask("GET", "/v1/journal?kind=order"))[1]["items"]
    for dry_run in (False, True):
        body = {"scope": {"run": name, **more}, "mode": "read_only", "reason": "x", "dry_run": dry_run}
        status, answer = await two_tenants.ask("POST", "/v1/orders", body, as_=token)
        assert (status, answer["code"]) == (404, "scope-unknown")
        nearest = "; did you mean mine-billing?" if "mean" in answer["detail"] else "."
        assert answer["detail"] == f"There is no run {name}{nearest} Nothing was ordered."
    assert (await two_tenants.ask("GET", "/v1/journal?kind=order"))[1]["items"] == before
    body = {"scope": {"run": name, **more}, "mode": "read_only", "reason": "x", "future": True}
    told = await two_tenants.ask("POST", "/v1/orders", {**body, "dry_run": True}, as_=token)
    assert told[0] == (200 if more.get("task_class") or (more.get("tenant") and token == "acme-operator") else 403)


@pytest.mark.parametrize("part", ["tenant", "agent"])
async def test_a_name_of_another_tenant_is_as_unknown_as_none(two_tenants: Api, part: str) -> None:
    await two_tenants.open_run("foreign", tenant="globex", agent_id="globex-agent")
    answers = []
    for name in ("globex" if part == "tenant" else "globex-agent", "nowhere"):
        body = {"scope": {"tenant": "acme", part: name}, "mode": "read_only", "reason": "x"}
        status, answer = await two_tenants.ask("POST", "/v1/orders", body, as_="acme-operator")
        answers.append((status, answer["code"], answer["detail"].replace(name, "...")))
    assert answers[0] == answers[1] == (404, "scope-unknown", f"There is no {part} .... Nothing was ordered.")


async def test_an_order_stands_in_the_journal_of_the_tenant_it_names_and_of_no_other(two_tenants: Api) -> None:
    body = {"scope": {"run": "theirs", "tenant": "acme"}, "mode": "read_only", "reason": "from next door", "future": True}
    _, order = await two_tenants.ask("POST", "/v1/orders", body, as_="acme-operator")
    for token, told in (("acme-operator", True), ("globex-operator", False), ("viewer-token", True)):
        _, page = await two_tenants.ask("GET", "/v1/journal?kind=order", as_=token)
        assert (order["order_id"] in [entry["order"]["order_id"] for entry in page["items"]]) is told, token


async def test_an_order_over_a_class_is_seen_by_who_may_touch_that_class(two_tenants: Api) -> None:
    body = {"scope": {"tenant": "acme", "task_class": "billing"}, "mode": "read_only", "reason": "x"}
    _, order = await two_tenants.ask("POST", "/v1/orders", body, as_="acme-operator")
    _, page = await two_tenants.ask("GET", "/v1/journal?kind=order", as_="acme-billing")
    assert [entry["order"]["order_id"] for entry in page["items"]] == [order["order_id"]]


async def test_a_story_does_not_tell_of_another_tenants_order(at: Api) -> None:
    await contained.contain(at.parts)
    body = {"scope": {"run": "run_1", "tenant": "globex"}, "mode": "read_only", "reason": "from next door", "future": True}
    assert (await at.ask("POST", "/v1/orders", body, as_="globex-operator"))[0] == 201
    status, told = await at.ask("GET", "/v1/incidents/inc_1", as_="acme-viewer")
    assert (status, "from next door" in str(told)) == (200, False)
