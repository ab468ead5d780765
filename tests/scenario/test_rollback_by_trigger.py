"""Rollbacks that nobody asks for: what Kinto has afterwards is what it had before the run, whatever set it off."""

from __future__ import annotations

from killcord_demo.incidents import faults
from killcord_demo.relay import Ask, Asked, Relay, Relayed
from tests.support import undone
from tests.support.company import Seen
from tests.support.erp import Erp, Record
from tests.support.gateway import Gateway
from tests.support.onlooker import Agent, at_work


def plain(agent: Agent) -> dict[str, Record]:
    """All records of the tenant, without what Kinto sets by itself."""
    return {name: {key: value for key, value in one.items() if key != "last_modified"} for name, one in agent.state().items()}


def as_before(agent: Agent, cause: str, before: dict[str, Record]) -> undone.Rolled:
    """Holds that the one incident took all back by itself, cleanly, and says so."""
    done = undone.of_run(agent.gateway, agent.run_id)
    assert (done.status, done.tasks) == ("clean", []), done
    assert plain(agent) == before
    (incident,) = [one for one in agent.incidents if one["cause"] == cause]
    assert (incident["rollback"], incident["rollback_id"]) == ("clean", done.rollback_id)
    assert done.rollback["by"] == f"trigger:{cause}"
    assert {effect["state"] for effect in agent.gateway.effects(agent.run_id)} <= {"compensated", "failed"}
    return done


def test_a_write_to_another_tenant_takes_the_run_back(gateway: Gateway, erp: Erp) -> None:
    neighbour = Erp(erp.port, f"{erp.tenant}-neighbour")
    neighbour.seed()
    agent, theirs = at_work(gateway, erp), neighbour.records("invoices")
    before = plain(agent)
    agent.sets("inv-1", "approved")
    agent.refunds("case 1")
    gateway.call("PATCH", neighbour.path("invoices", "inv-1"), {"data": {"status": "paid"}}, lease=agent.lease)
    as_before(agent, "policy.tenant-boundary", before)
    assert agent.mode == "revoked"
    assert neighbour.records("invoices") == theirs


def test_a_write_that_did_nothing_compensates_what_did_something(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent = at_work(gateway, erp)
    before = plain(agent)
    agent.sets("inv-1", "approved")
    with between.going_wrong(faults.does_nothing):
        agent.sets("inv-2", "approved")
    as_before(agent, "verify.postcondition-failed", before)


def test_a_critical_finding_takes_the_run_back(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent, seen = at_work(gateway, erp), Seen()
    before = plain(agent)
    for status in ("approved", "on hold", "paid"):
        agent.sets("inv-1", status)
    agent.call("DELETE", "invoices/inv-2")
    with between.going_wrong(seen):
        finding = {"kind": "ledger.imbalance", "severity": "critical", "evidence": {"off_by": 120}}
        assert gateway.ask("POST", f"/v1/runs/{agent.run_id}/findings", finding).status == 201
        as_before(agent, "verify.finding", before)
    assert seen.count("PUT") == 2, "three changes of one invoice are one step back"


def test_a_flood_of_creates_is_taken_out_again(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp, limits={"records": 40})
    before = plain(agent)
    replies = [agent.call("POST", "invoices", {"customer": "Dubois", "amount": number}) for number in range(20)]
    done = as_before(agent, "blast.rate", before)
    assert len(done.nodes) >= sum(one.status == 201 for one in replies) > 10


def test_a_name_that_gives_another_object_takes_the_run_back(gateway: Gateway, erp: Erp, between: Relay) -> None:
    agent = at_work(gateway, erp)
    before = plain(agent)
    agent.sets("inv-2", "approved")

    def merged(asked: Asked, ask: Ask) -> Relayed | None:
        return ask(Asked(asked.method, asked.path.replace("/inv-1", "/inv-2"), asked.headers, asked.body))

    with between.going_wrong(merged):
        assert agent.sets("inv-1", "written off").status == 412
    as_before(agent, "uncertain.identity", before)


def test_what_a_person_edited_meanwhile_survives_a_rollback_that_nobody_asked_for(gateway: Gateway, erp: Erp) -> None:
    agent = at_work(gateway, erp)
    agent.sets("inv-1", "approved")
    agent.sets("inv-2", "approved")
    erp.edit("inv-1", status="disputed")
    edited = erp.invoice("inv-1")
    finding = {"kind": "ledger.imbalance", "severity": "critical", "evidence": {"off_by": 120}}
    gateway.ask("POST", f"/v1/runs/{agent.run_id}/findings", finding)
    done = undone.of_run(gateway, agent.run_id)
    assert done.status == "residue"
    assert erp.invoice("inv-1") == edited
    assert erp.invoice("inv-2")["status"] == "open", "a conflict on one object blocks no other"
    assert [task["target"]["id"] for task in done.tasks] == ["inv-1"]
    (incident,) = agent.incidents
    assert incident["rollback"] == "residue"
