"""What the journal is told at each stage: the fields of the entries of a call."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core import timestamps
from gateway.core.request import idempotency
from gateway.errors import Refusal
from gateway.model.action import Compensation, Target
from gateway.model.decision import Allow, Considered, Decision, Hold
from gateway.model.effect import Charge, Key, Write
from gateway.model.entry import Kind, Sealed
from gateway.pipeline.evidence import Action, Before, Denied, Intent, Known, Metered, Permitted, Verdict

Entry = dict[str, object]


def common(known: Known, kind: Kind, at: float) -> Entry:
    """Who and when; what every entry of a call begins with."""
    run, step = known.run, known.step
    entry: Entry = {
        "ts": timestamps.rfc3339(at),
        "kind": kind.value,
        "tenant": run.tenant,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "generation": known.lease.generation,
        "agent_id": run.agent_id,
        "task_class": run.task_class,
        "step_id": step.id,
        "tool": known.tool.name,
    }
    if step.parent is not None:
        entry["parent_step_id"] = step.parent
    if step.parent_named:
        entry["parent_named"] = True
    if known.undoing is not None:
        entry |= {"rollback_id": known.undoing.rollback_id, "node": known.undoing.node_id, "compensates": list(known.undoing.compensates)}
    if known.confidence is not None:
        entry["confidence"] = known.confidence
    if known.trace_id is not None:
        entry["trace_id"] = known.trace_id
    return entry


def aimed(entry: Entry, known: Known, action: Action) -> Entry:
    """What the call was about to do, and to what."""
    entry["action"] = action.name
    entry["target"] = target(action.target)
    entry["requested"] = {"method": known.call.method, "path": known.call.target}
    entry["effect"] = action.effect.value
    if action.reversibility is not None:
        entry["class"] = action.reversibility.value
    if action.fanout:
        entry["fanout"] = True
    return entry


def target(value: Target) -> Entry:
    shown: Entry = {"system": value.system, "type": value.type, "id": value.id}
    if value.tenant is not None:
        shown["tenant"] = value.tenant
    return shown


def decided(known: Known, considered: Considered) -> Entry:
    """A decision with all that it takes to decide again, but for the arguments."""
    shown = decision(considered.decision)
    shown |= {
        "at": timestamps.micros(considered.at),
        "mode": considered.mode.word,
        "lease_expires_at": timestamps.micros(known.lease.expires_at),
    }
    if considered.waived:
        shown["waived"] = True
    if considered.counters is not None:
        shown["counters"] = dict(considered.counters)
    if considered.approval is not None:
        shown["approval"] = dict(considered.approval)
    match considered.candidate:
        case None:
            pass
        case str(error):
            shown["candidate"] = {"error": error}
        case other:
            shown["candidate"] = decision(other)
    return shown


def decision(value: Decision) -> Entry:
    shown: Entry = {
        "id": value.decision_id,
        "allow": isinstance(value, Allow),
        "reasons": [{"code": reason.code, "message": reason.message} for reason in value.reasons],
        "revision": value.revision,
    }
    return shown | {"hold": True} if isinstance(value, Hold) else shown


def read(permit: Permitted, at: float, *, status: int, version: str | None, args: Sealed | None, conforms: bool = True) -> Entry:
    entry = aimed(common(permit.known, Kind.READ, at), permit.known, permit.action)
    entry |= {"epoch": permit.opened.epoch, "status": status, "decision": decided(permit.known, permit.considered)}
    _with_args(entry, args)
    if not conforms:
        entry["conforms"] = False
    if permit.action.target.id:
        entry["before_ref"] = permit.action.target.ref(version)
        if version is not None:
            entry["version"] = version
    return entry


def replay(metered: Metered, write: Write, at: float) -> Entry:
    entry = aimed(common(metered.known, Kind.REPLAY, at), metered.known, metered.action)
    entry |= {"epoch": metered.opened.epoch, "idempotency_key": write.wire_key, "attempt": write.attempt}
    entry["requested"] = {"method": metered.known.call.method, "path": metered.known.call.target, "args_digest": _digest(write.key.content)}
    entry["replay_of"] = str(write.intent)
    if write.intent.seq <= metered.known.run.resumed_from:
        entry["resumed"] = True
    return entry


def refusal(known: Known, action: Action | None, refused: Refusal, at: float, *, status: int, metered: bool) -> Entry:
    entry = common(known, Kind.REFUSAL, at)
    entry["requested"] = {"method": known.call.method, "path": known.call.target}
    if action is not None:
        aimed(entry, known, action)
    entry |= {"code": refused.code, "status": status, "detail": refused.detail}
    if metered:
        entry["metered"] = True
    for name in ("reasons", "violated-policies", "untold", "identity", "order_id", "approval_id"):
        if name in refused.members:
            entry[name] = refused.members[name]
    return entry


def denied(value: Denied, at: float, *, status: int, args: Sealed | None) -> Entry:
    """A refusal by policy: with the decision, and the arguments it was made on."""
    entry = refusal(value.known, value.action, value.refusal, at, status=status, metered=True)
    entry |= {"epoch": value.opened.epoch, "decision": decided(value.known, value.considered)}
    _with_args(entry, args)
    return entry


def intent(
    permit: Permitted,
    before: Before,
    key: Key,
    wire_key: str,
    at: float,
    *,
    charges: Sequence[Charge],
    args: Sealed,
    snapshot: Sealed | None,
) -> Entry:
    known, action = permit.known, permit.action
    entry = aimed(common(known, Kind.INTENT, at), known, action)
    body_digest = f"sha256:{idempotency.body_digest(known.call.body)}"
    entry["requested"] = {
        "method": known.call.method,
        "path": known.call.target,
        "args_digest": _digest(key.content),
        "args_ref": args.ref,
    }
    entry |= {
        "epoch": permit.opened.epoch,
        "sent": {"method": known.call.method, "path": known.tool.base + known.call.target, "body_digest": body_digest},
        "idempotency_key": wire_key,
        "attempt": permit.fresh.attempt,
        "key": {"kind": key.kind.value, "digest": key.digest, "content": key.content, "window": round(key.window)},
        "charges": [_charge(charge) for charge in charges],
        "decision": decided(known, permit.considered),
    }
    if permit.approval is not None:
        entry["approval_id"] = permit.approval.approval_id
    if action.compensation is not None:
        entry["compensation"] = compensation(action.compensation)
    if before.taken:
        entry["before_ref"] = action.target.ref(before.version)
        entry["existed"] = before.exists
        if before.version is not None:
            entry["before_version"] = before.version
    if snapshot is not None:
        entry["snapshot_ref"] = snapshot.ref
    return entry


def compensation(value: Compensation) -> Entry:
    shown: Entry = {"class": value.reversibility.value, "type": value.remedy.value, "auto": value.automatic}
    if value.allowed_until is not None:
        shown["allowed_until"] = timestamps.rfc3339(value.allowed_until)
    return shown


def outcome(intent: Intent, verdict: Verdict, at: float, *, status: int | None, reply: Sealed | None, became: Target) -> Entry:
    known, action = intent.known, intent.action
    entry = aimed(common(known, Kind.OUTCOME, at), known, action)
    entry |= {
        "epoch": intent.permit.opened.epoch,
        "idempotency_key": intent.wire_key,
        "attempt": intent.permit.fresh.attempt,
        "intent": str(intent.position),
        "result": verdict.result.value,
        "verification": verdict.verification.value,
        "target": target(became),
    }
    if status is not None:
        entry["status"] = status
    if verdict.after_version is not None:
        entry["after_ref"] = became.ref(verdict.after_version)
        entry["after_version"] = verdict.after_version
    if reply is not None:
        entry["reply_ref"] = reply.ref
    if not verdict.conforms:
        entry["conforms"] = False
    return entry


def reconciliation(write: Write, run_fields: Entry, at: float, *, result: str, by: str, reason: str, after_version: str | None) -> Entry:
    """An unknown outcome decided later; ``run_fields`` says whose it is."""
    entry: Entry = {
        "ts": timestamps.rfc3339(at),
        "kind": Kind.RECONCILIATION.value,
        **run_fields,
        "tool": write.tool,
        "action": write.action,
        "target": target(write.target),
        "idempotency_key": write.wire_key,
        "attempt": write.attempt,
        "intent": str(write.intent),
        "result": result,
        "by": by,
        "reason": reason,
    }
    if write.rollback_id is not None:
        entry |= {"rollback_id": write.rollback_id, "node": write.step_id, "compensates": list(write.compensates)}
    if after_version is not None:
        entry["after_ref"] = write.target.ref(after_version)
        entry["after_version"] = after_version
    return entry


def _with_args(entry: Entry, args: Sealed | None) -> None:
    if args is not None:
        entry["requested"] = {**entry["requested"], "args_ref": args.ref}  # type: ignore[dict-item]


def _charge(charge: Charge) -> Entry:
    shown: Entry = {"scope": charge.scope, "name": charge.name, "amount": charge.amount}
    return shown if charge.member is None else shown | {"member": charge.member}


def _digest(content: str) -> str:
    return f"sha256:{content}"
