"""Every type of compensation, carried out once against a real tool; and a tool whose ids would lead elsewhere."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.model.call import Remedy
from killcord_demo.relay import Ask, Asked, Relayed
from tests.support import company, undone
from tests.support.company import TENANT, Company
from tests.support.erp import Erp, Record
from tests.support.gateway import CHECKOUT, wait_until
from tests.support.onlooker import at_work

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def firm(kinto_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company.serving(tmp_path_factory.mktemp("company"), kinto_port) as made:
        made.office.stock["sku"] = 100
        yield made


@pytest.fixture
def contact(firm: Company) -> str:
    name = f"contact-{next(_numbers)}"
    firm.office.contacts[name] = {"name": "Dubois", "status": "lead", "version": 1}
    return name


def by_type(rolled: undone.Rolled) -> list[tuple[str, str]]:
    return [(node["remedy"], node["state"]) for node in rolled.nodes]


def plain(record: Record) -> Record:
    """A record without what Kinto sets by itself."""
    return {name: value for name, value in record.items() if name != "last_modified"}


def test_restore_previous_version_puts_the_kept_state_back(firm: Company, erp: Erp) -> None:
    agent, before = at_work(firm.gateway, erp), erp.invoice("inv-1")
    agent.call("PATCH", "invoices/inv-1", {"amount": 7, "note": "typo"})
    agent.call("PUT", "invoices/inv-1", {"status": "void"})
    done = undone.rolled_back(firm.gateway, agent.run_id)
    assert (done.status, by_type(done)) == ("clean", [(Remedy.RESTORE_PREVIOUS_VERSION, "done")])
    now = erp.invoice("inv-1")
    assert plain(now) == plain(before)
    assert now["last_modified"] > before["last_modified"], "a state that comes back is a version of its own"


def test_restore_previous_version_brings_back_what_was_removed(firm: Company, erp: Erp) -> None:
    agent, before = at_work(firm.gateway, erp), erp.records("invoices")
    agent.sets("inv-1", "void")
    agent.call("DELETE", "invoices/inv-1")
    done = undone.rolled_back(firm.gateway, agent.run_id)
    assert (done.status, by_type(done)) == ("clean", [(Remedy.RESTORE_PREVIOUS_VERSION, "done")])
    assert {name: plain(one) for name, one in erp.records("invoices").items()} == {name: plain(one) for name, one in before.items()}


def test_delete_created_removes_what_was_made_and_what_an_upsert_made(firm: Company, erp: Erp) -> None:
    agent = at_work(firm.gateway, erp)
    agent.call("POST", "invoices", {"customer": "Dubois", "amount": 1})
    agent.call("PUT", "invoices/inv-3", {"customer": "Dubois", "amount": 2})
    done = undone.rolled_back(firm.gateway, agent.run_id)
    assert (done.status, by_type(done)) == ("clean", [(Remedy.DELETE_CREATED, "done")] * 2)
    assert set(erp.records("invoices")) == {"inv-1", "inv-2"}


def test_revert_status_sets_the_status_back_and_leaves_the_rest(firm: Company, contact: str) -> None:
    clerk = company.clerk(firm.gateway)
    clerk.sets(contact, "customer")
    done = undone.rolled_back(firm.gateway, clerk.run_id)
    assert (done.status, by_type(done)) == ("clean", [(Remedy.REVERT_STATUS, "done")])
    assert firm.office.contacts[contact] == {"name": "Dubois", "status": "lead", "version": 3}
    assert firm.office.writes[-1].headers["if-match"] == '"2"'


def test_an_offsetting_action_waits_for_an_approver_where_nobody_approved_it_before(firm: Company) -> None:
    clerk, held = company.clerk(firm.gateway), firm.office.stock["sku"]
    counted = {"sku": "sku", "quantity": 4, "direction": "out", "reason": "count"}
    assert clerk.calls("warehouse", "POST", "/adjustments", counted).status == 201
    waiting = undone.rolled_back(firm.gateway, clerk.run_id)
    assert (waiting.status, by_type(waiting)) == ("needs_operator", [(Remedy.OFFSETTING_ACTION, "waiting")])
    assert firm.office.stock["sku"] == held - 4
    yes = {"decision": "approve", "reason": "counted again"}
    assert firm.gateway.ask("POST", f"/v1/approvals/{waiting.nodes[0]['approval_id']}", yes).status == 200
    wait_until(lambda: undone.shown(firm.gateway, waiting.rollback_id)["state"] == "clean", "the rollback to continue automatically")
    assert firm.office.stock["sku"] == held
    assert [one.body["direction"] for one in firm.office.writes[-2:]] == ["out", "in"]


def test_anyone_who_is_asked_for_a_release_sees_it_and_what_is_sent_where_it_comes_too_late(kinto_port: int, tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "adapters" / "warehouse", tmp_path / "adapters" / "warehouse")
    described = tmp_path / "adapters" / "warehouse" / "adapter.yaml"
    described.write_text(
        described.read_text().replace("by: reservation.release\n      auto: true", "by: reservation.release\n      auto: false")
    )
    with company.serving(tmp_path, kinto_port, adapters=[str(tmp_path / "adapters")]) as firm:
        firm.office.stock["sku"] = 10
        clerk = company.clerk(firm.gateway)
        made = clerk.reserves("sku", 3).body["id"]
        waiting = undone.rolled_back(firm.gateway, clerk.run_id)
        (node,) = waiting.nodes
        request = firm.gateway.ask("GET", f"/v1/approvals/{node['approval_id']}").body["request"]
        tenant = f"/warehouse/tenants/{TENANT}"
        assert (request["method"], request["path"]) == ("POST", f"{tenant}/reservations/{made}/release")
        assert (node["request"]["method"], node["request"]["path"]) == (request["method"], request["path"])
        late = request["instead"]
        assert (late["method"], late["path"]) == ("POST", f"{tenant}/adjustments")
        assert {name: late["body"][name] for name in ("sku", "quantity", "direction")} == {"sku": "sku", "quantity": 3, "direction": "in"}
        assert firm.office.available("sku") == 7


def test_a_release_gives_back_what_is_held(firm: Company) -> None:
    clerk, available = company.clerk(firm.gateway), firm.office.available("sku")
    for _ in range(2):
        clerk.reserves("sku", 3, Idempotency_Key=f"reservation-{next(_numbers)}")
    assert firm.office.available("sku") == available - 6
    done = undone.rolled_back(firm.gateway, clerk.run_id)
    assert (done.status, by_type(done)) == ("clean", [(Remedy.RELEASE, "done")] * 2)
    assert firm.office.available("sku") == available


def test_a_correction_task_is_a_persons_and_closes_the_rollback_as_residue(firm: Company, contact: str) -> None:
    clerk = company.clerk(firm.gateway)
    assert clerk.calls("crm", "POST", f"/contacts/{contact}/notes", {"text": "never pays"}).status == 201
    written = len(firm.office.writes)
    done = undone.rolled_back(firm.gateway, clerk.run_id)
    assert (done.status, by_type(done)) == ("residue", [(Remedy.CORRECTION_TASK, "task")])
    assert [task["kind"] for task in done.tasks] == ["correction"]
    assert len(firm.office.writes) == written


def test_manual_review_hands_over_what_cannot_be_compensated(firm: Company) -> None:
    clerk = company.clerk(firm.gateway)
    clerk.mails(f"subject {next(_numbers)}")
    done = undone.rolled_back(firm.gateway, clerk.run_id)
    assert (done.status, by_type(done)) == ("residue", [(Remedy.MANUAL_REVIEW, "task")])
    assert [task["kind"] for task in done.tasks] == ["review"]


HOSTILE = ["../contacts/boss", "x?force=1", "%2e%2e%2fboss", "x\r\nDELETE /", "."]


@pytest.mark.parametrize("name", HOSTILE)
def test_an_id_that_would_lead_elsewhere_steers_nothing(firm: Company, name: str) -> None:
    clerk = company.clerk(firm.gateway)
    firm.office.next_id, since = name, len(firm.office.asked)
    made = clerk.reserves("sku", 1, Idempotency_Key=f"reservation-{next(_numbers)}")
    assert (made.body["id"], made.headers["killcord-verification"]) == (name, "failed")
    done = undone.of_run(firm.gateway, clerk.run_id)
    assert (done.status, done.states) == ("residue", [("reservation.create", "task")])
    own = f"/warehouse/tenants/{TENANT}/reservations"
    assert [(one.method, one.path) for one in firm.office.asked[since:]] == [("POST", own)], "nothing else was asked, read or written"
    assert [task["target"]["type"] for task in done.tasks] == ["reservation"]


def test_an_odd_but_honest_id_is_one_segment_of_its_own_path(firm: Company) -> None:
    clerk = company.clerk(firm.gateway)
    firm.office.next_id, since = "Lager Süd 7", len(firm.office.asked)
    clerk.reserves("sku", 1, Idempotency_Key=f"reservation-{next(_numbers)}")
    undone.rolled_back(firm.gateway, clerk.run_id)
    own = f"/warehouse/tenants/{TENANT}/reservations"
    asked = {one.path for one in firm.office.asked[since:]}
    assert asked == {own, f"{own}/Lager%20S%C3%BCd%207", f"{own}/Lager%20S%C3%BCd%207/release"}


def test_a_reply_that_names_somebody_elses_record_does_not_get_it_deleted(firm: Company, erp: Erp) -> None:
    other = at_work(firm.gateway, erp).refunds("an honest one").body["data"]["id"]
    agent = at_work(firm.gateway, erp)

    def lies(asked: Asked, ask: Ask) -> Relayed | None:
        told = ask(asked)
        if asked.method != "POST":
            return told
        body = json.loads(told.body)
        body["data"]["id"] = other
        return Relayed(told.status, told.headers, json.dumps(body).encode())

    with firm.relay.going_wrong(lies):
        assert agent.refunds("case 9").body["data"]["id"] == other
    done = undone.rolled_back(firm.gateway, agent.run_id)
    assert (done.status, done.states) == ("residue", [("refund.create", "task")])
    assert {one["reference"] for one in erp.records("refunds").values()} == {"an honest one", "case 9"}


def test_a_reply_that_names_what_is_nowhere_does_not_make_a_clean_end(firm: Company, erp: Erp) -> None:
    agent = at_work(firm.gateway, erp)

    def lies(asked: Asked, ask: Ask) -> Relayed | None:
        told = ask(asked)
        if asked.method != "POST":
            return told
        body = json.loads(told.body)
        body["data"]["id"] = "nowhere"
        return Relayed(told.status, told.headers, json.dumps(body).encode())

    with firm.relay.going_wrong(lies):
        assert agent.refunds("case 10").headers["killcord-verification"] == "failed"
    done = undone.of_run(firm.gateway, agent.run_id)
    assert (done.status, done.states) == ("residue", [("refund.create", "task")])
    assert "case 10" in {one["reference"] for one in erp.records("refunds").values()}, "it is there, and a person is told"
