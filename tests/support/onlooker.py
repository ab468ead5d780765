"""An agent at work on a Kinto whose way to it can go wrong, and what can be said of its run afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from killcord_demo import relay
from killcord_demo.incidents import declared
from killcord_demo.relay import Relay
from killcord_demo.web import Answer
from tests.support import gateway
from tests.support.erp import Erp
from tests.support.gateway import Gateway

Json = dict[str, Any]


@contextmanager
def serving(folder: Path, kinto_port: int) -> Iterator[tuple[Gateway, Relay]]:
    """A gateway in front of a relay in front of Kinto. Its two tools, ``erp`` and ``books``, are two systems to it."""
    with relay.relaying(f"http://127.0.0.1:{kinto_port}/v1") as between:
        settings = gateway.settings(between.url)
        adapters = declared.adapters(folder)
        shutil.copytree(adapters / "kinto", adapters / "books")
        second = adapters / "books" / "adapter.yaml"
        second.write_text(second.read_text().replace("system: kinto", "system: books"))
        settings["adapters"] = [str(adapters)]
        settings["tools"]["books"] = {**settings["tools"]["erp"], "adapter": "books"}
        with gateway.serving(Gateway(folder, settings)) as made:
            yield made, between


@dataclass(frozen=True, slots=True)
class Agent:
    """One run at one tenant of the ERP."""

    gateway: Gateway
    erp: Erp
    run_id: str
    lease: str

    def call(self, method: str, thing: str, data: object = None, *, tool: str = "erp", **headers: str) -> Answer:
        """``thing`` is a collection or a record of it; a header's ``_`` are dashes."""
        collection, _, name = thing.partition("/")
        sent = {header.replace("_", "-"): value for header, value in headers.items()}
        body = None if data is None else {"data": data}
        return self.gateway.call(method, self.erp.path(collection, name), body, lease=self.lease, headers=sent, tool=tool)

    def reads(self, thing: str = "invoices/inv-1", **headers: str) -> Answer:
        return self.call("GET", thing, **headers)

    def sets(self, invoice: str, status: str, *, tool: str = "erp", **headers: str) -> Answer:
        return self.call("PATCH", f"invoices/{invoice}", {"status": status}, tool=tool, **headers)

    def notes(self, number: int) -> Answer:
        """A write that is like no other."""
        return self.call("PATCH", "invoices/inv-1", {"note": f"reminder {number}"})

    def refunds(self, reference: str) -> Answer:
        return self.call("POST", "refunds", {"invoice": "inv-2", "amount": 80, "reference": reference})

    @property
    def mode(self) -> str:
        mode: str = self.gateway.ask("GET", f"/v1/runs/{self.run_id}").body["mode"]
        return mode

    @property
    def incidents(self) -> list[Json]:
        found: list[Json] = self.gateway.ask("GET", f"/v1/incidents?run={self.run_id}").body["items"]
        return found

    def state(self) -> dict[str, Json]:
        """All records of the tenant, as Kinto has them."""
        return self.erp.records("invoices") | self.erp.records("refunds")


def at_work(gateway: Gateway, erp: Erp, **narrower: object) -> Agent:
    return Agent(gateway, erp, *gateway.open_run(erp.tenant, **narrower))


REFUSED = {"read_only": "run-read-only", "paused": "run-paused", "quarantined": "run-quarantined", "revoked": "lease-revoked"}


def stopped(agent: Agent, cause: str, mode: str, *, rollback: bool = False, last: Answer | None = None) -> Json:
    """Holds that the run is in this mode for this cause, that its last reply said so, and that nothing of it reaches Kinto any more.

    Gives its one incident of the cause.
    """
    assert last is None or last.headers["killcord-mode"] == mode, last
    assert agent.mode == mode
    (incident,) = [one for one in agent.incidents if one["cause"] == cause]
    assert (incident["rollback"] != "none") is rollback
    assert incident["verdict"] == "containment"
    for place in incident["evidence"]:
        entry = agent.gateway.ask("GET", f"/v1/journal/{place}").body
        assert entry["run_id"] == agent.run_id
    held = agent.state()
    for refused in (agent.sets("inv-2", "written off"), agent.refunds("one more")):
        assert refused.body["code"] == REFUSED[mode]
    assert agent.reads("invoices/inv-2").status == (200 if mode == "read_only" else refused.status)
    now = agent.state()
    assert now["inv-2"].get("status") != "written off"
    assert not [one for one in now.values() if one.get("reference") == "one more"]
    assert rollback or now == held, "nobody but a rollback changes anything any more"
    return incident


def undisturbed(agent: Agent) -> None:
    """Holds that nothing was made of what the run did: it is active, and its next write is in Kinto."""
    assert (agent.mode, agent.incidents) == ("active", [])
    agent.reads("invoices/inv-2")
    done = agent.sets("inv-2", "settled")
    assert done.status == 200, done
    assert agent.erp.invoice("inv-2")["status"] == "settled"
    assert done.headers["killcord-mode"] == "active"
