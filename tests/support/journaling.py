"""Entries as the line hands them in: small, whole and coherent."""

import hashlib
import secrets
from typing import Any

from msgspec.structs import replace

from gateway.core.codec import order as codec_order
from gateway.core.codec import review as codec_review
from gateway.core.codec import run as codec_run
from gateway.model.effect import Charge, Key, KeyKind
from gateway.model.entry import Sealed
from gateway.model.order import Order, Scope
from gateway.model.run import Limits, Mode, Rate, Run
from gateway.model.task import Task
from gateway.ports.journal import IntentRequest

Entry = dict[str, Any]

RUN = Run(
    run_id="run_1",
    workflow_id="wf_1",
    tenant="acme",
    agent_id="billing",
    task_class="default",
    scopes=("erp:*",),
    limits=Limits(rate=Rate(50), steps=500, writes=200, amount={"refund": 1_000_000_000}),
    opened_at=1000.0,
    expires_at=2000.5,
)
STAMP = "2026-11-24T20:08:03.123456Z"


def entry(kind: str, **more: object) -> Entry:
    return {
        "ts": STAMP,
        "kind": kind,
        "tenant": "acme",
        "workflow_id": "wf_1",
        "run_id": "run_1",
        "generation": 1,
        "agent_id": "billing",
        "task_class": "default",
        "step_id": "auto-1",
        **more,
    }


def target(id_: str = "inv_1") -> Entry:
    return {"system": "erp", "type": "invoice", "id": id_, "tenant": "acme"}


def read(id_: str = "inv_1", version: str | None = '"v1"', **more: object) -> Entry:
    fields = entry(
        "read", tool="erp", action="invoice.read", target=target(id_), requested={"method": "GET", "path": "/x"}, status=200, **more
    )
    return fields if version is None else {**fields, "version": version}


def key(name: str, kind: KeyKind = KeyKind.OWN) -> Key:
    return Key(tenant="acme", workflow_id="wf_1", kind=kind, digest=digest(name), content=digest("content"), window=900.0)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def wire_key(name: str, attempt: int = 1) -> str:
    return f"kc-{digest(f'{name}/{attempt}')[:40]}"


def sealed(tenant: str = "acme") -> Sealed:
    data = secrets.token_bytes(40)
    return Sealed(f"sha256:{hashlib.sha256(data).hexdigest()}", tenant, data)


def opening(
    name: str,
    *,
    attempt: int = 1,
    charges: tuple[Charge, ...] = (),
    id_: str = "inv_1",
    blobs: tuple[Sealed, ...] = (),
    **more: object,
) -> IntentRequest:
    """An intent under an own key; ``name`` makes the key."""
    fields = entry(
        "intent",
        tool="erp",
        action="invoice.update",
        target=target(id_),
        requested={"method": "PATCH", "path": "/x", "args_digest": digest("args"), "args_ref": "sha256:args"},
        sent={"method": "PATCH", "path": "/x", "body_digest": digest("body")},
        idempotency_key=wire_key(name, attempt),
        attempt=attempt,
        key={"kind": "own", "digest": digest(name), "content": digest("content"), "window": 900},
        charges=[
            {"scope": one.scope, "name": one.name, "amount": one.amount, **({} if one.member is None else {"member": one.member})}
            for one in charges
        ],
        compensation={"class": "reversible", "type": "restore_previous_version", "auto": True, "allowed_until": STAMP},
        decision={"id": "d_1", "allow": True, "reasons": [], "revision": "r1"},
        before_version='"v1"',
        snapshot_ref="sha256:snapshot",
        **more,
    )
    refusal = entry("refusal", tool="erp", action="invoice.update", target=target(id_), status=429, detail="No.", code="", metered=True)
    return IntentRequest(fields, lambda: refusal, key(name), attempt, charges, blobs)


def outcome(name: str, *, attempt: int = 1, result: str = "success", id_: str = "inv_1", **more: object) -> Entry:
    return entry(
        "outcome",
        tool="erp",
        action="invoice.update",
        target=target(id_),
        idempotency_key=wire_key(name, attempt),
        attempt=attempt,
        intent="st/1",
        result=result,
        verification="none",
        **more,
    )


def reconciliation(name: str, *, attempt: int = 1, result: str = "success", **more: object) -> Entry:
    return entry(
        "reconciliation",
        target=target(),
        idempotency_key=wire_key(name, attempt),
        attempt=attempt,
        result=result,
        by="probe",
        reason="",
        **more,
    )


def run_entry(run: Run = RUN, change: str = "opened") -> Entry:
    return entry("run", run=codec_run.RUN.journal(run), change=change, by="orchestrator", reason="") | {
        "run_id": run.run_id,
        "tenant": run.tenant,
    }


def order(mode: Mode, *, epoch: int = 1, **scope: Any) -> Order:
    return Order(order_id=f"ord_{epoch}", epoch=epoch, scope=Scope(**scope), mode=mode, reason="why", by="ops", created_at=1500.0)


def order_entry(order: Order, change: str = "made") -> Entry:
    return {"ts": STAMP, "kind": "order", "order": codec_order.ORDER.journal(order), "change": change}


def task_entry(task: Task, change: str = "opened") -> Entry:
    return entry("task", task=codec_review.TASK.journal(task), change=change)


def other(run: Run = RUN, **changes: Any) -> Run:
    return replace(run, **changes)
