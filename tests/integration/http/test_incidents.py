from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.codec import record
from gateway.model.run import Mode, Scope
from tests.support import contained, journaling
from tests.support.contained import Contained
from tests.support.control_api import Api
from tests.support.journaling import typed

Json = dict[str, Any]


@pytest.fixture
async def held(at: Api) -> Contained:
    return await contained.contain(at.parts)


async def story(at: Api, *, as_: str = "viewer-token") -> Json:
    status, told = await at.ask("GET", "/v1/incidents/inc_1", as_=as_)
    assert status == 200, told
    return told


async def test_an_incident_is_listed_with_its_state(at: Api, held: Contained) -> None:
    _, page = await at.ask("GET", "/v1/incidents?run=run_1", as_="viewer-token")
    (one,) = page["items"]
    assert (one["incident_id"], one["run_id"], one["state"], one["closed_at"]) == ("inc_1", "run_1", "open", None)
    assert (one["cause"], one["action"], one["verdict"], one["rollback"]) == ("anomaly.loop", "read_only", "containment", "due")
    assert (await at.ask("GET", "/v1/incidents?run=run_2"))[1] == {"items": [], "next": None}


async def test_incidents_are_filtered_by_state_and_paged(at: Api, held: Contained) -> None:
    for name, closed in (("inc_2", 11.0), ("inc_3", None)):
        other = replace(held.incident, incident_id=name, cause=name, closed_at=closed)
        await at.parts.store.journal.append(typed(journaling.entry("response", incident=record.INCIDENT.journal(other))))
    listed = {
        query: [one["incident_id"] for one in (await at.ask("GET", f"/v1/incidents?{query}"))[1]["items"]]
        for query in ("state=open", "state=closed", "limit=1", "limit=1&after=inc_1", "after=inc_2")
    }
    assert listed == {
        "state=open": ["inc_1", "inc_3"],
        "state=closed": ["inc_2"],
        "limit=1": ["inc_1"],
        "limit=1&after=inc_1": ["inc_2"],
        "after=inc_2": ["inc_3"],
    }
    assert (await at.ask("GET", "/v1/incidents?limit=1"))[1]["next"] == "inc_1"


async def test_the_timeline_goes_from_the_evidence_to_the_answer(at: Api, held: Contained) -> None:
    told = await story(at)
    assert [(one["kind"], one.get("is_evidence", False)) for one in told["timeline"]] == [
        ("outcome", True),
        ("trigger", False),
        ("order", False),
        ("response", False),
    ]
    outcome, trigger, order, response = told["timeline"]
    assert outcome["entry"] == held.evidence
    assert outcome["what"] == "invoice.update on erp:invoice:inv_3: failed"
    assert (trigger["what"], trigger["evidence"]) == ("anomaly.loop fired (behaviour): 10 of 10", [held.evidence])
    assert order["by"] == "trigger:anomaly.loop"
    assert f"order {held.order.order_id} made: read_only on run=run_1" in order["what"]
    assert response["what"] == "answered read_only (containment), with a rollback: ten times the same"


async def test_what_a_person_does_later_joins_the_story(at: Api, held: Contained) -> None:
    await at.ask("POST", "/v1/runs/run_1/findings", {"kind": "ledger.sum", "severity": "high", "evidence": {}}, as_="verifier-token")
    await at.ask("POST", "/v1/tasks/task_1/resolve", {"resolution": "not_applied", "note": "looked"})
    await at.ask("DELETE", f"/v1/orders/{held.order.order_id}", {"reason": "clear"})
    await at.ask("POST", "/v1/runs/run_1/close", {})
    told = await story(at)
    assert [one["what"] for one in told["timeline"][4:]] == [
        "finding ledger.sum was reported, high; it does not name the first bad entry",
        "invoice.update on erp:invoice:inv_2 was reconciled: failed",
        "task task_1 resolved: not_applied",
        f"order {held.order.order_id} released: read_only on run=run_1; clear",
        "run closed; closed",
    ]
    assert [one["by"] for one in told["timeline"][4:]] == ["verifier", "admin", "admin", "admin", "admin"]
    assert [one["what"] for one in told["open"]] == ["standing-effects", "rollback"]


async def test_the_story_of_another_cause_is_another_story(at: Api, held: Contained) -> None:
    clock = at.parts.services.clock
    other = replace(held.incident, incident_id="inc_2", cause="blast.limit")
    journal = at.parts.store.journal
    trigger = str(
        await journal.append(typed(contained.now(clock.now(), "trigger", trigger=contained.fired([held.evidence], "blast.limit"))))
    )
    await journal.append(typed(contained.now(clock.now(), "response", **contained.answered(trigger, other, held.order))))
    assert [one["kind"] for one in (await story(at))["timeline"]] == ["outcome", "trigger", "order", "response"]
    _, second = await at.ask("GET", "/v1/incidents/inc_2")
    assert [one["what"].split()[0] for one in second["timeline"] if one["kind"] == "trigger"] == ["blast.limit"]


async def test_it_says_how_fast_the_run_was_stopped(at: Api, held: Contained) -> None:
    stopped = (await story(at))["stopped"]
    assert (stopped["trigger"], stopped["order_id"]) == (held.trigger, held.order.order_id)
    assert 0 <= stopped["after_ms"] < 60_000


async def test_affected_objects_come_with_what_is_unknown_first(at: Api, held: Contained) -> None:
    told = await story(at)
    unknown, standing = told["affected"]
    assert (unknown["object"]["id"], unknown["state"], unknown["can_undo"]) == ("inv_2", "unknown", False)
    assert (standing["object"]["id"], standing["state"], standing["after_ref"]) == ("inv_1", "standing", "erp:invoice:inv_1:v2")
    assert (standing["compensation"]["class"], standing["compensation"]["type"]) == ("reversible", "restore_previous_version")
    assert told["effects"] == {"in_flight": 0, "failed": 1, "unknown": 1, "standing": 1, "compensated": 0}


async def test_what_is_open_is_named(at: Api, held: Contained) -> None:
    found = {one["what"]: one for one in (await story(at))["open"]}
    assert set(found) == {"unknown-effect", "task", "standing-effects", "order", "rollback"}
    assert found["task"]["task_id"] == "task_1"
    assert found["order"]["order_id"] == held.order.order_id
    assert found["rollback"]["text"] == "the rollback is due"


async def test_every_entry_that_is_named_comes_with_its_hash(at: Api, held: Contained) -> None:
    told = await story(at)
    named = {one["entry"] for part in ("timeline", "affected", "open") for one in told[part] if "entry" in one}
    assert set(told["hashes"]) == named
    for position, known in told["hashes"].items():
        _, entry = await at.ask("GET", f"/v1/journal/{position}")
        assert entry["hash"] == known


async def test_an_order_wider_than_the_run_is_part_of_the_story(at: Api) -> None:
    held = await contained.contain(at.parts, wider=True)
    told = await story(at)
    assert [one["kind"] for one in told["timeline"]] == ["outcome", "trigger", "order", "response"]
    assert told["stopped"]["order_id"] == held.order.order_id


async def test_a_narrowed_token_is_reported_of_its_own_and_only_that_more_holds(at: Api, held: Contained) -> None:
    await at.parts.services.containment.make(Scope(everything=True), Mode.PAUSED, reason="globex leaks", by="ops")
    told = await story(at, as_="acme-viewer")
    assert [one.get("order_id") for one in told["open"] if one["what"] == "order"] == [held.order.order_id, None]
    assert "globex" not in str(told)


@pytest.mark.parametrize("token", ["acme-viewer", "viewer-token"])
async def test_another_tenants_incident_is_not_there(at: Api, held: Contained, token: str) -> None:
    other = replace(held.incident, incident_id="inc_9", tenant="globex", run_id="run_9", cause="x")
    await at.parts.store.journal.append(typed(journaling.entry("response", incident=record.INCIDENT.journal(other)) | {"tenant": "globex"}))
    status, _ = await at.ask("GET", "/v1/incidents/inc_9", as_=token)
    _, page = await at.ask("GET", "/v1/incidents", as_=token)
    seen = "inc_9" in [one["incident_id"] for one in page["items"]]
    assert (status, seen) == ((404, False) if token == "acme-viewer" else (200, True))


async def test_an_unknown_incident_is_not_found(at: Api) -> None:
    assert (await at.ask("GET", "/v1/incidents/inc_404"))[0] == 404
