"""GET /v1/status: what is held and what waits, as far as a token may see it; and the counts of a scrape."""

from __future__ import annotations

import sqlite3
from typing import Any

from prometheus_client import CollectorRegistry

from gateway.control.containment.gauges import Gauges
from gateway.stores.sqlite.open_work import SqliteOpenWork
from tests.support import contained
from tests.support.control_api import Api, Opened


async def status(at: Api, token: str = "viewer-token") -> dict[str, Any]:
    code, found = await at.ask("GET", "/v1/status", as_=token)
    assert code == 200
    return found


async def test_a_viewer_sees_what_is_held_and_what_waits(at: Api) -> None:
    incident = (await contained.contain(at.parts)).incident
    await at.open_run("r1")
    await at.ask("POST", "/v1/orders", {"scope": {"tenant": "acme"}, "mode": "paused", "reason": "look"})
    found = await status(at)
    newest, older = found["orders"]["items"]
    assert (newest["mode"], newest["runs_held"], older["scope"]) == ("paused", 1, {"run": "run_1"})
    assert [one["incident_id"] for one in found["incidents"]["items"]] == [incident.incident_id]
    assert [found[part]["total"] for part in ("tasks", "approvals", "rollbacks", "triggers")] == [1, 0, 0, 1]
    assert (found["withheld"], found["unread"]) == ({}, {})


async def test_a_narrow_token_sees_its_own_and_knows_that_it_is_narrow(at: Api) -> None:
    await contained.contain(at.parts)
    await at.ask("POST", "/v1/orders", {"scope": {"all": True}, "mode": "paused", "reason": "about globex"})
    theirs, ours = await status(at, "globex-operator"), await status(at, "acme-viewer")
    assert [theirs[part]["total"] for part in ("orders", "incidents", "tasks", "triggers")] == [0, 0, 0, 0]
    assert [ours[part]["total"] for part in ("orders", "incidents", "tasks", "triggers")] == [1, 1, 1, 1]
    assert theirs["sees"] == {"tenants": ["globex"], "task_classes": ["*"]}


async def test_parts_that_a_role_may_not_read_are_named(at: Api) -> None:
    found = await status(at, "orchestrator-token")
    assert set(found["withheld"]) == {"orders", "incidents", "approvals", "tasks", "rollbacks"}
    assert found["withheld"]["orders"] == "the role orchestrator may not read orders"
    assert "triggers" in found


async def test_parts_that_cannot_be_read_are_named_and_the_rest_is_there(at: Api, opened: Opened) -> None:
    broken = await opened(open_work=SqliteOpenWork(sqlite3.connect(":memory:")))
    await at.ask("POST", "/v1/orders", {"scope": {"tenant": "acme"}, "mode": "paused", "reason": "look"})
    found = await status(broken)
    assert found["orders"]["total"] == 1
    assert set(found["unread"]) == {"incidents", "approvals", "tasks", "rollbacks", "triggers"}
    assert found["unread"]["tasks"].startswith("The journal cannot be read: ")


async def test_a_scrape_works_while_the_journal_cannot_be_read(at: Api, opened: Opened) -> None:
    services = at.parts.services
    work = SqliteOpenWork(sqlite3.connect(":memory:"))
    gauges = Gauges(services.containment.replica, services.scopes, services.registry, work, services.clock)
    scraped = await opened(gauges=gauges, metrics=CollectorRegistry())
    async with scraped.raw("GET", "/metrics", as_=None) as answer:
        assert answer.status == 200
    assert gauges.work is None
