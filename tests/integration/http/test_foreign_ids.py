"""No operation tells a narrowed token whether another tenant's thing exists: its id is answered as an id that nothing has.

Every operation of the table of routes is asked, with every id that its path, query or body takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.core.codec import record
from gateway.http.app import ROUTES
from gateway.http.server import paging
from gateway.http.server.routing import Route
from gateway.model.run import Mode, Scope
from tests.support import approvals, contained, journaling, rolled
from tests.support.control_api import Api
from tests.support.journaling import typed

Json = dict[str, Any]

FOREIGN = "globex-admin"
"""A token that may do anything, for another tenant than all of the things below are of."""

RUN = {"tenant": "globex", "agent_id": "a", "scopes": ["erp:*"]}
WHY = {"reason": "it looks odd"}
BODIES: dict[str, Json] = {
    "open_run": RUN,
    "ask_admission": {"tenant": "globex", "task_class": "default"},
    "report_finding": {"kind": "k", "severity": "high", "evidence": {}},
    "contain": {"scope": {"tenant": "globex"}, "mode": "paused", **WHY},
    "take_checkpoint": {"state_ref": "s3://state"},
    "resume_run": WHY,
    "recover_incident": WHY,
    "roll_back": {"scope": {}, **WHY},
    "stop_rollback": WHY,
    "continue_rollback": WHY,
    "decide_approval": {"decision": "approve", **WHY},
    "resolve_task": {"resolution": "applied", "note": "looked"},
    "release_order": WHY,
}
"""What an operation needs beside ids; one that is not here takes an empty body, or none."""

IDS = {"run", "run_id", "parent", "parent_run", "workflow_id", "order_id", "task_id", "approval_id", "incident_id", "rollback_id"}
PLACES = {"stream", "seq", "checkpoint", "to", "after"}
"""Positions and cursors: within the one stream of a gateway, or names of what a run has, which is asked for first."""
NO_IDS = {
    *("tenant", "agent", "agent_id", "mode", "limit", "status", "kind", "state", "nodes", "reason", "task_class", "scopes", "tools", "ttl"),
    *("limits", "severity", "evidence", "scope", "no_fanout", "wait", "dry_run", "state_ref", "label", "generation", "require_approval"),
    *("decision", "resolution", "note", "writes", "subtree", "tool", "all", "future"),
    "raise_limits",
}

# A run's id is one name for the whole gateway, so a new run cannot take one that is taken: docs/api.md says what to do.
TAKEN = {("open_run", "run_id")}


# An order on a run that is not there yet holds it once it is opened; a workflow is named within its tenant, so the id is no other's.
NAMED = {("open_run", "workflow_id")}


def asked(route: Route) -> Iterator[tuple[str, str]]:
    """Each id that an operation takes, and where: path, query, body or the body's scope."""
    for part in ("run_id", "order_id", "task_id", "approval_id", "incident_id", "rollback_id", "seq"):
        if f"{{{part}}}" in route.path:
            yield "path", part
    for where, model in (("query", route.query), ("body", route.body)):
        yield from ((where, name) for name in (model.model_fields if model is not None else ()) if name in IDS)
    if route.body is not None and "scope" in route.body.model_fields:
        scope: Any = route.body.model_fields["scope"].annotation
        yield from (("scope", name) for name in scope.model_fields if name in IDS)


CASES = [(route, where, name) for route in ROUTES for where, name in asked(route) if (route.handler.__name__, name) not in TAKEN]


@pytest.fixture
async def ids(at: Api) -> dict[str, str]:
    """The ids of what another tenant has: one of each kind."""
    held = await contained.contain(at.parts)
    asking = await approvals.ask(at.parts)
    await at.parts.store.journal.append(
        typed(journaling.entry("rollback", rollback=record.ROLLBACK.journal(rolled.ROLLBACK), change="begun"))
    )
    return {
        **dict.fromkeys(("run", "run_id", "parent", "parent_run"), "run_1"),
        "workflow_id": "wf_1",
        "order_id": held.order.order_id,
        "task_id": "task_1",
        "approval_id": asking.approval_id,
        "incident_id": "inc_1",
        "rollback_id": rolled.ROLLBACK.rollback_id,
        "seq": "1",
    }


@pytest.mark.parametrize(("route", "where", "name"), CASES, ids=lambda one: f"{one.method} {one.path}" if isinstance(one, Route) else one)
async def test_another_tenants_id_is_answered_as_one_that_nothing_has(
    at: Api, ids: dict[str, str], route: Route, where: str, name: str
) -> None:
    before = await journal(at)
    foreign, absent = ids[name], "999999999" if name == "seq" else "absent_1"
    answers = [await ask(at, route, where, name, value) for value in (foreign, absent)]
    assert normal(answers[0], foreign) == normal(answers[1], absent)
    told = (await journal(at))[len(before) :]
    assert (route.handler.__name__, name) in NAMED or not [entry for entry in told if foreign in str(entry)], told


async def test_every_field_of_every_request_is_known_to_be_an_id_or_not() -> None:
    models = [model for route in ROUTES for model in (route.query, route.body) if model is not None]
    scopes: list[Any] = [model.model_fields["scope"].annotation for model in models if "scope" in model.model_fields]
    fields = {name for model in models + scopes if hasattr(model, "model_fields") for name in model.model_fields}
    assert fields - IDS - PLACES - NO_IDS == set()


async def test_a_page_that_ends_early_names_no_row_of_another_tenant(at: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "SCANNED", 2)
    monkeypatch.setattr(paging, "AT_ONCE", 2)
    await contained.contain(at.parts)
    for number in range(9):
        await at.open_run(f"theirs-{number}")
        await at.parts.services.containment.make(Scope(run=f"theirs-{number}"), Mode.PAUSED, reason="r", by="t")
    await at.open_run("yours", tenant="globex")
    for path in ("runs", "orders", "incidents", "rollbacks", "tasks", "approvals"):
        _, page = await at.ask("GET", f"/v1/{path}?limit=1", as_=FOREIGN)
        assert page["next"] is None, path
        assert "theirs" not in str(page)
    assert [one["run_id"] for one in (await at.ask("GET", "/v1/runs?limit=1", as_=FOREIGN))[1]["items"]] == ["yours"]


async def ask(at: Api, route: Route, where: str, name: str, value: str) -> tuple[int, Json | str]:
    parts = dict.fromkeys(("run_id", "order_id", "task_id", "approval_id", "incident_id", "rollback_id"), "absent_2")
    parts |= {"stream": at.parts.store.journal.stream, "seq": "999999998"}
    body = dict(BODIES.get(route.handler.__name__, {}))
    if where == "path":
        parts[name] = value
    elif where == "scope":
        body["scope"] = {**body["scope"], name: value}
    elif where == "body":
        body[name] = value
    path = route.path.format(**parts) + (f"?{name}={value}" if where == "query" else "")
    if "{stream}" not in route.path and where == "query" and route.path == "/v1/journal/follow":
        path += "&after=elsewhere/1"  # an answer that ends
    return await at.ask(route.method, path, None if route.method == "GET" else body, as_=FOREIGN)


def normal(answer: tuple[int, Json | str], value: str) -> tuple[int, str]:
    """An answer without the id that was asked for, and without what differs between any two answers."""
    status, said = answer
    if isinstance(said, dict) and status < 300 and "items" not in said:
        return status, str(sorted(said))
    return status, re.sub(rf"\b{value}\b", "ID", str(said))


async def journal(at: Api) -> list[Json]:
    items: list[Json] = (await at.ask("GET", "/v1/journal?limit=1000"))[1]["items"]
    return items
