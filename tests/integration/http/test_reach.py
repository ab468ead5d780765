"""A narrowed token learns nothing of another tenant's runs, not even that they are there; what it did itself it sees."""

from __future__ import annotations

import pytest

from tests.support import contained
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


@pytest.mark.parametrize("run", ["theirs", NOBODY])
async def test_an_order_on_a_run_does_not_tell_another_tenants_from_none(two_tenants: Api, run: str) -> None:
    body = {"scope": {"run": run, "tenant": "acme"}, "mode": "read_only", "reason": "x"}
    status, answer = await two_tenants.ask("POST", "/v1/orders", body, as_="acme-operator")
    assert (status, answer["warning"]) == (201, f"There is no run {run} yet; the order will contain it if it is opened.")
    assert (await two_tenants.ask("POST", "/v1/orders", {**body, "dry_run": True}, as_="acme-operator"))[1] == {"runs": 0}


async def test_an_order_stands_in_the_journal_of_the_tenant_it_names_and_of_no_other(two_tenants: Api) -> None:
    body = {"scope": {"run": "theirs", "tenant": "acme"}, "mode": "read_only", "reason": "from next door"}
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
    body = {"scope": {"run": "run_1", "tenant": "globex"}, "mode": "read_only", "reason": "from next door"}
    assert (await at.ask("POST", "/v1/orders", body, as_="globex-operator"))[0] == 201
    status, told = await at.ask("GET", "/v1/incidents/inc_1", as_="acme-viewer")
    assert (status, "from next door" in str(told)) == (200, False)
