"""Runs, orders, tasks and incidents as JSON: how the journal keeps them (microseconds) and how the API shows them (RFC 3339)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from gateway.core import limits, timestamps
from gateway.model.action import Compensation, Target
from gateway.model.approval import Approval
from gateway.model.checkpoint import Checkpoint, Touched
from gateway.model.entry import Position
from gateway.model.incident import Incident
from gateway.model.order import Order, Scope
from gateway.model.rollback import Rollback
from gateway.model.run import Limits, Run
from gateway.model.task import Evidence, Task
from gateway.model.trigger import Trigger

Json = dict[str, object]

_DIGITS = 19
"""Of a seq: what has as many fits no integer of the store."""


def limits_json(value: Limits) -> Json:
    """Limits with amounts in millionths, as the journal keeps them; absent where there is none."""
    shown: Json = {"rate": str(value.rate)} if value.rate else {}
    for name in ("steps", "writes", "records", "tenants", "systems"):
        if (one := getattr(value, name)) is not None:
            shown[name] = one
    if value.amount:
        shown["amount"] = dict(value.amount)
    return shown


def run_entry(run: Run) -> Json:
    """A run as its ``run`` entry holds it."""
    entry: Json = {
        "run_id": run.run_id,
        "workflow_id": run.workflow_id,
        "tenant": run.tenant,
        "agent_id": run.agent_id,
        "task_class": run.task_class,
        "parent_run": run.parent_run,
        "ancestors": list(run.ancestors),
        "scopes": list(run.scopes),
        "tools": None if run.tools is None else list(run.tools),
        "mode": run.mode.word,
        "generation": run.generation,
        "revoked": run.revoked,
        "limits": limits_json(run.limits),
        "opened_at": timestamps.micros(run.opened_at),
        "opened_under": run.opened_under,
        "expires_at": timestamps.micros(run.expires_at),
        "closed_at": None if run.closed_at is None else timestamps.micros(run.closed_at),
    }
    if run.inherited:
        entry["inherited"] = list(run.inherited)
    if run.generation > 1:
        entry |= {"superseded": run.superseded, "resumed_from": run.resumed_from, "require_approval": list(run.require_approval)}
    return entry


def scope_json(scope: Scope) -> Json:
    """A scope as users write it: only what is given."""
    if scope.everything:
        return {"all": True}
    named = {name: getattr(scope, name) for name in ("run", "agent", "tenant", "task_class", "tool")}
    return {name: value for name, value in named.items() if value is not None} | ({"subtree": True} if scope.subtree else {})


def order_entry(order: Order) -> Json:
    """An order as its ``order`` entry holds it."""
    return {
        "order_id": order.order_id,
        "epoch": order.epoch,
        "scope": {name: value for name in Scope.__struct_fields__ if (value := getattr(order.scope, name))},
        "mode": order.mode.word,
        "no_fanout": order.no_fanout,
        "reason": order.reason,
        "by": order.by,
        "created_at": timestamps.micros(order.created_at),
        "expires_at": None if order.expires_at is None else timestamps.micros(order.expires_at),
        "released_at": None if order.released_at is None else timestamps.micros(order.released_at),
        "released_by": order.released_by,
    } | ({} if order.made is None else {"made": order.made})


def target_json(target: Target) -> Json:
    """A target as entries and the API hold it."""
    return {"system": target.system, "type": target.type, "id": target.id, "tenant": target.tenant}


def task_entry(task: Task) -> Json:
    """A task as its ``task`` entries hold it; what does not apply is absent."""
    shown: Json = {"wire_keys": list(task.wire_keys), "opened_at": timestamps.micros(task.opened_at)}
    for name in ("task_id", "kind", "run_id", "tenant", "summary", "rollback_id", "node_id", "resolution", "resolved_by", "note"):
        if (value := getattr(task, name)) is not None:
            shown[name] = value.value if isinstance(value, StrEnum) else value
    if task.target is not None:
        shown["target"] = target_json(task.target)
    if task.evidence is not None:
        shown["evidence"] = {name: value for name, value in evidence_json(task.evidence).items() if value is not None}
    if task.resolved_at is not None:
        shown["resolved_at"] = timestamps.micros(task.resolved_at)
    return shown


def evidence_json(evidence: Evidence) -> Json:
    return {
        "before": evidence.before,
        "after": evidence.after,
        "now": evidence.now,
        "entries": list(evidence.entries),
        "why": evidence.why,
    }


def trigger_entry(trigger: Trigger) -> Json:
    """A trigger as its entries hold it."""
    shown: Json = {
        "name": trigger.name,
        "layer": trigger.layer,
        "at": timestamps.micros(trigger.at),
        "count": trigger.count,
        "threshold": trigger.threshold,
        "evidence": list(trigger.evidence),
        "facts": dict(trigger.facts),
    }
    named = {"effect": trigger.effect, "severity": trigger.severity, "tool": trigger.tool, "action": trigger.action}
    return shown | {name: value for name, value in named.items() if value is not None}


def incident_entry(incident: Incident) -> Json:
    """An incident as its ``response`` entries hold it."""
    held = {name: value for name in Incident.__struct_fields__ if (value := getattr(incident, name)) is not None}
    shown: Json = {name: value.value if isinstance(value, StrEnum) else value for name, value in held.items()}
    lists: Json = {"evidence": list(incident.evidence), "orders": list(incident.orders)}
    times = {name: timestamps.micros(held[name]) for name in ("opened_at", "updated_at", "closed_at") if name in held}
    return shown | lists | times


def rollback_entry(rollback: Rollback) -> Json:
    """A rollback as its ``rollback`` entries hold it."""
    held = {name: value for name in Rollback.__struct_fields__ if (value := getattr(rollback, name)) is not None}
    times = {name: timestamps.micros(held[name]) for name in ("started_at", "updated_at", "ended_at") if name in held}
    return held | {"status": rollback.status.value, "residue": list(rollback.residue)} | times


def approval_entry(approval: Approval) -> Json:
    """An approval as its ``approval`` entries hold it."""
    held = {name: value for name in Approval.__struct_fields__ if (value := getattr(approval, name)) is not None}
    shown: Json = {name: value.value if isinstance(value, StrEnum) else value for name, value in held.items()}
    times = {name: timestamps.micros(held[name]) for name in ("requested_at", "expires_at", "decided_at", "used_at") if name in held}
    reasons = [{"code": reason.code, "message": reason.message} for reason in approval.reasons]
    return shown | times | {"target": _target(approval.target), "reasons": reasons}


def checkpoint_entry(checkpoint: Checkpoint) -> Json:
    """A checkpoint as its ``checkpoint`` entry holds it."""
    one = checkpoint
    plain = ("checkpoint_id", "run_id", "generation", "tenant", "workflow_id", "state_ref", "label", "by")
    shown: Json = {name: value for name in plain if (value := getattr(one, name)) is not None}
    if one.at is not None:
        shown["at"] = str(one.at)
    if one.taken_at is not None:
        shown["taken_at"] = timestamps.micros(one.taken_at)
    return shown | {
        "automatic": one.automatic,
        "objects": [_touched(touched) for touched in one.objects],
        "irreversible": [str(position) for position in one.irreversible],
        "compensations": [str(position) for position in one.compensations],
        "approvals": list(one.approvals),
        "tasks": list(one.tasks),
    }


def _touched(touched: Touched) -> Json:
    shown: Json = {"target": _target(touched.target), "receipt": str(touched.receipt)}
    return shown if touched.version is None else shown | {"version": touched.version}


def run_shown(run: Run, counters: Mapping[str, int], mode: str) -> Json:
    """A run as the API shows it; ``mode`` is the effective one. Amounts are in units."""
    shown = run_entry(run)
    for internal in ("ancestors", "inherited", "revoked", "opened_under", "superseded", "resumed_from"):
        shown.pop(internal, None)
    return shown | {
        "mode": mode,
        "limits": limits_json(run.limits) | ({"amount": _units(run.limits.amount)} if run.limits.amount else {}),
        "counters": {name: value / limits.MILLION if name.startswith("amount:") else value for name, value in sorted(counters.items())},
        **_times(run, "opened_at", "expires_at", "closed_at"),
    }


def checkpoint_shown(checkpoint: Checkpoint) -> Json:
    absent: Json = dict.fromkeys(("at", "state_ref", "label", "by"))
    objects = [{"version": None} | _touched(touched) for touched in checkpoint.objects]
    return absent | checkpoint_entry(checkpoint) | {"objects": objects} | _times(checkpoint, "taken_at")


def order_shown(order: Order) -> Json:
    shown = order_entry(order) | {"scope": scope_json(order.scope)} | _times(order, "created_at", "expires_at", "released_at")
    shown.pop("made", None)
    return shown


def incident_shown(incident: Incident) -> Json:
    absent: Json = dict.fromkeys(("rollback_id", "closed_at", "recovery"))
    return absent | incident_entry(incident) | _times(incident, "opened_at", "updated_at", "closed_at")


def approval_shown(approval: Approval) -> Json:
    """Without where its request is sealed; the digest of its arguments as other entries have it."""
    absent: Json = dict.fromkeys(Approval.__struct_fields__)
    shown = absent | approval_entry(approval) | _times(approval, "requested_at", "expires_at", "decided_at", "used_at")
    for internal in ("content", "request_ref"):
        del shown[internal]
    return shown | {"args_digest": f"sha256:{approval.content}"}


def task_shown(task: Task) -> Json:
    absent: Json = dict.fromkeys(("rollback_id", "node_id", "target", "evidence", "resolution", "resolved_by", "note"))
    evidence: Json = {} if task.evidence is None else {"evidence": evidence_json(task.evidence)}
    return absent | task_entry(task) | evidence | _times(task, "opened_at", "resolved_at")


def rollback_shown(rollback: Rollback) -> Json:
    """A rollback as the API shows it: ``state`` is its status, without how it is driven."""
    shown = rollback_entry(rollback)
    for internal in ("status", "nodes", "since", "owner", "owner_epoch", "epoch", "plan_ref"):
        shown.pop(internal)
    absent: Json = {"incident_id": None}
    return absent | shown | {"state": rollback.status.value} | _times(rollback, "started_at", "updated_at", "ended_at")


def compensation_shown(value: Compensation) -> Json:
    """The declared way back of an effect."""
    until = value.allowed_until
    return {
        "class": value.reversibility.value,
        "type": value.remedy.value,
        "auto": value.automatic,
        "allowed_until": None if until is None else timestamps.rfc3339(until),
    }


def position_of(text: str) -> Position | None:
    """``stream/seq`` as a position; ``None`` where it is not one."""
    stream, _, seq = text.rpartition("/")
    return Position(stream, int(seq)) if stream and seq.isascii() and seq.isdigit() and len(seq) < _DIGITS else None


def _times(value: object, *names: str) -> Json:
    found = {name: getattr(value, name) for name in names}
    return {name: None if time is None else timestamps.rfc3339(time) for name, time in found.items()}


def _target(target: Target) -> Json:
    shown: Json = {"system": target.system, "type": target.type, "id": target.id}
    return shown if target.tenant is None else shown | {"tenant": target.tenant}


def _units(amounts: Mapping[str, int]) -> dict[str, float]:
    return {name: value / limits.MILLION for name, value in amounts.items()}
