"""The whole story on two real tools: a run goes rogue across a Kinto and a warehouse, and completes its work all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from killcord_demo.web import Answer
from tests.support import company, undone
from tests.support.company import Company
from tests.support.erp import Erp
from tests.support.gateway import Gateway, wait_until

Json = dict[str, Any]


@pytest.fixture
def firm(kinto_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company.serving(tmp_path_factory.mktemp("story"), kinto_port) as made:
        yield made


@dataclass(slots=True)
class Agent:
    """One run at work on both tools; each of its steps has a name, so that it may be sent again."""

    gateway: Gateway
    erp: Erp
    run_id: str
    lease: str

    def sets(self, step: str, invoice: str, status: str) -> Answer:
        return self._step(step, "erp", "PATCH", self.erp.path("invoices", invoice), {"data": {"status": status}})

    def reserves(self, step: str, sku: str, quantity: int) -> Answer:
        path = f"/tenants/{self.erp.tenant}/reservations"
        return self._step(step, "warehouse", "POST", path, {"sku": sku, "quantity": quantity})

    def _step(self, step: str, tool: str, method: str, path: str, body: object) -> Answer:
        return self.gateway.call(method, path, body, lease=self.lease, tool=tool, headers={"Killcord-Step": step})


@dataclass(frozen=True, slots=True)
class State:
    """What both tools have, read past the gateway: each invoice's status, bolts on the shelf, and those held for somebody."""

    invoices: dict[str, str]
    stock: int
    held: int


def state(firm: Company, erp: Erp) -> State:
    stock = firm.office.stock["bolt"]
    return State({name: str(one["status"]) for name, one in erp.records("invoices").items()}, stock, stock - firm.office.available("bolt"))


def recovery_of(gateway: Gateway, incident_id: str) -> Json:
    answer = gateway.ask("GET", f"/v1/incidents/{incident_id}")
    assert answer.status == 200, answer
    found: Json = answer.body["recovery"]
    return found


def test_a_run_that_goes_rogue_across_two_tools_is_contained_compensated_and_completes_its_work(firm: Company, erp: Erp) -> None:
    gateway, office = firm.gateway, firm.office
    neighbour = Erp(erp.port, f"{erp.tenant}-neighbour")
    neighbour.seed()
    office.stock["bolt"] = 10
    agent = Agent(gateway, erp, *gateway.open_run(erp.tenant, scopes=["erp:*", "warehouse:*"]))

    # Honest work, up to a checkpoint.
    first = agent.reserves("reserve-for-inv-1", "bolt", 1)
    assert first.status == 201, first
    taken = gateway.ask("POST", f"/v1/runs/{agent.run_id}/checkpoints", {"state_ref": "flow@1", "label": "reserved"})
    assert taken.status == 201, taken
    good = state(firm, erp)
    assert good == State({"inv-1": "open", "inv-2": "open"}, stock=10, held=1)

    # It goes rogue across both; people act on what it did: goods are picked, an invoice is disputed.
    for name in ("inv-1", "inv-2"):
        assert agent.sets(f"settle-{name}", name, "written off").status == 200
    wrong = agent.reserves("reserve-for-inv-2", "bolt", 5)
    assert wrong.status == 201, wrong
    office.pick(wrong.body["id"])
    erp.edit("inv-2", status="disputed")
    assert state(firm, erp) == State({"inv-1": "written off", "inv-2": "disputed"}, stock=5, held=1)
    theirs = neighbour.records("invoices")
    stolen = gateway.call("PATCH", neighbour.path("invoices", "inv-1"), {"data": {"status": "paid"}}, lease=agent.lease)
    assert stolen.status == 403, stolen

    # Contained before that reply left, and compensated by itself: one restore, one offset, one task.
    (incident,) = gateway.ask("GET", f"/v1/incidents?run={agent.run_id}").body["items"]
    incident_id = incident["incident_id"]
    assert (incident["cause"], incident["action"]) == ("policy.tenant-boundary", "revoke")
    assert agent.sets("settle-inv-1", "inv-1", "paid").body["code"] == "lease-revoked"
    done = undone.of_run(gateway, agent.run_id)
    assert done.rollback["to"] == taken.body["checkpoint_id"]
    assert done.status == "residue"
    ways = {(node["action"], node["target"]["id"] == "inv-2"): (node["by"], node["state"]) for node in done.nodes}
    assert ways == {
        ("invoice.status.update", False): ("invoice.replace", "done"),
        ("reservation.create", False): ("reservation.release", "done"),
        ("invoice.status.update", True): ("invoice.replace", "task"),
    }
    after = State({"inv-1": "open", "inv-2": "disputed"}, stock=10, held=1)
    assert state(firm, erp) == after
    assert [one["direction"] for one in office.adjustments.values()] == ["in"], "goods that were picked are booked in again"
    assert neighbour.records("invoices") == theirs

    # Driven on, it stops at the one task; another gateway continues where this one is killed.
    asked = {"reason": "the agent is fixed", "scopes": ["erp:invoice.*", "warehouse:reservation.*"]}
    begun = gateway.ask("POST", f"/v1/incidents/{incident_id}/recover", asked)
    assert begun.status == 202, begun
    (task,) = done.tasks

    wait_until(lambda: recovery_of(gateway, incident_id)["stage"] == "waits", "the recovery to wait")
    assert recovery_of(gateway, incident_id)["why"] == f"open tasks: {task['task_id']}"
    assert state(firm, erp) == after
    gateway.kill()
    gateway.start()
    assert recovery_of(gateway, incident_id)["stage"] == "waits"

    # A person decides; the state is found sound; the run continues tighter rights, from the checkpoint.
    resolved = gateway.ask("POST", f"/v1/tasks/{task['task_id']}/resolve", {"resolution": "accepted", "note": "the customer called"})
    assert resolved.status == 200, resolved
    wait_until(lambda: recovery_of(gateway, incident_id)["stage"] == "resumed", "the run to be resumed")
    wait_until(lambda: gateway.ask("GET", f"/v1/incidents/{incident_id}").body["state"] == "closed", "the incident to be closed")
    assert state(firm, erp) == after
    agent.lease = renewed(gateway, agent)
    assert gateway.ask("GET", f"/v1/runs/{agent.run_id}").body["scopes"] == asked["scopes"]

    # It completes its work: what stands answers from the journal, what was compensated is done again, and rightly.
    again = agent.reserves("reserve-for-inv-1", "bolt", 1)
    assert (again.body, again.headers["idempotent-replayed"]) == (first.body, "true")
    assert agent.sets("settle-inv-1", "inv-1", "written off").status == 200
    assert agent.sets("settle-inv-1-rightly", "inv-1", "paid").status == 200
    assert agent.reserves("reserve-for-inv-2-rightly", "bolt", 2).status == 201
    assert state(firm, erp) == State({"inv-1": "paid", "inv-2": "disputed"}, stock=10, held=3)
    assert len(office.adjustments) == 1
    closed = gateway.ask("POST", f"/v1/runs/{agent.run_id}/close", {"reason": "done"})
    assert closed.status == 200, closed


def renewed(gateway: Gateway, agent: Agent) -> str:
    answer = gateway.ask("POST", f"/v1/runs/{agent.run_id}/lease", {"reason": "it continues"})
    assert answer.status in (200, 201), answer
    lease: str = answer.body["lease"]
    return lease
