"""Entries as the line hands them in: small, whole and coherent."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from gateway.core.codec import record
from gateway.core.codec.entry import of_fields
from gateway.model import entries as model
from gateway.model.effect import Charge, Key, KeyKind
from gateway.model.entries import IntentEntry, RefusalEntry
from gateway.model.entry import Position, Sealed
from gateway.model.review import Task
from gateway.model.run import Limits, Mode, Order, Rate, Run, Scope
from gateway.ports.journal import IntentRefused, IntentRequest

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
BARRIER: Entry = {
    "ts": STAMP,
    "kind": "trigger",
    "tenant": "nobody",
    "run_id": "barrier",
    "generation": 1,
    "trigger": {"name": "policy.denied", "at": 0, "count": 1, "threshold": 1, "evidence": [], "facts": {}},
}
"""An entry of no run: once it is durable, so is what was posted before it."""


STEPS = frozenset({"intent", "outcome", "read", "replay", "refusal", "reconciliation"})
"""Kinds of entries that belong to a step."""


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
        **({"step_id": "auto-1"} if kind in STEPS else {}),
        **more,
    }


def typed(fields: Mapping[str, Any]) -> model.Entry:
    """The entry of these members, with what its kind cannot do without and the test says nothing of."""
    kind = fields["kind"]
    whose = {} if kind == "order" else {"tenant": "acme", "run_id": "run_1"}
    members = {"ts": STAMP, **whose, **_NEEDED.get(kind, {}), **fields}
    if isinstance(trigger := members.get("trigger"), dict):
        members["trigger"] = {"at": 0, "count": 1, "threshold": 1, "evidence": [], "facts": {}, **trigger}
    return of_fields(members)


_OF_RUN = {"workflow_id": "wf_1", "generation": 1}
_TARGET: Entry = {"system": "erp", "type": "invoice", "id": "inv_1", "tenant": "acme"}
_ATTEMPT = {"target": _TARGET, "idempotency_key": "kc-1", "attempt": 1, "intent": "st/1", "result": "success"}
_NEEDED: Mapping[str, Entry] = {
    "read": {**_OF_RUN, "target": _TARGET},
    "outcome": {**_OF_RUN, **_ATTEMPT, "verification": "none"},
    "reconciliation": {**_OF_RUN, **_ATTEMPT, "by": "probe", "reason": ""},
    "replay": {**_OF_RUN, "target": _TARGET, "replay_of": "st/1"},
    "refusal": {"generation": 1, "code": "in-flight", "status": 409, "detail": "No."},
    "trigger": {"generation": 1},
    "response": {
        "generation": 1,
        "name": "anomaly.loop",
        "action": "read_only",
        "verdict": "containment",
        "rollback": False,
        "why": "a loop",
        "revision": "r1",
    },
    "finding": {**_OF_RUN, "finding": "sum", "finding_id": "fnd_1", "severity": "high", "evidence_ref": "sha256:x", "by": "verifier"},
    "approval": {"generation": 1, "approval_id": "apr_1", "tool": "erp", "action": "invoice.update", "target": _TARGET},
    "checkpoint": {"generation": 1, "checkpoint_id": "chk_1", "by": "orchestrator", "reason": ""},
}
"""Members that an entry of a kind always has, beside what is told of a run in them."""


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
    refused = entry("refusal", tool="erp", action="invoice.update", target=target(id_), status=429, detail="No.", code="", metered=True)
    intent, refusal = of_fields(fields), of_fields(refused)
    assert isinstance(intent, IntentEntry)
    assert isinstance(refusal, RefusalEntry)
    return IntentRequest(intent, lambda: refusal, charges, blobs)


def code(result: Position | IntentRefused) -> str:
    """``opened``, or the code of the refusal that stands in an intent's place."""
    return result.code if isinstance(result, IntentRefused) else "opened"


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
    return entry("run", run=record.RUN.journal(run), change=change, by="orchestrator", reason="") | {
        "run_id": run.run_id,
        "tenant": run.tenant,
    }


def order(mode: Mode, *, epoch: int = 1, **scope: Any) -> Order:
    return Order(order_id=f"ord_{epoch}", epoch=epoch, scope=Scope(**scope), mode=mode, reason="why", by="ops", created_at=1500.0)


def order_entry(order: Order, change: str = "made") -> Entry:
    return {"ts": STAMP, "kind": "order", "order": record.ORDER.journal(order), "change": change}


def task_entry(task: Task, change: str = "opened") -> Entry:
    return entry("task", task=record.TASK.journal(task), change=change)


def other(run: Run = RUN, **changes: Any) -> Run:
    return replace(run, **changes)
