"""The whole story: gone rogue across two systems, contained, compensated, a person's decision, and on with the work.

Every arrow is done for real, and then held against what both systems say themselves.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.sdk.sync import Run
from killcord_demo import children, erp, site, web
from killcord_demo.erp import NEIGHBOUR, TENANT, Erp
from killcord_demo.screen import Screen
from killcord_demo.site import Site
from killcord_demo.story import warehouse
from killcord_demo.story.warehouse import Warehouse
from killcord_demo.surprise import expect
from killcord_demo.web import Answer

Json = dict[str, Any]

SKU = "bolt-m8"
_SOON = 20.0
"""Seconds within which the recovery comes to rest."""


def played(screen: Screen, folder: Path) -> None:
    """Play it; everything is ended afterwards.

    Raises:
        Surprise: a step failed.
    """
    tool, data, control = (children.port(0) for _ in range(3))
    with ExitStack() as stack:
        screen.act("Killcord demo: an ERP, a warehouse, one gateway in front of both, and an agent that works on both")
        kinto = stack.enter_context(erp.serving(folder, tool))
        kinto.seed(NEIGHBOUR)
        store = stack.enter_context(warehouse.serving(Warehouse({SKU: 10})))
        gateway = stack.enter_context(site.serving(folder, kinto.url, data=data, control=control, warehouse=store.url))
        screen.line("ERP", f"a real Kinto answers at {kinto.url}", f"after {kinto.started_in:.1f} s")
        screen.line("warehouse", f"answers at {store.url}; ten {SKU} on the shelf")
        screen.line("gateway", f"answers agents at {gateway.data}, operators at {gateway.control}", f"after {gateway.started_in:.1f} s")
        run = gateway.open_run(scopes=["erp:*", "warehouse:*"])
        _Story(screen, kinto, store, gateway, _Agent(screen, gateway, run.lease()), run).played()
        screen.act("All as expected.")


@dataclass(slots=True)
class _Agent:
    """Calls with a name for each step, so that a step may be sent again."""

    screen: Screen
    site: Site
    lease: str

    def sets(self, step: str, invoice: str, status: str, *, tenant: str = TENANT) -> Answer:
        path = f"/erp{erp.path(f'invoices/{invoice}', tenant)}"
        return self._calls(step, "PATCH", path, {"data": {"status": status}}, f"sets {tenant}'s {invoice} to '{status}'")

    def reserves(self, step: str, quantity: int) -> Answer:
        path, body = f"/warehouse/tenants/{TENANT}/reservations", {"sku": SKU, "quantity": quantity}
        return self._calls(step, "POST", path, body, f"reserves {quantity} {SKU}")

    def _calls(self, step: str, method: str, path: str, body: object, saying: str) -> Answer:
        headers = {"Authorization": f"Bearer {self.lease}", "Killcord-Step": step}
        answer = web.send(method, self.site.data + path, body, headers)
        known = " (from the journal)" if answer.headers.get("idempotent-replayed") == "true" else ""
        outcome = f"{answer.status} {answer.body.get('code', '')}" if answer.status >= 400 else f"{answer.status}{known}"
        self.screen.line("agent", saying, outcome, well=answer.status < 400)
        return answer


@dataclass(slots=True)
class _Story:
    screen: Screen
    erp: Erp
    store: Warehouse
    site: Site
    agent: _Agent
    run: Run
    checkpoint: str = ""
    incident: str = ""

    def played(self) -> None:
        for act in (self._works, self._goes_rogue, self._contained, self._taken_back, self._waits, self._decided, self._completes):
            act()

    def _works(self) -> None:
        self.screen.act("Honest work, and a checkpoint")
        expect(self.agent.reserves("reserve-1", 1).status == 201, "the warehouse to reserve", self.store.reservations)
        self.checkpoint = self.run.checkpoint("flow@1", "reserved").checkpoint_id
        self.screen.line("operator", f"the orchestrator takes checkpoint {self.checkpoint}")
        self._holds({"inv-1001": "open", "inv-1002": "open"}, shelf=10, held=1)

    def _goes_rogue(self) -> None:
        self.screen.act("It goes rogue, across both")
        for name in ("inv-1001", "inv-1002"):
            expect(self.agent.sets(f"settle-{name}", name, "written off").status == 200, "the write to pass, so far", name)
        wrong = self.agent.reserves("reserve-2", 6)
        expect(wrong.status == 201, "the warehouse to reserve", wrong)
        self.store.pick(wrong.body["id"])
        self.screen.line("person", f"picks the six {SKU} off the shelf")
        self.erp.edit("inv-1002", status="disputed")
        self.screen.line("person", "sets inv-1002 to 'disputed', in the ERP itself")
        self._holds({"inv-1001": "written off", "inv-1002": "disputed"}, shelf=4, held=1)

    def _contained(self) -> None:
        self.screen.act("Contained, before its reply left")
        stolen = self.agent.sets("settle-theirs", "inv-1003", "paid", tenant=NEIGHBOUR)
        expect(stolen.status == 403, "the write to another tenant to be refused (403)", stolen)
        (incident,) = self.site.ask("GET", f"/v1/incidents?run={self.run.run_id}")["items"]
        self.incident = incident["incident_id"]
        expect(incident["action"] == "revoke", "the answer to be revoke", incident)
        self.screen.line("gateway", f"{incident['cause']}: {incident['why']}", incident["action"])
        again = self.agent.sets("settle-inv-1003", "inv-1003", "paid")
        expect(again.body.get("code") == "lease-revoked", "nothing to pass any more", again)
        theirs = self.erp.records("invoices", NEIGHBOUR)["inv-1003"]["status"]
        expect(theirs == "open", "the neighbour's invoice to be as it was", theirs)

    def _taken_back(self) -> None:
        self.screen.act("Rolled back automatically, to the checkpoint: one restore, one offset, one task")
        rollback = self.site.rollback_of(self.run.run_id)
        expect(rollback["to"] == self.checkpoint, "the rollback to go to the checkpoint", rollback["to"])
        for node in rollback["nodes"]:
            what, done = f"{node['target']['type']}:{node['target']['id']}", node["state"] == "done"
            self.screen.line("gateway", f"{what}: {node['why']}", node["state"], well=done, quick=True)
        states = sorted(node["state"] for node in rollback["nodes"])
        expect(states == ["done", "done", "task"], "two things done and one task", states)
        booked = [one["direction"] for one in self.store.adjustments.values()]
        expect(booked == ["in"], "one booking, the other way round", booked)
        self._after_the_rollback()

    def _waits(self) -> None:
        self.screen.act("Driven on, it waits for a person")
        code, said = self.site.killcord("recover", self.incident, "--reason", "the agent is fixed", "--scope", "erp:invoice.*")
        expect(code == 1 and "waits: open tasks" in said, "killcord recover to wait for the task (exit 1)", f"exit {code}: {said}")
        self.screen.line("operator", f"killcord recover {self.incident} --scope 'erp:invoice.*'", "exit 1: a person has to decide")
        self.screen.plain("\n".join(f"           {line}" for line in said.splitlines()))
        self._after_the_rollback()

    def _decided(self) -> None:
        self.screen.act("A person decides, and it continues from the checkpoint with tighter rights")
        (task,) = self.site.ask("GET", f"/v1/tasks?run={self.run.run_id}&status=open")["items"]
        code, said = self.site.killcord("tasks", "resolve", task["task_id"], "accepted", "--note", "the customer called")
        expect(code == 0, "the task to be resolved", said)
        self.screen.line("person", f"resolves {task['task_id']}: the customer's dispute stands")
        recovery = self._resumed()
        self.screen.line("gateway", f"looked at both systems again, found them sound: {recovery['why']}")
        self._after_the_rollback()
        code, said = self.site.killcord("incidents", "explain", self.incident)
        expect(code == 0, "killcord incidents explain to say why", said)
        self.screen.line("operator", f"killcord incidents explain {self.incident}")
        self.screen.plain("\n".join(f"           {line}" for line in said.splitlines()))

    def _completes(self) -> None:
        self.screen.act("The run completes its work, nothing twice")
        self.agent.lease = self.site.operator.run(self.run.run_id).lease()
        again = self.agent.reserves("reserve-1", 1)
        expect(again.headers.get("idempotent-replayed") == "true", "a standing effect to answer from the journal", again)
        expect(self.agent.sets("settle-inv-1001-rightly", "inv-1001", "paid").status == 200, "the right write to pass", "it did not")
        denied = self.agent.reserves("reserve-3", 6)
        expect(denied.status == 403, "what the run may not do any more to be refused", denied)
        self._holds({"inv-1001": "paid", "inv-1002": "disputed"}, shelf=10, held=1)

    def _resumed(self) -> Json:
        until = time.monotonic() + _SOON
        while True:
            recovery: Json = self.site.ask("GET", f"/v1/incidents/{self.incident}")["recovery"]
            if recovery["stage"] == "resumed":
                return recovery
            expect(time.monotonic() < until, f"the run to be resumed within {_SOON:g} s", recovery)
            time.sleep(0.05)

    def _after_the_rollback(self) -> None:
        self._holds({"inv-1001": "open", "inv-1002": "disputed"}, shelf=10, held=1)

    def _holds(self, invoices: dict[str, str], *, shelf: int, held: int) -> None:
        """Both systems are as expected."""
        records = self.erp.records("invoices")
        found = ({name: records[name]["status"] for name in invoices}, self.store.shelf[SKU], self.store.held(SKU))
        expect(found == (invoices, shelf, held), f"{invoices}, {shelf} on the shelf, {held} held", found)
        shown = ", ".join(f"{name} '{status}'" for name, status in invoices.items())
        self.screen.line("both", f"confirm it: {shown}; {shelf} {SKU} on the shelf, {held} held")
