"""Every trigger, set off by a run on a real Kinto: what Kinto has afterwards is what it had when the run was stopped."""

from __future__ import annotations

import pytest

from killcord_demo.incidents import faults
from killcord_demo.relay import Ask, Asked, Fault, Relay, Relayed
from tests.support.erp import Erp
from tests.support.gateway import Gateway
from tests.support.onlooker import at_work, stopped


@pytest.fixture
def neighbour(erp: Erp) -> Erp:
    made = Erp(erp.port, f"{erp.tenant}-neighbour")
    made.seed()
    return made


# --- policy ----------------------------------------------------------------------------------------------------------


def test_a_write_to_another_tenant_ends_the_run_before_its_reply(gateway: Gateway, erp: Erp, neighbour: Erp) -> None:
    agent, theirs = at_work(gateway, erp), neighbour.records("invoices")
    agent.sets("inv-1", "approved")
    crossed = gateway.call("PATCH", neighbour.path("invoices", "inv-1"), {"data": {"status": "paid"}}, lease=agent.lease)
    assert (crossed.status, crossed.body["code"]) == (403, "tenant-boundary")
    stopped(agent, "policy.tenant-boundary", "revoked", rollback=True, last=crossed)
    assert neighbour.records("invoices") == theirs
    assert gateway.ask("POST", f"/v1/runs/{agent.run_id}/lease", {}).status == 403, "nor does it come back"


def test_a_second_read_of_another_tenant_quarantines(gateway: Gateway, erp: Erp, neighbour: Erp) -> None:
    agent = at_work(gateway, erp)
    for _ in range(2):
        peeked = gateway.call("GET", neighbour.path("invoices", "inv-1"), lease=agent.lease)
        assert (peeked.status, peeked.body["code"]) == (403, "tenant-boundary")
    stopped(agent, "policy.tenant-boundary", "quarantined", last=peeked)


def test_a_write_out_of_scope_takes_writing_away(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, scopes=["erp:invoice.*"])
    agent.sets("inv-1", "approved")
    denied = agent.refunds("not mine to give")
    assert denied.body["code"] == "policy-denied"
    stopped(agent, "policy.out-of-scope", "read_only", last=denied)
    assert erp.records("refunds") == {}


def test_five_denials_pause(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, scopes=["erp:invoice.*"])
    for _ in range(5):
        denied = agent.reads("refunds")
        assert denied.body["code"] == "policy-denied"
    stopped(agent, "policy.denied", "paused", last=denied)


# --- verification ----------------------------------------------------------------------------------------------------


def test_an_erp_that_says_yes_and_does_nothing_is_found_out(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent = at_work(gateway, erp)
    with between.going_wrong(faults.does_nothing):
        claimed = agent.sets("inv-1", "approved")
    assert (claimed.status, claimed.headers["killcord-verification"]) == (200, "failed")
    assert erp.invoice("inv-1")["status"] == "open"
    stopped(agent, "verify.postcondition-failed", "quarantined", rollback=True, last=claimed)


@pytest.mark.parametrize(("severity", "mode", "rollback"), [("critical", "quarantined", True), ("low", "read_only", False)])
def test_a_finding_stops_by_its_severity(gateway: Gateway, erp: Erp, severity: str, mode: str, rollback: bool) -> None:
    agent = at_work(gateway, erp)
    agent.sets("inv-1", "paid")
    finding = {"kind": "ledger.imbalance", "severity": severity, "evidence": {"off_by": 120}}
    assert gateway.ask("POST", f"/v1/runs/{agent.run_id}/findings", finding).status == 201
    stopped(agent, "verify.finding", mode, rollback=rollback)


# --- behaviour -------------------------------------------------------------------------------------------------------


def test_a_loop_reads_on_and_writes_no_more(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    replies = [agent.sets("inv-1", status) for _ in range(10) for status in ("on hold", "approved")]
    modes = [one.headers["killcord-mode"] for one in replies]
    assert modes[:18] == ["active"] * 18
    assert set(modes[18:]) == {"read_only"}
    passed = [one.body["data"] for one in replies if one.status == 200]
    assert agent.erp.invoice("inv-1") == passed[-1], "the last that Kinto took is the last that was told to pass"
    stopped(agent, "anomaly.loop", "read_only", last=replies[-1])


def test_the_same_call_replayed_under_one_key_is_a_loop_too(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    for _ in range(10):
        last = agent.refunds("case 5512")
    assert len(erp.records("refunds")) == 1
    stopped(agent, "anomaly.loop", "read_only", last=last)


def test_twenty_repeats_of_what_was_done_pause(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    for _ in range(8):
        last = [agent.refunds(f"case {number}") for number in range(3)][-1]
        if last.headers["killcord-mode"] != "active":
            break
    assert len(erp.records("refunds")) == 3
    stopped(agent, "anomaly.retry-spike", "paused")


def test_five_failed_writes_pause(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    for number in range(5):
        last = agent.sets(f"inv-90{number}", "approved")
        assert last.status == 404
    stopped(agent, "anomaly.retry-spike", "paused", last=last)
    assert set(erp.records("invoices")) == {"inv-1", "inv-2"}


def test_most_of_the_steps_without_an_end_leave_reading(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, limits={"steps": 60})
    replies = [agent.reads() for _ in range(50)]
    assert [one.headers["killcord-mode"] for one in replies] == ["active"] * 49 + ["read_only"]
    stopped(agent, "anomaly.step-count", "read_only", last=replies[-1])


def test_half_of_all_writes_within_seconds_take_writing_away(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, limits={"writes": 40})
    replies = [agent.notes(number) for number in range(20)]
    assert [one.headers["killcord-mode"] for one in replies] == ["active"] * 19 + ["read_only"]
    stopped(agent, "anomaly.mutation-volume", "read_only", last=replies[-1])


# --- uncertainty -----------------------------------------------------------------------------------------------------


def test_an_agent_that_is_unsure_three_times_reads_only(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    for status in ("approved", "disputed", "on hold"):
        last = agent.sets("inv-1", status, Killcord_Confidence="0.3")
    stopped(agent, "uncertain.low-confidence", "read_only", last=last)


def test_a_reply_of_another_form_takes_writing_away(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    assert agent.reads().headers["killcord-mode"] == "active"
    erp.edit("inv-1", amount="120,00 EUR")
    drifted = agent.reads()
    assert drifted.body["data"] == erp.invoice("inv-1"), "the reply itself is passed on as it is"
    stopped(agent, "uncertain.schema-drift", "read_only", last=drifted)


def test_a_write_that_fails_beside_one_that_succeeded_takes_writing_away(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    assert agent.sets("inv-1", "closed", Killcord_Parent_Step="month-end").status == 200
    failed = agent.sets("inv-9", "closed", Killcord_Parent_Step="month-end")
    assert failed.status == 404
    incident = stopped(agent, "uncertain.partial-failure", "read_only", last=failed)
    assert len(incident["evidence"]) == 2
    assert erp.invoice("inv-1")["status"] == "closed"


def test_a_207_takes_writing_away(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent = at_work(gateway, erp)
    with between.going_wrong(answering("PATCH", 207)):
        partly = agent.sets("inv-1", "approved")
    assert partly.status == 207
    stopped(agent, "uncertain.partial-failure", "read_only", last=partly)


def test_three_writes_of_unknown_outcome_take_writing_away(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent = at_work(gateway, erp)
    with between.going_wrong(faults.loses_answers):
        for number in range(3):
            lost = agent.notes(number)
            assert (lost.status, lost.body["outcome"]) == (502, "unknown")
    assert erp.invoice("inv-1")["note"] == "reminder 2", "each was made, and nobody learned of it"
    stopped(agent, "uncertain.outcome-unknown", "read_only", last=lost)


def test_a_name_that_gives_another_object_is_not_written_to(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent, before = at_work(gateway, erp), erp.records("invoices")
    with between.going_wrong(another_in_place_of_inv_1):
        refused = agent.sets("inv-1", "written off")
    assert (refused.status, refused.body["code"]) == (412, "precondition-changed")
    assert erp.records("invoices") == before
    stopped(agent, "uncertain.identity", "quarantined", rollback=True, last=refused)


# --- blast radius ----------------------------------------------------------------------------------------------------


def test_a_limit_that_is_met_leaves_reading(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, limits={"writes": 3})
    replies = [agent.notes(number) for number in range(4)]
    assert [one.status for one in replies] == [200, 200, 200, 403]
    assert replies[-1].body["code"] == "blast-radius"
    assert erp.invoice("inv-1")["note"] == "reminder 2"
    stopped(agent, "blast.limit", "read_only", last=replies[-1])


def test_half_of_all_records_within_seconds_quarantine(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, limits={"records": 40})
    replies = [agent.call("POST", "invoices", {"customer": "Dubois", "amount": number}) for number in range(20)]
    assert [one.headers["killcord-mode"] for one in replies] == ["active"] * 19 + ["quarantined"]
    made = {one.body["data"]["id"] for one in replies if one.status == 201}
    assert {"inv-1", "inv-2"} <= set(erp.records("invoices")) <= made | {"inv-1", "inv-2"}, "nothing that was told to have been refused"
    stopped(agent, "blast.rate", "quarantined", rollback=True, last=replies[-1])


def test_a_second_of_three_systems_within_seconds_quarantines(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, scopes=["erp:*", "books:*"], limits={"systems": 3})
    assert agent.sets("inv-1", "approved").headers["killcord-mode"] == "active"
    second = agent.sets("inv-2", "approved", tool="books")
    stopped(agent, "blast.rate", "quarantined", rollback=True, last=second)


def answering(method: str, status: int) -> Fault:
    """A tool that does what it is asked, and answers with another status."""

    def fault(asked: Asked, ask: Ask) -> Relayed | None:
        told = ask(asked)
        return Relayed(status, told.headers, told.body) if asked.method == method else told

    return fault


def another_in_place_of_inv_1(asked: Asked, ask: Ask) -> Relayed | None:
    """The one's name gives the other, as after two invoices were merged."""
    return ask(Asked(asked.method, asked.path.replace("/inv-1", "/inv-2"), asked.headers, asked.body))
