from __future__ import annotations

import pytest

from gateway.core.codec import record
from tests.support import journaling
from tests.support.control_api import Api
from tests.support.journaling import typed


async def test_a_run_opens_with_a_lease(at: Api) -> None:
    status, answer = await at.ask("POST", "/v1/runs", {"tenant": "acme", "agent_id": "billing", "scopes": ["erp:*"], "ttl": "15m"})
    assert status == 201
    run = answer["run"]
    assert (run["tenant"], run["mode"], run["generation"], run["closed_at"]) == ("acme", "active", 1, None)
    assert run["workflow_id"] == run["run_id"]
    assert run["expires_at"] == answer["expires_at"]
    lease = at.parts.services.lease_keys.verify(answer["lease"])
    assert (lease.run_id, lease.tenant) == (run["run_id"], "acme")


async def test_the_same_request_finds_the_run_it_opened(at: Api) -> None:
    await at.open_run("r1")
    body = {"run_id": "r1", "tenant": "acme", "agent_id": "billing", "scopes": ["erp:*"]}
    status, answer = await at.ask("POST", "/v1/runs", body)
    assert (status, answer["run"]["run_id"]) == (200, "r1")
    status, answer = await at.ask("POST", "/v1/runs", {**body, "agent_id": "other"})
    assert (status, answer["code"]) == (409, "conflict")


async def test_what_is_too_wide_is_named(at: Api) -> None:
    body = {"tenant": "globex", "agent_id": "a", "task_class": "billing", "scopes": ["crm:*"]}
    status, answer = await at.ask("POST", "/v1/runs", body)
    assert (status, answer["code"]) == (400, "too-wide")
    assert [line.partition(":")[0] for line in answer["excess"]] == ["tenant", "scopes"]


async def test_limits_are_taken_exactly_as_written(at: Api) -> None:
    opened = await at.open_run("r1", limits={"amount": {"refund": 12.000001}, "rate": "5/s", "steps": None})
    assert opened["run"]["limits"] == {"rate": "5/s", "steps": 500, "writes": 200, "amount": {"refund": 12.000001}}
    run = await at.parts.services.registry.run("r1")
    assert run is not None
    assert run.limits.amount == {"refund": 12_000_001}


async def test_an_unknown_class_and_an_unknown_parent_are_reported(at: Api) -> None:
    body = {"tenant": "acme", "agent_id": "a", "scopes": ["erp:*"]}
    status, answer = await at.ask("POST", "/v1/runs", {**body, "task_class": "nope"})
    assert (status, answer["code"]) == (400, "bad-request")
    assert "billing, default" in answer["detail"]
    status, answer = await at.ask("POST", "/v1/runs", {**body, "parent_run": "r404"})
    assert (status, answer["code"]) == (404, "not-found")


async def test_runs_are_listed_in_pages_that_ascend(at: Api) -> None:
    for name in ("r3", "r1", "r5", "r2", "r4"):
        await at.open_run(name)
    seen: list[str] = []
    query = "?limit=2"
    pages = 0
    while True:
        _, page = await at.ask("GET", f"/v1/runs{query}")
        seen += [run["run_id"] for run in page["items"]]
        pages += 1
        if page["next"] is None:
            break
        query = f"?limit=2&after={page['next']}"
    assert (seen, pages) == (["r1", "r2", "r3", "r4", "r5"], 3)


async def test_runs_are_filtered_by_what_they_are_now(at: Api) -> None:
    await at.open_run("r1")
    await at.open_run("r2", agent_id="other")
    await at.open_run("r3", parent_run="r1")
    await at.ask("POST", "/v1/orders", {"scope": {"run": "r2"}, "mode": "paused", "reason": "look"})
    for query, expected in (
        ("agent=other", ["r2"]),
        ("parent=r1", ["r3"]),
        ("mode=paused", ["r2"]),
        ("tenant=globex", []),
        ("", ["r1", "r2", "r3"]),
    ):
        _, page = await at.ask("GET", f"/v1/runs?{query}")
        assert [run["run_id"] for run in page["items"]] == expected, query


async def test_a_lease_is_renewed_but_not_for_a_held_run(at: Api) -> None:
    await at.open_run("r1")
    status, answer = await at.ask("POST", "/v1/runs/r1/lease", {"ttl": 60})
    assert status == 200
    assert at.parts.services.lease_keys.verify(answer["lease"]).generation == 1
    await at.ask("POST", "/v1/orders", {"scope": {"run": "r1"}, "mode": "paused", "reason": "look"})
    async with at.raw("POST", "/v1/runs/r1/lease") as response:
        assert response.status == 409
        assert "Retry-After" in response.headers
        assert (await response.json(content_type=None))["code"] == "run-paused"
    await at.ask("POST", "/v1/orders", {"scope": {"run": "r1"}, "mode": "revoked", "reason": "cut"})
    assert (await at.ask("POST", "/v1/runs/r1/lease"))[0] == 403


async def test_a_closed_run_stays_closed_and_reports_it(at: Api) -> None:
    await at.open_run("r1")
    status, run = await at.ask("POST", "/v1/runs/r1/close", {"reason": "done"})
    assert status == 200
    assert run["closed_at"] is not None
    assert run["mode"] == "active"
    again = (await at.ask("POST", "/v1/runs/r1/close"))[1]
    assert again["closed_at"] == run["closed_at"]
    _, page = await at.ask("GET", "/v1/journal?run=r1&kind=run")
    assert [(entry["change"], entry["by"], entry["reason"]) for entry in page["items"]] == [
        ("opened", "admin", "opened"),
        ("closed", "admin", "done"),
    ]


async def test_effects_say_what_can_be_undone(at: Api) -> None:
    journal = at.parts.store.journal
    await journal.append(typed(journaling.entry("run", run=_run_entry(), change="opened", by="t", reason="t")))
    for name in ("standing", "failed", "unknown"):
        await journal.intend(journaling.opening(name))
    await journal.append(typed(journaling.outcome("standing", after_version='"v2"')))
    await journal.append(typed(journaling.outcome("failed", result="failed")))
    await journal.append(typed(journaling.outcome("unknown", result="unknown")))
    status, page = await at.ask("GET", "/v1/runs/run_1/effects")
    assert status == 200
    states = [(one["state"], one["can_undo"]) for one in page["items"]]
    assert states == [("standing", False), ("failed", False), ("unknown", False)]
    first = page["items"][0]
    assert first["before_ref"] == "erp:invoice:inv_1:v1"
    assert first["compensation"]["class"] == "reversible"
    assert first["why_not"].startswith("its deadline was")
    _, one = await at.ask("GET", "/v1/runs/run_1/effects?limit=1")
    _, rest = await at.ask("GET", f"/v1/runs/run_1/effects?after={one['next']}")
    assert [row["intent"] for row in one["items"] + rest["items"]] == [row["intent"] for row in page["items"]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"tenant": "acme", "agent_id": "a", "scopes": ["erp:*"], "tennant": 1}, "tennant: is not known here"),
        ({"agent_id": "a", "scopes": ["erp:*"]}, "tenant: is missing"),
        ({"tenant": "a/b", "agent_id": "a", "scopes": ["erp:*"]}, "tenant: is not a valid name"),
        ({"tenant": "acme", "agent_id": "a\r\nb", "scopes": ["erp:*"]}, "agent_id: is not a valid name"),
        ({"tenant": "acme", "agent_id": "a", "scopes": "erp:*"}, "scopes: must be a list"),
        ({"tenant": "acme", "agent_id": "a", "scopes": ["erp:*"], "ttl": "soon"}, "ttl: 'soon' is not a duration"),
        ({"tenant": "acme", "agent_id": "a", "scopes": ["erp:*"], "mode": "off"}, "mode: must be one of active, read_only"),
        ({"tenant": "acme", "agent_id": "a", "scopes": ["erp:*"], "limits": {"steps": -1}}, "limits.steps: -1 is not a count"),
        (
            {"tenant": "acme", "agent_id": "a", "scopes": ["erp:*"], "limits": {"amount": {"x": "1"}}},
            "limits.amount.x: '1' is not an amount",
        ),
        ([], "body: must be an object"),
    ],
)
async def test_what_is_wrong_with_a_body_is_named(at: Api, body: object, expected: str) -> None:
    status, answer = await at.ask("POST", "/v1/runs", body)
    assert (status, answer["code"]) == (400, "bad-request")
    assert any(problem.startswith(expected) for problem in answer["problems"]), answer["problems"]


async def test_every_problem_of_a_body_is_listed(at: Api) -> None:
    _, answer = await at.ask("POST", "/v1/runs", {"tenant": 1, "agent_id": 2, "scopes": 3, "nope": 4})
    assert len(answer["problems"]) == 4


def _run_entry() -> object:
    return record.RUN.journal(journaling.RUN)


async def test_a_run_names_the_orders_that_hold_it(at: Api) -> None:
    async def holding(run: str) -> list[tuple[str, str, object]]:
        found = (await at.ask("GET", f"/v1/runs/{run}"))[1]["held_by"]
        return [(one["mode"], one["reason"], one["scope"]) for one in found]

    await at.open_run("boss")
    await at.open_run("worker", parent_run="boss")
    assert await holding("boss") == []
    for scope, mode, reason in (
        ({"tenant": "acme"}, "read_only", "odd"),
        ({"run": "boss", "subtree": True}, "paused", "wait"),
        ({"run": "boss"}, "quarantined", "evidence"),
    ):
        assert (await at.ask("POST", "/v1/orders", {"scope": scope, "mode": mode, "reason": reason}))[0] == 201
    await at.open_run("other", tenant="globex")
    assert await holding("other") == []
    assert await holding("worker") == [("paused", "wait", {"run": "boss", "subtree": True}), ("read_only", "odd", {"tenant": "acme"})]
    assert [mode for mode, *_ in await holding("boss")] == ["quarantined", "paused", "read_only"]
    quarantine = (await at.ask("GET", "/v1/runs/boss"))[1]["held_by"][0]
    assert (await at.ask("DELETE", f"/v1/orders/{quarantine['order_id']}?reason=x"))[0] == 200
    assert (await holding("boss"))[0][0] == "quarantined", "a release does not end a quarantine"


async def test_a_child_names_the_order_that_it_inherited(at: Api) -> None:
    await at.open_run("boss")
    await at.ask("POST", "/v1/orders", {"scope": {"run": "boss"}, "mode": "read_only", "reason": "look"})
    child = await at.open_run("worker", parent_run="boss")
    assert [one["scope"] for one in child["run"]["held_by"]] == [{"run": "boss"}]


async def test_an_order_on_a_tool_that_the_run_cannot_call_is_not_named(at: Api) -> None:
    await at.open_run("r1", scopes=["erp:*"])
    for tool in ("erp", "crm"):
        asked = {"scope": {"tool": tool}, "mode": "paused", "reason": "it is down", "future": True}
        assert (await at.ask("POST", "/v1/orders", asked))[0] == 201
    assert [one["scope"] for one in (await at.ask("GET", "/v1/runs/r1"))[1]["held_by"]] == [{"tool": "erp"}]


async def test_an_order_out_of_reach_is_named_without_its_reason(at: Api) -> None:
    await at.open_run("r1")
    await at.ask("POST", "/v1/orders", {"scope": {"all": True}, "mode": "paused", "reason": "about globex"})
    (held,) = (await at.ask("GET", "/v1/runs/r1", as_="acme-viewer"))[1]["held_by"]
    assert (held["mode"], held["scope"], held["reason"], held["by"]) == ("paused", None, None, None)
    assert (await at.ask("GET", "/v1/runs/r1"))[1]["held_by"][0]["reason"] == "about globex"
