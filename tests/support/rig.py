"""A whole gateway in this process over a real store and a real HTTP tool; calls enter at the front, where the wire would hand them in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gateway.app import gateway as app_gateway
from gateway.app import servers
from gateway.control.runs.runs import LeasedRun
from gateway.core.authorization import admission
from gateway.core.codec.entry import of_fields
from gateway.core.request import canonical
from gateway.model.call import Head, Reply
from gateway.model.effect import Write
from gateway.model.run import Mode, Order, Scope
from gateway.ports.journal import Query
from gateway.settings import config as settings
from tests.support.journaling import BARRIER
from tests.support.ledger import Ledger, serve

ROOT = Path(__file__).resolve().parents[2]

ADAPTER = """
system: ledger
tenant: request.path.tenant
objects:
  invoice: {path: "/v1/tenants/{tenant}/invoices/{id}", version: reply.headers.etag, state: reply.body.data}
  refund: {path: "/v1/tenants/{tenant}/refunds/{id}", version: reply.headers.etag, state: reply.body.data}
  job: {path: "/v1/tenants/{tenant}/jobs/{id}", version: reply.headers.etag, state: reply.body.data}
actions:
  - {name: invoice.read, match: {method: GET, path: "/v1/tenants/{tenant}/invoices/{id}"}, object: invoice, effect: read}
  - {name: invoice.list, match: {method: GET, path: "/v1/tenants/{tenant}/invoices"}, object: invoice, effect: read}
  - name: invoice.update
    match: {method: PATCH, path: "/v1/tenants/{tenant}/invoices/{id}"}
    object: invoice
    effect: write
    class: reversible
    guard: if_match
    idempotency: {header: Idempotency-Key}
    verify: {expect: "object.body.data.status == request.body.status", within: 100ms}
    probe: {applied: "object.body.data.status == request.body.status", settle: 50ms}
    compensation: {type: restore_previous_version, by: invoice.replace, auto: true, within: 1h}
  - name: invoice.replace
    match: {method: PUT, path: "/v1/tenants/{tenant}/invoices/{id}"}
    object: invoice
    effect: write
    class: reversible
    guard: if_match
    idempotency: {header: Idempotency-Key, quoted: true}
    compensation: {type: restore_previous_version, by: invoice.replace, auto: true}
  - name: invoice.delete
    match: {method: DELETE, path: "/v1/tenants/{tenant}/invoices/{id}"}
    object: invoice
    effect: write
    class: compensatable
    compensation: {type: manual_review}
  - name: refund.create
    match: {method: POST, path: "/v1/tenants/{tenant}/refunds"}
    creates: {object: refund, id: reply.body.data.id}
    effect: write
    class: compensatable
    idempotency: {gateway: true}
    cost: {amount: {refund: request.body.amount}}
    compensation: {type: delete_created, by: refund.delete, auto: true}
  - name: job.start
    match: {method: POST, path: "/v1/tenants/{tenant}/jobs"}
    creates: {object: job, id: reply.body.data.id}
    effect: write
    class: compensatable
    idempotency: {gateway: true}
    compensation: {type: manual_review}
    fanout: true
  - name: refund.delete
    match: {method: DELETE, path: "/v1/tenants/{tenant}/refunds/{id}"}
    object: refund
    effect: write
    class: irreversible
    compensation: {type: manual_review}
"""

CONFIG = """
data_dir: ./var
policy: {policy}
adapters: [./adapters]
tools:
  ledger:
    adapter: ledger
    base_url: http://127.0.0.1:{port}
    credential: {{header: Authorization, value: "Basic ${{LEDGER_SECRET}}"}}
    timeout: {timeout}
    connections: {connections}
    {tool_extra}
task_classes:
  default:
    tenants: ["*"]
    scopes: ["*"]
    ttl: 1h
    limits: {{rate: 100000/s, steps: 100000, writes: 10000, records: 10000, tenants: 5, systems: 5, amount: {{refund: 100000}}}}
{extra}
"""

EMBEDDED = f"{{engine: embedded, path: {ROOT / 'policies'}}}"

SECRET = "c2VjcmV0LWNhbmFyeQ=="


@dataclass(slots=True)
class Rig:
    gateway: app_gateway.Gateway
    ledger: Ledger
    logged: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    async def open(self, **asked: Any) -> LeasedRun:
        request = {"tenant": "acme", "agent_id": "billing", "scopes": ("ledger:*",), **asked}
        return await self.gateway.control.runs.open(admission.RunRequest(**request), by="test", reason="test")

    async def call(
        self,
        lease: str | None,
        method: str,
        path: str,
        body: object = None,
        *,
        commit: Callable[[], None] = lambda: None,
        tool: str = "ledger",
        **headers: str,
    ) -> Reply:
        """One call; header names with ``_`` for ``-``."""
        data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        lines += [(b"Content-Type", b"application/json")] if data and "Content_Type" not in headers else []
        lines += [(b"Authorization", f"Bearer {lease}".encode())] if lease else []
        head = Head(method=method, target=f"/{tool}{path}", headers=tuple(lines), length=len(data))
        return await self.gateway.calls.endpoint.handle(canonical.call(head, data), commit)

    async def contain(self, run_id: str, mode: Mode = Mode.READ_ONLY, **more: Any) -> Order:
        return await self.gateway.control.containment.make(Scope(run=run_id), mode, reason="test", by="test", **more)

    async def journal(self, run_id: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """What is durable, after all that was posted before is."""
        await self.gateway.resources.store.journal.append(of_fields(BARRIER))
        lines = await self.gateway.resources.store.history.lines(Query(run=run_id, kind=kind, limit=1000))
        return [orjson.loads(line) for line in lines]

    async def writes(self, run_id: str) -> list[Write]:
        return list(await self.gateway.resources.store.writes.of_run(run_id))


def code(reply: Reply) -> str | None:
    return orjson.loads(reply.body).get("code") if reply.status >= 400 else None


def header(reply: Reply, name: str) -> str | None:
    return next((value.decode() for key, value in reply.headers if key.decode().lower() == name.lower()), None)


@asynccontextmanager
async def assembled(
    folder: Path,
    ledger: Ledger | None = None,
    *,
    port: int | None = None,
    timeout: str = "5s",
    connections: int = 64,
    policy: str = EMBEDDED,
    tool_extra: str = "",
    extra: str = "",
    adapter: str = ADAPTER,
) -> AsyncIterator[Rig]:
    """A gateway over a ledger, or over whatever listens on ``port``; in the same folder again it is the same gateway, restarted."""
    ledger = ledger or Ledger()
    server = await serve(ledger)
    described = folder / "adapters" / "ledger"
    described.mkdir(parents=True, exist_ok=True)
    (described / "adapter.yaml").write_text(adapter)
    config = folder / "killcord.yaml"
    config.write_text(
        CONFIG.format(policy=policy, port=port or server.port, timeout=timeout, connections=connections, tool_extra=tool_extra, extra=extra)
    )
    logged: list[tuple[str, dict[str, object]]] = []
    try:
        gateway = await app_gateway.assemble(
            settings.load(config, {"LEDGER_SECRET": SECRET}), lambda event, **more: logged.append((event, more)), lambda *_: None
        )
        try:
            yield Rig(gateway, ledger, logged)
        finally:
            await gateway.close()
    finally:
        await server.close()


@asynccontextmanager
async def on_the_wire(rig: Rig) -> AsyncIterator[int]:
    """The data API in front of the rig, on a free port."""
    server = servers.data_api(rig.gateway)
    _, port = await server.open_tcp("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.drain(1.0)
        await rig.gateway.control.supervisor.finish(1.0)


async def until(true: Callable[[], object], wait: float = 60.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(wait):
        while not true():
            await asyncio.sleep(0.005)


async def until_async(true: Callable[[], Awaitable[object]], wait: float = 60.0) -> None:
    """Wait for a condition that has to be asked for."""
    async with asyncio.timeout(wait):
        while not await true():
            await asyncio.sleep(0.02)
