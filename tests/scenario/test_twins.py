"""For every rogue of test_incidents_by_trigger.py an honest run that looks like it, on the same Kinto: none is stopped."""

from __future__ import annotations

import threading
from collections import Counter

from killcord_demo.incidents import faults
from killcord_demo.relay import Ask, Asked, Fault, Relay, Relayed
from tests.support.erp import Erp
from tests.support.gateway import Gateway
from tests.support.onlooker import at_work, undisturbed

# --- policy ----------------------------------------------------------------------------------------------------------


def test_one_look_at_another_tenant_is_refused_and_told(gateway: Gateway, erp: Erp) -> None:
    other = Erp(erp.port, f"{erp.tenant}-neighbour")
    other.seed()
    agent = at_work(gateway, erp)
    peeked = gateway.call("GET", other.path("invoices", "inv-1"), lease=agent.lease)
    assert (peeked.status, peeked.body["code"]) == (403, "tenant-boundary")
    undisturbed(agent)


def test_reads_out_of_scope_are_refused_and_told(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, scopes=["erp:invoice.*"])
    assert [agent.reads("refunds").body["code"] for _ in range(4)] == ["policy-denied"] * 4
    undisturbed(agent)


# --- verification ----------------------------------------------------------------------------------------------------


def test_an_erp_that_shows_a_change_a_little_later_is_waited_for(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent = at_work(gateway, erp)
    with between.going_wrong(showing_changes_late(looks=2)):
        done = agent.sets("inv-1", "approved")
    assert (done.status, done.headers["killcord-verification"]) == (200, "passed")
    assert erp.invoice("inv-1")["status"] == "approved"
    undisturbed(agent)


def test_a_person_who_writes_over_it_at_once_proves_nothing_against_the_run(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent = at_work(gateway, erp)
    with between.going_wrong(written_over_by(erp)):
        done = agent.sets("inv-1", "approved")
    assert (done.status, done.headers["killcord-verification"]) == (200, "superseded")
    assert erp.invoice("inv-1")["status"] == "disputed"
    undisturbed(agent)


def test_a_finding_about_one_run_leaves_the_one_beside_it(gateway: Gateway, erp: Erp) -> None:
    found, beside = at_work(gateway, erp), at_work(gateway, erp)
    finding = {"kind": "ledger.imbalance", "severity": "critical", "evidence": {}}
    assert gateway.ask("POST", f"/v1/runs/{found.run_id}/findings", finding).status == 201
    undisturbed(beside)


# --- behaviour -------------------------------------------------------------------------------------------------------


def test_a_status_that_goes_forth_and_back_a_few_times_is_work(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    for _ in range(9):
        for status in ("on hold", "approved"):
            assert agent.sets("inv-1", status).status == 200
    undisturbed(agent)


def test_polling_until_something_happens_is_no_loop(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    for _ in range(60):
        assert agent.reads().status == 200
    undisturbed(agent)


def test_the_same_change_to_many_invoices_is_no_loop(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    names = [f"inv-{number}" for number in range(10, 30)]
    for name in names:
        agent.call("PUT", f"invoices/{name}", {"status": "open", "amount": 1})
        assert agent.sets(name, "approved").status == 200
    assert {erp.invoice(name)["status"] for name in names} == {"approved"}
    undisturbed(agent)


def test_a_client_that_asks_again_a_few_times_is_no_spike(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    for number in range(3):
        for _ in range(5):
            assert agent.refunds(f"case {number}").status == 201
    assert len(erp.records("refunds")) == 3
    undisturbed(agent)


def test_many_who_ask_the_same_at_once_get_one_refund_and_are_not_stopped(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    said: Counter[int] = Counter()
    clients = [threading.Thread(target=lambda: said.update([agent.refunds("case 5512").status])) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert set(said) <= {201, 409}
    assert len(erp.records("refunds")) == 1
    undisturbed(agent)


def test_a_person_at_the_same_invoices_is_no_failure_of_the_run(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    for number in range(8):
        agent.reads()
        erp.edit("inv-1", note=f"edit {number}")
        stale = agent.sets("inv-1", "approved")
        assert (stale.status, stale.body["code"]) == (412, "precondition-changed")
    agent.reads()
    assert agent.sets("inv-1", "approved").status == 200
    undisturbed(agent)


def test_an_agent_that_brings_its_own_version_hears_the_erps_412_as_often_as_it_likes(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    for number in range(8):
        assert agent.sets("inv-1", f"approved {number}", If_Match='"1"').status == 412
    assert erp.invoice("inv-1")["status"] == "open"
    undisturbed(agent)


def test_an_erp_that_asks_to_slow_down_is_no_failure_of_the_run(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent = at_work(gateway, erp)
    with between.going_wrong(refusing("PATCH", 429)):
        assert [agent.notes(number).status for number in range(8)] == [429] * 8
        assert [agent.notes(8).status for _ in range(12)] == [429] * 12
    assert agent.notes(8).status == 200
    undisturbed(agent)


def test_an_erp_that_is_unavailable_for_readers_is_no_incident(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent = at_work(gateway, erp)
    with between.going_wrong(refusing("GET", 503)):
        assert [agent.reads().status for _ in range(6)] == [503] * 6
    undisturbed(agent)


def test_just_under_the_share_of_steps_and_writes_is_work(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, limits={"steps": 70, "writes": 40})
    for number in range(18):
        assert agent.notes(number).status == 200
    for _ in range(35):
        assert agent.reads().status == 200
    undisturbed(agent)


# --- uncertainty -----------------------------------------------------------------------------------------------------


def test_an_agent_that_is_rarely_unsure_is_believed(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    for number, sure in enumerate(("0.5", "0.3", "0.9", "1", "0.2", "0.51")):
        assert agent.sets("inv-1", f"status {number}", Killcord_Confidence=sure).status == 200
    undisturbed(agent)


def test_a_field_more_is_no_drift(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    erp.edit("inv-1", approver="Castella", amount=120.5)
    assert agent.reads().body["data"]["approver"] == "Castella"
    undisturbed(agent)


def test_a_step_that_meets_a_person_half_way_is_no_partial_failure(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    agent.reads("invoices/inv-2")
    assert agent.sets("inv-1", "closed", Killcord_Parent_Step="month-end").status == 200
    erp.edit("inv-2", status="disputed")
    assert agent.sets("inv-2", "closed", Killcord_Parent_Step="month-end").status == 412
    assert erp.invoice("inv-2")["status"] == "disputed"
    undisturbed(agent)


def test_a_failure_in_another_step_is_no_partial_failure(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    assert agent.sets("inv-1", "closed", Killcord_Parent_Step="month-end").status == 200
    assert agent.sets("inv-9", "closed", Killcord_Parent_Step="clean-up").status == 404
    undisturbed(agent)


def test_two_lost_answers_are_bad_luck(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent = at_work(gateway, erp)
    with between.going_wrong(faults.loses_answers):
        assert [agent.notes(number).status for number in range(2)] == [502, 502]
    undisturbed(agent)


def test_an_object_that_is_not_there_yet_is_made_and_is_itself(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    assert agent.reads("invoices/inv-new").status == 404
    assert agent.call("PUT", "invoices/inv-new", {"status": "open", "amount": 9}).status == 201
    assert erp.invoice("inv-new")["amount"] == 9
    undisturbed(agent)


# --- blast radius ----------------------------------------------------------------------------------------------------


def test_a_run_that_is_asked_to_slow_down_is_not_stopped(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, limits={"rate": "4/s"})
    replies = [agent.reads() for _ in range(12)]
    assert {one.body["code"] for one in replies if one.status == 429} == {"rate-limited"}
    assert (agent.mode, agent.incidents) == ("active", [])


def test_a_run_that_uses_up_its_limit_and_asks_for_no_more_is_not_stopped(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, limits={"writes": 4})
    for number in range(3):
        assert agent.notes(number).status == 200
    undisturbed(agent)


def test_just_under_half_of_all_records_is_work(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, limits={"records": 40, "systems": 3})
    for number in range(18):
        assert agent.call("POST", "invoices", {"customer": "Dubois", "amount": number}).status == 201
    undisturbed(agent)


def showing_changes_late(looks: int) -> Fault:
    """A tool with copies that lag behind: after a change, so many looks still show what was before."""
    before: dict[str, Relayed] = {}
    left: dict[str, int] = {}

    def fault(asked: Asked, ask: Ask) -> Relayed | None:
        if asked.method == "GET" and left.get(asked.path, 0):
            left[asked.path] -= 1
            return before[asked.path]
        told = ask(asked)
        if asked.method == "GET":
            before[asked.path] = told
        elif asked.path in before:
            left[asked.path] = looks
        return told

    return fault


def written_over_by(erp: Erp) -> Fault:
    """A person is quicker than the gateway's look at what was changed."""

    def fault(asked: Asked, ask: Ask) -> Relayed | None:
        told = ask(asked)
        if asked.method == "PATCH":
            erp.edit("inv-1", status="disputed")
        return told

    return fault


def refusing(method: str, status: int) -> Fault:
    """A tool that takes none of these calls."""

    def fault(asked: Asked, ask: Ask) -> Relayed | None:
        return Relayed(status, (("Content-Type", "application/json"),), b"{}") if asked.method == method else ask(asked)

    return fault
