"""An incident driven to its end on a real ERP by gateways that are killed under it, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from killcord_demo.web import Answer
from tests.support.between import Between, When
from tests.support.erp import Erp
from tests.support.gateway import Gateway, wait_until

Json = dict[str, Any]
Site = Callable[[str], Gateway]


def sets(gateway: Gateway, erp: Erp, lease: str, invoice: str, status: str) -> Answer:
    body = {"data": {"status": status}}
    return gateway.call("PATCH", erp.path("invoices", invoice), body, lease=lease, headers={"Killcord-Step": f"{invoice}-{status}"})


def reported(gateway: Gateway, run_id: str, severity: str, **evidence: object) -> Json:
    answer = gateway.ask("POST", f"/v1/runs/{run_id}/findings", {"kind": "books.off", "severity": severity, "evidence": evidence})
    assert answer.status == 201, answer
    found: Json = answer.body
    return found


def recovery(gateway: Gateway, incident_id: str) -> Json:
    answer = gateway.ask("GET", f"/v1/incidents/{incident_id}")
    assert answer.status == 200, answer
    found: Json = answer.body["recovery"]
    return found


def reaches(gateway: Gateway, incident_id: str, stage: str) -> None:
    wait_until(lambda: recovery(gateway, incident_id)["stage"] == stage, f"the recovery to be at {stage}")


def closed(gateway: Gateway, incident_id: str) -> bool:
    return bool(gateway.ask("GET", f"/v1/incidents/{incident_id}").body["state"] == "closed")


def again(gateway: Gateway) -> None:
    gateway.kill()
    gateway.start()


def entries(gateway: Gateway, run_id: str) -> list[str]:
    """The run's entries: seq, kind and change."""
    answer = gateway.ask("GET", f"/v1/journal?run={run_id}&limit=1000")
    return [f"{one['seq']} {one['kind']} {one.get('change', '')}" for one in answer.body["items"]]


def test_what_a_finding_names_is_compensated_once_though_the_gateway_is_killed_while_it_does(site: Site, relay: Between, erp: Erp) -> None:
    gateway = site(relay.url)
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant)
    good = sets(gateway, erp, lease, "inv-2", "checked")
    bad = sets(gateway, erp, lease, "inv-1", "void")
    assert (good.status, bad.status) == (200, 200)
    taken = gateway.ask("POST", f"/v1/runs/{run_id}/checkpoints", {"state_ref": "flow@1"})
    assert taken.status == 201, taken
    found = reported(gateway, run_id, "high", entries=[bad.headers["killcord-entry"]])
    assert found["about"] == [bad.headers["killcord-entry"]]
    incident_id = found["incident_id"]
    again(gateway)

    # Killed while the compensation is applied and nobody has learned of it.
    trap = relay.set_trap("PUT", When.AFTER)
    asked = {"reason": "the books were off", "scopes": ["erp:invoice.*"]}
    begun = gateway.ask("POST", f"/v1/incidents/{incident_id}/recover", asked)
    assert begun.status == 202, begun
    trap.caught()
    flow = recovery(gateway, incident_id)["flow"]
    assert list(flow.values()) == ["done", "done", "done", "now", "ahead", "ahead"]
    gateway.kill()
    trap.lose()
    gateway.start()
    reaches(gateway, incident_id, "resumed")
    again(gateway)
    wait_until(lambda: closed(gateway, incident_id), "the incident to be closed")

    assert relay.seen["PUT"] == 1
    assert (erp.invoice("inv-1")["status"], erp.invoice("inv-2")["status"]) == ("open", "checked")
    run = gateway.ask("GET", f"/v1/runs/{run_id}").body
    assert (run["generation"], run["scopes"]) == (2, ["erp:invoice.*"])
    told = entries(gateway, run_id)
    changes = [one.partition(" ")[2] for one in told]
    assert [changes.count(one) for one in ("rollback started", "rollback ended", "run resumed", "rollback closed")] == [1, 1, 1, 1]
    for _ in range(2):  # of a state that is recovered, recovering makes nothing else
        again(gateway)
        assert gateway.ask("POST", f"/v1/incidents/{incident_id}/recover", asked).status == 202
        assert entries(gateway, run_id) == told
    fresh = gateway.ask("POST", f"/v1/runs/{run_id}/lease", {}).body["lease"]
    assert sets(gateway, erp, fresh, "inv-2", "checked").headers["idempotent-replayed"] == "true"
    anew = sets(gateway, erp, fresh, "inv-1", "void")
    assert (anew.status, anew.headers.get("idempotent-replayed"), erp.invoice("inv-1")["status"]) == (200, None, "void")


ARROWS = ("order made", "rollback recover", "rollback started", "rollback ended", "run resumed")


def test_killed_once_the_journal_tells_of_an_arrow_another_gateway_continues_and_does_nothing_twice(
    site: Site, relay: Between, erp: Erp
) -> None:
    gateway = site(relay.url)
    gateway.start()
    for number, arrow in enumerate(ARROWS, start=1):
        run_id, lease = gateway.open_run(erp.tenant)
        bad = sets(gateway, erp, lease, "inv-1", f"void-{number}")
        assert bad.status == 200
        incident_id = reported(gateway, run_id, "high", entry=bad.headers["killcord-entry"])["incident_id"]
        for order in gateway.ask("GET", f"/v1/incidents/{incident_id}").body["orders"]:
            gateway.ask("DELETE", f"/v1/orders/{order['order_id']}?reason=too+early")
        begun = gateway.ask("POST", f"/v1/incidents/{incident_id}/recover", {"reason": "mended", "checkpoint": "start"})
        assert begun.status == 202, begun
        wait_until(partial(tells, gateway, run_id, arrow), f"{arrow} to be told")
        again(gateway)
        reaches(gateway, incident_id, "resumed")
        wait_until(partial(closed, gateway, incident_id), "the incident to be closed")
        once = [told_of(gateway, run_id, one) for one in ("rollback started", "rollback ended", "run resumed", "rollback closed")]
        assert once == [1, 1, 1, 1], arrow
        assert (erp.invoice("inv-1")["status"], relay.seen["PUT"]) == ("open", number), arrow


def tells(gateway: Gateway, run_id: str, change: str) -> bool:
    return told_of(gateway, run_id, change) > 0


def told_of(gateway: Gateway, run_id: str, change: str) -> int:
    """How often the run's journal tells of a change."""
    return [one.partition(" ")[2] for one in entries(gateway, run_id)].count(change)


def test_a_finding_that_names_nothing_goes_back_to_the_checkpoint_and_says_what_it_cannot_know(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant)
    assert sets(gateway, erp, lease, "inv-2", "checked").status == 200
    taken = gateway.ask("POST", f"/v1/runs/{run_id}/checkpoints", {"state_ref": "flow@1"}).body["checkpoint_id"]
    assert sets(gateway, erp, lease, "inv-1", "void").status == 200
    found = reported(gateway, run_id, "critical", off_by=12.5)
    assert found["about"] == []
    incident = f"/v1/incidents/{found['incident_id']}"
    wait_until(lambda: gateway.ask("GET", incident).body["rollback"] == "clean", "the rollback to end")
    story = gateway.ask("GET", incident).body
    assert [one["entry"] for one in story["open"] if one["what"] == "first-bad-entry"] == [found["entry"]]
    assert story["recovery"]["checkpoint"] == taken
    assert "the first bad entry is not known" in story["recovery"]["caution"]

    # The operator knows better: it was wrong from the start.
    begun = gateway.ask("POST", f"{incident}/recover", {"reason": "all of it was wrong", "checkpoint": "start"})
    assert (begun.status, begun.body["recovery"]["caution"]) == (202, None)
    reaches(gateway, found["incident_id"], "resumed")
    assert {erp.invoice(name)["status"] for name in ("inv-1", "inv-2")} == {"open"}


def test_what_a_person_changed_after_it_was_put_back_is_waited_for_by_name_and_continues_once_they_report_it(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant)
    assert sets(gateway, erp, lease, "inv-1", "void").status == 200
    found = reported(gateway, run_id, "critical", object="invoice:inv-1")
    incident_id = found["incident_id"]
    wait_until(lambda: gateway.ask("GET", f"/v1/incidents/{incident_id}").body["rollback"] == "clean", "the rollback to end")
    erp.edit("inv-1", status="disputed")
    begun = gateway.ask("POST", f"/v1/incidents/{incident_id}/recover", {"reason": "continue"})
    assert (begun.status, begun.body["recovery"]["stage"]) == (202, "waits")
    (wait,) = begun.body["recovery"]["waits_for"]
    task = f"/v1/tasks/{wait['id']}"
    wait_until(lambda: gateway.ask("GET", f"/v1/tasks?run={run_id}&status=open").body["items"] != [], "the task to be there")
    again(gateway)
    assert recovery(gateway, incident_id)["waits_for"] == [wait]
    resolved = gateway.ask("POST", f"{task}/resolve", {"resolution": "accepted", "note": "the customer called"})
    assert resolved.status == 200, resolved
    reaches(gateway, incident_id, "resumed")
    assert erp.invoice("inv-1")["status"] == "disputed"


@pytest.mark.parametrize("severity", ["critical", "low"])
def test_a_finding_on_a_closed_run_is_answered_once_whatever_is_killed(site: Site, erp: Erp, severity: str) -> None:
    gateway = site(erp.url)
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant)
    assert sets(gateway, erp, lease, "inv-1", "void").status == 200
    assert gateway.ask("POST", f"/v1/runs/{run_id}/close", {"reason": "done"}).status == 200
    found = reported(gateway, run_id, severity, objects=["invoice:inv-1"])
    again(gateway)
    incident = f"/v1/incidents/{found['incident_id']}"
    if severity == "critical":
        wait_until(lambda: gateway.ask("GET", incident).body["rollback"] == "clean", "the rollback to end")
    again(gateway)
    story = gateway.ask("GET", incident).body
    assert (story["state"], story["triggers"]) == ("open", 1)
    assert erp.invoice("inv-1")["status"] == ("open" if severity == "critical" else "void")
    assert len(gateway.ask("GET", f"/v1/rollbacks?run={run_id}").body["items"]) == (severity == "critical")
    assert gateway.ask("POST", f"{incident}/recover", {"reason": "seen"}).body["recovery"]["stage"] == "given_up"
    wait_until(lambda: closed(gateway, found["incident_id"]), "the incident to be closed")
