"""A gateway under test: ``killcord serve`` as a process, on a folder of its own, in front of the bench's tool."""

from __future__ import annotations

import http.client
import json
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import children
from bench.children import Broken, Child

POLICIES = children.ROOT / "policies"
TOOL = "ledger"
PREFIX = f"/{TOOL}"
CONFIG = "killcord.yaml"

SECRET = {"LEDGER_SECRET": "bench"}

_INVOICE = "/v1/tenants/{tenant}/invoices/{id}"
_REFUND = "/v1/tenants/{tenant}/refunds/{id}"
_ADAPTER: dict[str, Any] = {
    "system": TOOL,
    "tenant": "request.path.tenant",
    "objects": {
        "invoice": {"path": _INVOICE, "version": "reply.headers.etag", "state": "reply.body.data"},
        "refund": {"path": _REFUND, "version": "reply.headers.etag", "state": "reply.body.data"},
    },
    "actions": [
        {"name": "invoice.read", "match": {"method": "GET", "path": _INVOICE}, "object": "invoice", "effect": "read"},
        {
            "name": "invoice.update",
            "match": {"method": "PATCH", "path": _INVOICE},
            "object": "invoice",
            "effect": "write",
            "class": "reversible",
            "guard": "if_match",
            "idempotency": {"header": "Idempotency-Key"},
            "verify": {"expect": "object.body.data.n == request.body.n", "within": "1s"},
            "compensation": {"type": "restore_previous_version", "by": "invoice.replace", "auto": True, "within": "1h"},
        },
        {
            "name": "invoice.replace",
            "match": {"method": "PUT", "path": _INVOICE},
            "object": "invoice",
            "effect": "write",
            "class": "reversible",
            "guard": "if_match",
            "idempotency": {"header": "Idempotency-Key"},
            "compensation": {"type": "restore_previous_version", "by": "invoice.replace", "auto": True},
        },
        {
            "name": "refund.create",
            "match": {"method": "POST", "path": "/v1/tenants/{tenant}/refunds"},
            "creates": {"object": "refund", "id": "reply.body.data.id"},
            "effect": "write",
            "class": "compensatable",
            "idempotency": {"gateway": True},
            "cost": {"amount": {"refund": "request.body.amount"}},
            "compensation": {"type": "delete_created", "by": "refund.delete", "auto": True},
        },
        {
            "name": "refund.delete",
            "match": {"method": "DELETE", "path": _REFUND},
            "object": "refund",
            "effect": "write",
            "class": "irreversible",
            "compensation": {"type": "manual_review"},
        },
    ],
}
_LIMITS = {"rate": "1000000/s", "steps": 10**9, "writes": 10**9, "records": 10**9, "tenants": 5, "systems": 5, "amount": {"refund": 10**9}}
"""Present, so that every call is metered and every write charged, and too wide to stop one."""


class NotBuiltIn(Exception):
    """This killcord does not have what the configuration asks for yet."""


@dataclass(frozen=True, slots=True)
class Gateway:
    child: Child
    port: int
    control: int
    token: str
    folder: Path
    started_in: float
    """Seconds from its start until it was ready."""

    def open_runs(self, count: int, tenant: str = "acme") -> tuple[str, ...]:
        """The leases of new runs."""
        connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=children.PATIENCE)
        asked = json.dumps({"tenant": tenant, "agent_id": "bench", "scopes": [f"{TOOL}:*"]})
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        leases = []
        for _ in range(count):
            connection.request("POST", "/v1/runs", asked, headers)
            answer = connection.getresponse()
            body = json.loads(answer.read())
            if answer.status != 201:
                raise Broken(f"the gateway opened no run: {answer.status} {body}")
            leases.append(body["lease"])
        connection.close()
        return tuple(leases)

    @property
    def environ(self) -> Mapping[str, str]:
        """How commands reach it, and read its configuration."""
        return {"KILLCORD_URL": f"http://127.0.0.1:{self.control}", "KILLCORD_TOKEN": self.token, **SECRET}

    @property
    def config(self) -> Path:
        return self.folder / CONFIG


@contextmanager
def serving(
    name: str, folder: Path, *, tool: int, core: int, policy: Mapping[str, object] | None = None, checkout: Path = children.ROOT
) -> Iterator[Gateway]:
    """A gateway that is ready; its data stays in ``folder``. ``policy`` is that section of its configuration.

    ``checkout`` is the folder whose code it runs; another one than this needs its own ``.venv`` (``make setup``).

    Raises:
        NotBuiltIn: it says that it cannot do this yet.
    """
    data, control = children.free_port(), children.free_port()
    config = configured(folder, data, control, tool, policy)
    token = "bench-" + secrets.token_urlsafe(24)
    python = sys.executable if checkout == children.ROOT else str(checkout / ".venv" / "bin" / "python")
    command = [python, "-m", "gateway", "serve", "--config", str(config)]
    began = time.perf_counter()
    with children.running(name, command, core=core, folder=folder, environ=_environ(token), cwd=checkout) as child:
        try:
            child.until(lambda: _ready(control))
        except Broken as broken:
            raise NotBuiltIn(child.last_lines()) if "not built in" in str(broken) else broken from broken
        yield Gateway(child, data, control, token, folder, time.perf_counter() - began)


def _environ(token: str) -> dict[str, str]:
    return {**SECRET, "KILLCORD_BOOTSTRAP_TOKEN": token, "KILLCORD_LOG": "warning"}


def configured(folder: Path, data: int, control: int, tool: int, policy: Mapping[str, object] | None = None) -> Path:
    """The configuration's file, written to ``folder`` with the adapter it names; the first three numbers are ports of this machine."""
    adapter = folder / "adapters" / TOOL / "adapter.yaml"
    adapter.parent.mkdir(parents=True, exist_ok=True)
    adapter.write_text(yaml.safe_dump(_ADAPTER, sort_keys=False))
    config = folder / CONFIG
    document = {
        "listen": {"data": f"127.0.0.1:{data}", "control": f"127.0.0.1:{control}"},
        "data_dir": "./var",
        "policy": dict(policy or {"engine": "embedded", "path": str(POLICIES)}),
        "adapters": ["./adapters"],
        "tools": {
            TOOL: {
                "adapter": TOOL,
                "base_url": f"http://127.0.0.1:{tool}",
                "credential": {"header": "Authorization", "value": "Basic ${LEDGER_SECRET}"},
            }
        },
        "task_classes": {"default": {"tenants": ["*"], "scopes": ["*"], "ttl": "8h", "limits": _LIMITS}},
    }
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    return config


def _ready(control: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", control, timeout=5.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
