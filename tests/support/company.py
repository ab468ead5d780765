"""A gateway before four real tools: a Kinto as the ERP, whose way can go wrong; and ``backoffice``: a warehouse, a CRM, a mailer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from killcord_demo import relay
from killcord_demo.relay import Ask, Asked, Relay, Relayed
from killcord_demo.web import Answer
from tests.support import backoffice, gateway
from tests.support.backoffice import Backoffice
from tests.support.gateway import Gateway

TENANT = "acme"


@dataclass(frozen=True, slots=True)
class Company:
    gateway: Gateway
    relay: Relay
    office: Backoffice


@contextmanager
def serving(folder: Path, kinto_port: int, *, adapters: Sequence[str] = ()) -> Iterator[Company]:
    """All of it, for as long as the block lasts. What is in these folders of ``adapters`` comes before what is shipped."""
    office = Backoffice()
    with relay.relaying(f"http://127.0.0.1:{kinto_port}/v1") as between, backoffice.serving(office) as port:
        settings = gateway.settings(between.url)
        for name in ("warehouse", "crm", "mail"):
            settings["tools"][name] = {"adapter": name, "base_url": f"http://127.0.0.1:{port}/{name}"}
        settings["adapters"] = [*adapters, *settings["adapters"]]
        with gateway.serving(Gateway(folder, settings)) as made:
            yield Company(made, between, office)


@dataclass(frozen=True, slots=True)
class Clerk:
    """An agent with one run, at work on the tools of the back office."""

    gateway: Gateway
    run_id: str
    lease: str

    def calls(self, tool: str, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """``path`` is the tool's own, below the tenant."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.gateway.call(method, f"/tenants/{TENANT}{path}", body, lease=self.lease, tool=tool, headers=sent)

    def reserves(self, sku: str, quantity: int, **headers: str) -> Answer:
        return self.calls("warehouse", "POST", "/reservations", {"sku": sku, "quantity": quantity}, **headers)

    def sets(self, contact: str, status: str) -> Answer:
        return self.calls("crm", "PATCH", f"/contacts/{contact}/status", {"status": status})

    def mails(self, subject: str) -> Answer:
        """Ask for it, have a person approve it, and send it."""
        body = {"to": ["dubois@example.org"], "subject": subject, "text": "..."}
        asked = self.calls("mail", "POST", "/messages", body)
        assert asked.body["code"] == "approval-required", asked
        yes = self.gateway.ask("POST", f"/v1/approvals/{asked.body['approval_id']}", {"decision": "approve", "reason": "a test says so"})
        assert yes.status == 200, yes
        return self.calls("mail", "POST", "/messages", body)

    def follows_up(self, message: str) -> Answer:
        return self.calls("mail", "POST", "/sequences", {"message": message, "steps": 3})

    def is_found_unsafe(self) -> None:
        finding = {"kind": "ledger.imbalance", "severity": "critical", "evidence": {"off_by": 12}}
        assert self.gateway.ask("POST", f"/v1/runs/{self.run_id}/findings", finding).status == 201


def clerk(gateway: Gateway, **asked: Any) -> Clerk:
    return Clerk(gateway, *gateway.open_run(TENANT, scopes=["warehouse:*", "crm:*", "mail:*"], **asked))


@dataclass(slots=True)
class Seen:
    """A fault that is none: notes what passes. With ``lost``, the answers to writes by that method are lost on their way."""

    lost: str | None = None
    calls: list[Asked] = field(default_factory=list)

    def __call__(self, asked: Asked, ask: Ask) -> Relayed | None:
        self.calls.append(asked)
        told = ask(asked)
        return None if asked.method == self.lost else told

    def count(self, method: str) -> int:
        return sum(one.method == method for one in self.calls)
