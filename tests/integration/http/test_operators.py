"""Who may ask for what: the whole table of roles, written out."""

from __future__ import annotations

import pytest

from gateway.http.app import ROUTES
from gateway.http.server.operators import PERMITTED, Operator, Permission, Role
from gateway.http.server.routing import Route
from tests.support import journaling
from tests.support.control_api import Api
from tests.support.journaling import typed

READING = {
    Permission.READ_RUNS,
    Permission.READ_ORDERS,
    Permission.READ_JOURNAL,
    Permission.READ_TASKS,
    Permission.READ_INCIDENTS,
    Permission.READ_ROLLBACKS,
    Permission.READ_APPROVALS,
}
MAY = {
    Role.VIEWER: READING,
    Role.APPROVER: READING | {Permission.SEE_REQUESTS, Permission.DECIDE_APPROVALS},
    Role.VERIFIER: READING | {Permission.REPORT_FINDINGS, Permission.SIGN_HEADS},
    Role.OPERATOR: READING
    | {
        Permission.ORDER,
        Permission.CLOSE_RUNS,
        Permission.RESOLVE_TASKS,
        Permission.ROLL_BACK,
        Permission.CHECKPOINT,
        Permission.RESUME,
        Permission.SIGN_HEADS,
        Permission.SEE_REQUESTS,
    },
    Role.ORCHESTRATOR: {
        Permission.READ_RUNS,
        Permission.READ_JOURNAL,
        Permission.OPEN_RUNS,
        Permission.RENEW_LEASES,
        Permission.CLOSE_RUNS,
        Permission.ADMIT,
        Permission.CHECKPOINT,
    },
    Role.ADMIN: set(Permission),
}
NOWHERE = {"stream": "s", "seq": "1"} | {f"{what}_id": "x404" for what in ("run", "order", "task", "rollback", "incident", "approval")}
GUARDED = [route for route in ROUTES if route.permission is not None]


def test_every_role_has_its_row() -> None:
    assert set(PERMITTED) == set(Role)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_a_role_may_what_the_table_says_and_no_more(role: Role, permission: Permission) -> None:
    assert Operator("x", role).may(permission) is (permission in MAY[role])


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.method} {route.path}")
async def test_every_call_asks_for_its_permission(at: Api, route: Route) -> None:
    for role in Role:
        path = route.path.format(**NOWHERE)
        if path == "/v1/journal/follow" and route.permission in MAY[role]:
            path += "?after=elsewhere/1"
        status, answer = await at.ask(route.method, path, as_=f"{role.value}-token")
        if route.permission in MAY[role]:
            assert status in (200, 400, 404), (role, answer)
        else:
            assert (status, answer["code"]) == (403, "forbidden"), role


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nope"}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer "}])
async def test_nothing_is_reported_without_a_token(at: Api, route: Route, headers: dict[str, str]) -> None:
    path = route.path.format(**NOWHERE)
    async with at.raw(route.method, path, as_=None, headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await response.json(content_type=None))["code"] == "unauthenticated"


async def test_two_tokens_are_none(at: Api) -> None:
    headers = [("Authorization", "Bearer admin-token"), ("Authorization", "Bearer viewer-token")]
    async with at.client.get("/v1/runs", headers=headers) as response:
        assert response.status == 401


@pytest.fixture
async def two_tenants(at: Api) -> Api:
    await at.open_run("mine")
    await at.open_run("mine-billing", task_class="billing")
    await at.open_run("theirs", tenant="globex")
    return at


async def test_lists_hold_only_runs_in_reach(two_tenants: Api) -> None:
    for token, expected in (
        ("viewer-token", ["mine", "mine-billing", "theirs"]),
        ("acme-viewer", ["mine", "mine-billing"]),
        ("acme-billing", ["mine-billing"]),
    ):
        _, page = await two_tenants.ask("GET", "/v1/runs", as_=token)
        assert [run["run_id"] for run in page["items"]] == expected


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/runs/{}"), ("GET", "/v1/runs/{}/effects"), ("POST", "/v1/runs/{}/close")])
async def test_another_tenants_run_is_not_there(two_tenants: Api, method: str, path: str) -> None:
    for run in ("theirs", "r404"):
        status, answer = await two_tenants.ask(method, path.format(run), as_="acme-operator")
        assert (status, answer["code"]) == (404, "not-found")
        assert answer["detail"] == f"There is no run {run}."
    assert (await two_tenants.ask("POST", "/v1/runs/theirs/lease", as_="acme-billing"))[0] == 404
    assert (await two_tenants.ask("POST", "/v1/runs/mine/lease", as_="acme-billing"))[0] == 404
    assert (await two_tenants.ask("POST", "/v1/runs/mine-billing/lease", as_="acme-billing"))[0] == 200


async def test_an_orchestrator_opens_runs_only_in_its_reach(at: Api) -> None:
    body = {"tenant": "acme", "agent_id": "a", "scopes": ["erp:*"]}
    assert (await at.ask("POST", "/v1/runs", {**body, "task_class": "billing"}, as_="acme-billing"))[0] == 201
    for other in ({"tenant": "globex", "task_class": "billing"}, {"task_class": "default"}):
        status, answer = await at.ask("POST", "/v1/runs", body | other, as_="acme-billing")
        assert (status, answer["code"]) == (403, "forbidden")
        status, answer = await at.ask("POST", "/v1/admission", {"tenant": "acme", "task_class": "default"} | other, as_="acme-billing")
        assert (status, answer["code"]) == (403, "forbidden")


async def test_no_child_is_opened_under_a_run_out_of_reach(two_tenants: Api) -> None:
    body = {"tenant": "acme", "agent_id": "a", "task_class": "billing", "scopes": ["erp:*"], "parent_run": "theirs"}
    assert (await two_tenants.ask("POST", "/v1/runs", body, as_="acme-billing"))[0] == 404


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ({"tenant": "acme"}, 201),
        ({"run": "mine"}, 201),
        ({"run": "mine", "subtree": True}, 201),
        ({"agent": "billing", "tenant": "acme"}, 201),
        ({"tool": "erp", "tenant": "acme"}, 201),
        ({"tenant": "globex"}, 404),
        ({"run": "theirs"}, 404),
        ({"run": "r404"}, 404),
        ({"agent": "billing"}, 403),
        ({"tool": "erp"}, 403),
        ({"task_class": "default"}, 403),
        ({"all": True}, 403),
    ],
)
async def test_an_order_reaches_no_further_than_its_token(two_tenants: Api, scope: dict[str, object], status: int) -> None:
    body = {"scope": scope, "mode": "read_only", "reason": "x"}
    answered, answer = await two_tenants.ask("POST", "/v1/orders", body, as_="acme-operator")
    assert answered == status
    assert (await two_tenants.ask("POST", "/v1/orders", {**body, "dry_run": True}, as_="acme-operator"))[0] == (
        200 if status == 201 else status
    )
    if status != 201:
        assert answer["code"] == ("forbidden" if status == 403 else "scope-unknown")
        assert two_tenants.parts.services.containment.listed() == []


async def test_orders_out_of_reach_are_neither_seen_nor_released(two_tenants: Api) -> None:
    for scope in ({"all": True}, {"tenant": "globex"}, {"tenant": "acme"}):
        await two_tenants.ask("POST", "/v1/orders", {"scope": scope, "mode": "read_only", "reason": "x"})
    _, page = await two_tenants.ask("GET", "/v1/orders", as_="acme-operator")
    assert [order["scope"] for order in page["items"]] == [{"tenant": "acme"}]
    for order in two_tenants.parts.services.containment.listed():
        status, _ = await two_tenants.ask("DELETE", f"/v1/orders/{order.order_id}?reason=x", as_="acme-operator")
        assert status == (200 if order.scope.tenant == "acme" else 404)


async def test_the_journal_shows_only_what_is_in_reach(two_tenants: Api) -> None:
    for scope in ({"all": True}, {"run": "theirs"}, {"run": "mine"}):
        await two_tenants.ask("POST", "/v1/orders", {"scope": scope, "mode": "read_only", "reason": "x"})
    for token, expected in (("acme-viewer", [1, 2, 6]), ("acme-billing", [2]), ("viewer-token", [1, 2, 3, 4, 5, 6])):
        _, page = await two_tenants.ask("GET", "/v1/journal", as_=token)
        assert [entry["seq"] for entry in page["items"]] == expected, token
        for seq in range(1, 7):
            where = f"/v1/journal/{two_tenants.parts.store.journal.stream}/{seq}"
            assert (await two_tenants.ask("GET", where, as_=token))[0] == (200 if seq in expected else 404), (token, seq)


async def test_tasks_are_listed_and_resolved_in_reach(two_tenants: Api) -> None:
    journal = two_tenants.parts.store.journal
    for name, tenant, run in (("task_1", "acme", "mine"), ("task_2", "globex", "theirs")):
        task = {
            "task_id": name,
            "kind": "outcome-unknown",
            "run_id": run,
            "tenant": tenant,
            "wire_key": "kc-x",
            "summary": "?",
            "opened_at": 1,
        }
        await journal.append(
            typed({"ts": journaling.STAMP, "kind": "task", "tenant": tenant, "run_id": run, "task": task, "change": "opened"})
        )
    _, page = await two_tenants.ask("GET", "/v1/tasks", as_="acme-operator")
    assert [task["task_id"] for task in page["items"]] == ["task_1"]
    body = {"resolution": "applied", "note": "seen"}
    assert (await two_tenants.ask("POST", "/v1/tasks/task_2/resolve", body, as_="acme-operator"))[0] == 404
    status, task = await two_tenants.ask("POST", "/v1/tasks/task_1/resolve", body, as_="acme-operator")
    assert (status, task["resolution"], task["resolved_by"]) == (200, "applied", "acme-operator")
