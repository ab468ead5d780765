"""The control API over a real journal in a folder, with operators of every role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient
from prometheus_client import CollectorRegistry

from gateway.app.journal_verification import StoreVerifier
from gateway.clients.clock import SystemClock
from gateway.clients.keys.signing import open_head_key, open_lease_keys
from gateway.clients.keys.vault import TenantVault, open_master_key
from gateway.control.containment.census import Census
from gateway.control.containment.containment import Containment, OrderReplica
from gateway.control.containment.scope_lookup import ConfiguredNames, ScopeLookup
from gateway.control.incident.recovery import RecoveryDriver
from gateway.control.incident.timeline import Timelines
from gateway.control.review.approvals import Approvals
from gateway.control.review.findings import Findings
from gateway.control.review.tasks import Tasks
from gateway.control.rollback.recheck import Recheck
from gateway.control.runs.checkpoints import Checkpoints
from gateway.control.runs.resume import Resume
from gateway.control.runs.runs import Runs
from gateway.control.upkeep import Heads
from gateway.http.server.operators import Operator, Role
from gateway.http.server.request import Services, Serving
from gateway.model.effect import Write
from gateway.model.entry import Head, Result
from gateway.model.run import Limits, TaskClass
from gateway.pipeline import journal_entries
from gateway.stores.sqlite import SqliteStore, open_store
from gateway.stores.sqlite.log.opening import Expected
from tests.support import described, rolled

Json = dict[str, Any]

OPERATORS = {
    **{f"{role.value}-token": Operator(role.value, role) for role in Role},
    "acme-viewer": Operator("acme-viewer", Role.VIEWER, ("acme",)),
    "acme-operator": Operator("acme-operator", Role.OPERATOR, ("acme",)),
    "acme-approver": Operator("acme-approver", Role.APPROVER, ("acme",)),
    "globex-admin": Operator("globex-admin", Role.ADMIN, ("globex",)),
    "globex-operator": Operator("globex-operator", Role.OPERATOR, ("globex",)),
    "acme-verifier": Operator("acme-verifier", Role.VERIFIER, ("acme",)),
    "acme-billing": Operator("acme-billing", Role.ORCHESTRATOR, ("acme",), ("billing",)),
}

CLASSES = {
    "default": TaskClass(name="default", limits=Limits(steps=500, writes=200, amount={"refund": 1_000_000_000})),
    "billing": TaskClass(name="billing", tenants=("acme",), scopes=("erp:*",), ttl=600.0),
}


NAMES = ConfiguredNames(tenants=frozenset({"acme", "globex"}), task_classes=frozenset(CLASSES), tools=frozenset({"erp", "crm", "mail"}))


@dataclass(slots=True)
class Parts:
    services: Services
    store: SqliteStore
    anchored: list[Head]
    logged: list[tuple[str, dict[str, object]]] = field(default_factory=list)


@asynccontextmanager
async def parts(folder: Path, role: Serving = "all") -> AsyncIterator[Parts]:
    """Everything behind the API; the store is closed at the end."""
    clock = SystemClock()
    store = await open_store(folder, clock, Expected(key=b"k" * 32))
    try:
        yield await _over(store, folder, clock, role)
    finally:
        await store.close()


async def _over(store: SqliteStore, folder: Path, clock: SystemClock, role: Serving) -> Parts:
    keys, signer = open_lease_keys(folder / "keys"), open_head_key(folder / "keys")
    containment = Containment(OrderReplica(store.registry.latest), store.journal, store.registry, clock)
    await containment.load()
    anchored: list[Head] = []
    logged: list[tuple[str, dict[str, object]]] = []

    async def conclude(write: Write, applied: bool, by: str, note: str) -> None:
        result = Result.SUCCESS if applied else Result.FAILED
        entry = journal_entries.reconciliation(write, clock.now(), result=result, by=by, reason=note, after_version=None)
        await store.journal.append(entry)

    vault = TenantVault(store.blobs, open_master_key(folder / "keys"))
    tasks = Tasks(store.journal, store.registry, store.writes, clock, conclude)
    approvals = Approvals(store.journal, store.approvals, store.registry, vault, clock, 3_600.0)
    runs = Runs(store.journal, store.registry, keys, containment.replica, clock, CLASSES)
    checkpoints = Checkpoints(
        journal=store.journal,
        records=store.checkpoints,
        rollbacks=store.rollbacks,
        writes=store.writes,
        history=store.history,
        registry=store.registry,
        approvals=store.approvals,
        incidents=store.incidents,
        clock=clock,
    )
    rollbacks = rolled.rollbacks(store, clock, containment, tasks, approvals, vault)
    resume = Resume(runs, checkpoints, store.rollbacks, store.incidents, containment, clock, rollbacks.alone, lambda _: None)
    recover = RecoveryDriver(
        journal=store.journal,
        registry=store.registry,
        incidents=store.incidents,
        containment=containment,
        rollbacks=rollbacks,
        records=store.rollbacks,
        checkpoints=checkpoints,
        resume=resume,
        tasks=tasks,
        unsound=Recheck(rollbacks, store.registry),
        clock=clock,
        spawn=asyncio.ensure_future,
        log=lambda *_, **__: None,
    )
    scopes = ScopeLookup(store.names, store.registry, clock, NAMES)
    services = Services(
        runs=runs,
        containment=containment,
        scopes=scopes,
        census=Census(containment.replica, scopes, store.registry, store.open_work, clock),
        open_work=store.open_work,
        tasks=tasks,
        approvals=approvals,
        findings=Findings(store.journal, vault, store.incidents, store.writes, store.history, clock),
        rollbacks=rollbacks,
        rollback_records=store.rollbacks,
        checkpoints=checkpoints,
        resume=resume,
        recover=recover,
        incidents=store.incidents,
        timelines=Timelines(store.history, store.registry, store.writes, containment, clock, rolled.UNDOS),
        registry=store.registry,
        writes=store.writes,
        history=store.history,
        journal=store.journal,
        lease_keys=keys,
        head_signer=signer,
        clock=clock,
        identify=OPERATORS.get,
        ready=lambda: (store.journal.health().ok, {"journal": {"ok": store.journal.health().ok}}),
        inspect=StoreVerifier(folder),
        anchored=lambda: [head.note for head in anchored],
        sign_head=Heads(store.history, signer, clock, anchored.append).tick,
        log=lambda event, members: logged.append((event, members)),
        metrics=CollectorRegistry(),
        role=role,
    )
    return Parts(services, store, anchored, logged)


def with_services(found: Parts, **changed: object) -> Services:
    return replace(found.services, **changed)  # type: ignore[arg-type]


@dataclass(slots=True)
class Api:
    """The API as clients see it; ``as_`` names the token. Every answer has to be as /openapi.json says."""

    client: TestClient[Any, Any]
    parts: Parts

    async def ask(self, method: str, path: str, body: object = None, *, as_: str | None = "admin-token", **more: Any) -> tuple[int, Json]:
        async with self.raw(method, path, body, as_=as_, **more) as response:
            answer = await response.json(content_type=None)
            described.check(method, path, response.status, response.content_type, answer)
            return response.status, answer

    def raw(self, method: str, path: str, body: object = None, *, as_: str | None = "admin-token", **more: Any) -> Any:
        headers = more.pop("headers", {})
        if as_ is not None:
            headers = {"Authorization": f"Bearer {as_}", **headers}
        return self.client.request(method, path, json=body, headers=headers, **more)

    async def open_run(self, run_id: str, *, as_: str = "admin-token", **fields: object) -> Json:
        body = {"run_id": run_id, "tenant": "acme", "agent_id": "billing", "scopes": ["erp:*"], **fields}
        status, answer = await self.ask("POST", "/v1/runs", body, as_=as_)
        assert status == 201, answer
        return answer


Opened = Callable[..., Awaitable[Api]]
"""An API over the parts, with some of the services changed."""
