"""The journal entries of a call, one for each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.core import timestamps
from gateway.core.adapter.versions import Guard
from gateway.core.request import idempotency
from gateway.errors import Refusal
from gateway.model import entries
from gateway.model.call import Compensation, CompensationRecord
from gateway.model.decision import Allow, Considered, Decision, Hold, Reason
from gateway.model.effect import Charge, Key, KnownBy, Write
from gateway.model.entry import Result, Sealed
from gateway.model.run import Lease
from gateway.pipeline.evidence import Action, Before, Denied, Intent, Known, Metered, Open, Permitted, Verdict


def _caller(known: Known, action: Action | None, at: float) -> dict[str, Any]:
    """Who, when, and the action as far as it is known: the members of every entry of a call."""
    run, step, undoing = known.run, known.step, known.undoing
    members: dict[str, Any] = {
        "ts": timestamps.rfc3339(at),
        "tenant": run.tenant,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "generation": known.lease.generation,
        "agent_id": run.agent_id,
        "task_class": run.task_class,
        "step_id": step.id,
        "parent_step_id": step.parent,
        "parent_named": step.parent_named,
        "tool": known.tool.name,
        "confidence": known.confidence,
        "trace_id": known.trace_id,
    }
    if action is not None:
        members["action"], members["effect"], members["target"] = action.name, action.effect, action.target
        members["class_"], members["fanout"], members["dry_run"] = action.reversibility, action.fanout, action.dry_run
    if undoing is not None:
        rollback, node = undoing.order.rollback, undoing.order.node
        members |= {"rollback_id": rollback.rollback_id, "node": node.node_id, "compensates": node.effects}
    return members


def _call(opened: Open, at: float, args: Sealed | None = None, content: str | None = None) -> dict[str, Any]:
    """The members of every entry of a call that has passed the gate."""
    members = _caller(opened.known, opened.action, at)
    members["epoch"], members["requested"] = opened.epoch, _requested(opened.known, args, content)
    return members


def _requested(known: Known, args: Sealed | None = None, content: str | None = None) -> entries.Requested:
    return entries.Requested(
        method=known.call.method,
        path=known.call.recorded,
        args_digest=None if content is None else f"sha256:{content}",
        args_ref=None if args is None else args.ref,
    )


def _decided(known: Known, considered: Considered) -> entries.DecisionRecord:
    """A decision with all that it takes to decide again, but for the arguments."""
    decision = considered.decision
    return entries.DecisionRecord(
        id=decision.decision_id,
        allow=isinstance(decision, Allow),
        reasons=decision.reasons,
        revision=decision.revision,
        hold=isinstance(decision, Hold),
        at=timestamps.micros(considered.at),
        mode=considered.mode.label,
        lease_expires_at=timestamps.micros(known.lease.expires_at),
        waived=considered.waived,
        counters=considered.counters,
        approval=considered.approval,
        candidate=_candidate(considered.candidate),
    )


def _candidate(said: Decision | str | None) -> entries.CandidateRecord | None:
    if said is None:
        return None
    if isinstance(said, str):
        return entries.CandidateRecord(error=said)
    allow, hold = isinstance(said, Allow), isinstance(said, Hold)
    return entries.CandidateRecord(id=said.decision_id, allow=allow, reasons=said.reasons, revision=said.revision, hold=hold)


def read(
    permit: Permitted, at: float, *, status: int, version: str | None, args: Sealed | None, conforms: bool, fallback_of: str | None
) -> entries.ReadEntry:
    target = permit.action.target
    return entries.ReadEntry(
        **_call(permit.opened, at, args),
        status=status,
        decision=_decided(permit.known, permit.considered),
        conforms=conforms,
        before_ref=target.ref(version) if target.id else None,
        version=version if target.id else None,
        fallback_of=fallback_of,
    )


def replay(metered: Metered, write: Write, at: float, named: Key | None = None) -> entries.ReplayEntry:
    return entries.ReplayEntry(
        **_call(metered.opened, at, content=write.key.content),
        idempotency_key=write.wire_key,
        attempt=write.attempt,
        replay_of=str(write.intent),
        resumed=write.intent.seq <= metered.known.run.resumed_from,
        named=None if named is None else _key(named, compensates=False),
    )


def refusal(known: Known, action: Action | None, refused: Refusal, at: float, *, metered: bool) -> entries.RefusalEntry:
    return entries.RefusalEntry(
        **_caller(known, action, at),
        **_members(refused.members),
        requested=_requested(known),
        code=refused.code,
        status=refused.status,
        detail=refused.detail,
        metered=metered,
    )


def denied(value: Denied, at: float, args: Sealed | None) -> entries.RefusalEntry:
    """A refusal by policy: with the decision, and the arguments it was made on."""
    known = value.known
    entry = refusal(known, value.action, value.refusal, at, metered=True)
    return replace(entry, epoch=value.opened.epoch, requested=_requested(known, args), decision=_decided(known, value.considered))


def early_refusal(lease: Lease, refused: Refusal, at: float) -> entries.RefusalEntry:
    """A refusal of which only the lease is known."""
    return entries.RefusalEntry(
        ts=timestamps.rfc3339(at),
        tenant=lease.tenant,
        run_id=lease.run_id,
        generation=lease.generation,
        code=refused.code,
        status=refused.status,
        detail=refused.detail,
    )


class _Members(msgspec.Struct, frozen=True, omit_defaults=True):
    """Members of a problem document that its entry keeps."""

    reasons: tuple[Reason, ...] | None = None
    violated_policies: tuple[str, ...] | None = msgspec.field(name="violated-policies", default=None)
    missing_amount: str | None = None
    identity: str | None = None
    order_id: str | None = None
    approval_id: str | None = None


def _members(members: Mapping[str, object]) -> dict[str, Any]:
    return msgspec.structs.asdict(msgspec.convert(members, _Members)) if members else {}


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
) -> entries.IntentEntry:
    known, action, call = permit.known, permit.action, permit.known.call
    body_digest = f"sha256:{idempotency.body_digest(call.body)}"
    return entries.IntentEntry(
        **_call(permit.opened, at, args, key.content),
        sent=entries.Sent(method=call.method, path=known.tool.base + call.recorded, body_digest=body_digest),
        idempotency_key=wire_key,
        attempt=permit.fresh.attempt,
        key=_key(key, compensates=known.undoing is not None),
        charges=tuple([entries.ChargeRecord(one.scope, one.name, one.amount, one.member) for one in charges]),
        decision=_decided(known, permit.considered),
        approval_id=None if permit.approval is None else permit.approval.approval_id,
        compensation=None if action.compensation is None else _compensation(action.compensation),
        before_ref=action.target.ref(before.version) if before.taken else None,
        existed=before.exists if before.taken else None,
        before_version=before.version if before.taken else None,
        guarded=_guarded(permit, before),
        snapshot_ref=None if snapshot is None else snapshot.ref,
        undeclared=action.carried.undeclared or None if known.undoing is None else None,
    )


def _key(key: Key, *, compensates: bool) -> entries.KeyRecord:
    # Only agents' calls are compared by ``same``, and only with agents' writes. A compensation's entry omits it to stay small.
    same = key.same if key.same != key.digest and not compensates else None
    return entries.KeyRecord(
        kind=key.kind, digest=key.digest, content=key.content, window=round(key.window), same=same or None, own=key.own
    )


def _guarded(permit: Permitted, before: Before) -> bool:
    """Whether the tool is asked to apply the write to the version from before it alone (or to make what is not there, and to replace
    nothing), by us or by the agent, and heeds that.
    """
    kind = permit.action.kind
    if kind is None or kind.guard not in (Guard.IF_MATCH, Guard.IF_MATCH_VERBATIM):
        return False
    if before.guard_absent:
        return True
    if before.version is None:
        return False
    if before.guard is not None:
        return before.guard == before.version
    asked = [value.decode("latin-1") for name, value in permit.known.call.headers if name.lower() == b"if-match"]
    return asked == [before.version]


def _compensation(value: Compensation) -> CompensationRecord:
    until = value.allowed_until
    return CompensationRecord(
        class_=value.reversibility,
        type=value.remedy,
        auto=value.automatic,
        allowed_until=None if until is None else timestamps.rfc3339(until),
    )


def outcome(intent: Intent, verdict: Verdict, at: float, status: int | None = None, reply: Sealed | None = None) -> entries.OutcomeEntry:
    members, version = _call(intent.opened, at), verdict.after_version
    target = intent.action.target if verdict.made is None else replace(intent.action.target, id=verdict.made)
    members["target"] = target
    grant = intent.permit.approval if verdict.result in (Result.FAILED, Result.DENIED) else None
    return entries.OutcomeEntry(
        **members,
        idempotency_key=intent.wire_key,
        attempt=intent.permit.fresh.attempt,
        intent=str(intent.position),
        result=verdict.result,
        verification=verdict.verification,
        status=status,
        after_ref=None if version is None else target.ref(version),
        after_version=version,
        reply_ref=None if reply is None else reply.ref,
        conforms=verdict.conforms,
        pending=verdict.pending,
        approval_returned=None if grant is None else grant.approval_id,
    )


def reconciliation(
    write: Write, at: float, *, result: Result, by: str, reason: str, known_by: KnownBy | None = None, after_version: str | None = None
) -> entries.ReconciliationEntry:
    """An unknown outcome decided later."""
    undoing = write.rollback_id is not None
    return entries.ReconciliationEntry(
        ts=timestamps.rfc3339(at),
        tenant=write.key.tenant,
        workflow_id=write.key.workflow_id,
        run_id=write.run_id,
        generation=write.generation,
        step_id=write.step_id,
        tool=write.tool,
        action=write.action,
        target=write.target,
        idempotency_key=write.wire_key,
        attempt=write.attempt,
        intent=str(write.intent),
        result=result,
        by=by,
        reason=reason,
        known_by=known_by,
        rollback_id=write.rollback_id,
        node=write.step_id if undoing else None,
        compensates=write.compensates if undoing else None,
        after_ref=None if after_version is None else write.target.ref(after_version),
        after_version=after_version,
    )
