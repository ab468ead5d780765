"""What operators are notified of when an entry is journaled: log lines, each with what it counts. Pure.

A line has ids and reasons, never a payload: nothing here reads arguments, snapshots, replies or evidence. Labels of counts are words of
the gateway's own, never a tenant, a run or what somebody wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from gateway.core.codec import record
from gateway.core.triggers import window
from gateway.model.entries import (
    ApprovalEntry,
    Entry,
    FindingEntry,
    IntentEntry,
    OrderEntry,
    ResponseEntry,
    RollbackEntry,
    RunEntry,
    TaskEntry,
    TriggerEntry,
)
from gateway.model.entry import Kind, Position
from gateway.model.review import Approval
from gateway.model.rollback import RollbackStatus
from gateway.model.run import Mode, Order
from gateway.model.trigger import Incident

Level = Literal["info", "warning"]
Labels = tuple[str, ...]
Count = tuple[str, Labels]
"""A counter's name and the values of its labels, in the order of ``COUNTERS``."""

COUNTERS: Mapping[str, tuple[str, Labels]] = {
    "killcord_triggers": ("Triggers that fired.", ("trigger",)),
    "killcord_responses": ("Responses of policy to triggers.", ("action",)),
    "killcord_orders": ("Changes of containment orders: made, released, expired.", ("change", "mode")),
    "killcord_incidents": ("Changes of incidents: opened, changed, closed.", ("change", "trigger")),
    "killcord_approvals": ("Approvals requested, and what became of them.", ("decision",)),
    "killcord_tasks": ("Tasks opened and resolved.", ("change", "kind")),
    "killcord_rollbacks": ("Changes of rollbacks, by the state that each led to.", ("state",)),
    "killcord_runs": ("Changes of runs: opened, renewed, resumed, closed, revoked.", ("change",)),
    "killcord_findings": ("Findings of verifiers; a severity other than critical counts as other.", ("severity",)),
}
"""Help text and labels of each counter; Prometheus sees the names with ``_total``."""

KINDS = (
    Kind.TRIGGER,
    Kind.RESPONSE,
    Kind.ORDER,
    Kind.APPROVAL,
    Kind.INTENT,
    Kind.TASK,
    Kind.ROLLBACK,
    Kind.RUN,
    Kind.FINDING,
)
"""The kinds of entries that can be events."""

NAMES = (
    "trigger-fired",
    "response-made",
    "order-made",
    "order-released",
    "order-expired",
    "incident-opened",
    "incident-changed",
    "incident-closed",
    "approval-requested",
    "approval-granted",
    "approval-denied",
    "approval-voided",
    "approval-used",
    "approval-expired",
    "task-opened",
    "task-resolved",
    "rollback-started",
    "rollback-changed",
    "run-resumed",
    "run-revoked",
    "finding-reported",
)
"""Every event that is logged."""

_WAITS = (RollbackStatus.NEEDS_OPERATOR, RollbackStatus.RESIDUE, RollbackStatus.STOPPED)


class Event(Struct, frozen=True):
    """``name`` is ``None`` if the event is only counted."""

    name: str | None
    level: Level
    fields: Mapping[str, object]
    counts: Count


def events(entry: Entry, position: Position) -> tuple[Event, ...]:
    """The events of one entry."""
    match entry:
        case IntentEntry():
            return () if entry.approval_id is None else (_used(entry, position),)
        case TriggerEntry():
            return (_trigger(entry, position),)
        case ResponseEntry():
            changed = () if entry.incident is None else (_incident(entry.incident, entry.change or "updated", position),)
            return (_response(entry, position), *changed)
        case OrderEntry():
            return (order_event(entry.order, entry.change, by=entry.by, reason=entry.reason, entry=str(position)),)
        case ApprovalEntry():
            return (approval_event(entry.approval, entry.change, by=entry.by, reason=entry.reason, entry=str(position)),)
        case TaskEntry():
            return (_task(entry, position),)
        case RollbackEntry() if entry.change != "node":
            rollback = () if entry.rollback is None else (_rollback(entry, position),)
            return rollback if entry.incident is None else (*rollback, _incident(entry.incident, entry.change, position))
        case RunEntry():
            return (_run(entry, position),)
        case FindingEntry():
            return (_finding(entry, position),)
        case _:
            return ()


def order_event(order: Order, change: str, **more: object) -> Event:
    """An order was made or released, or expired."""
    mode = "no_fanout" if order.mode is Mode.ACTIVE else order.mode.label
    shown = {"order_id": order.order_id, "mode": order.mode.label, "no_fanout": order.no_fanout, "scope": record.scope_json(order.scope)}
    fields = {**shown, "epoch": order.epoch, **more}
    return Event(f"order-{change}", "warning" if change == "made" else "info", fields, ("killcord_orders", (change, mode)))


def approval_event(approval: Approval, change: str, **more: object) -> Event:
    """An approval was requested, decided, voided or used, or expired. Its summary is for the approver alone."""
    shown = {"approval_id": approval.approval_id, "of": approval.kind.value, "run_id": approval.run_id, "tenant": approval.tenant}
    fields = {**shown, "action": f"{approval.tool}:{approval.action}", **more}
    level: Level = "warning" if change == "requested" else "info"
    return Event(f"approval-{change}", level, fields, ("killcord_approvals", (change,)))


def revoked_event(order: Order, run_id: str, tenant: str) -> Event:
    """The leases of a run were revoked by an order."""
    fields = {"run_id": run_id, "tenant": tenant, "order_id": order.order_id, "by": order.by, "reason": order.reason}
    return Event("run-revoked", "warning", fields, ("killcord_runs", ("revoked",)))


def _used(entry: IntentEntry, position: Position) -> Event:
    fields = {"approval_id": entry.approval_id, "run_id": entry.run_id, "tenant": entry.tenant, "action": f"{entry.tool}:{entry.action}"}
    return Event("approval-used", "info", {**fields, "entry": str(position)}, ("killcord_approvals", ("used",)))


def _trigger(entry: TriggerEntry, position: Position) -> Event:
    fired = entry.trigger
    fields = {**_of_run(entry, position), "trigger": fired.name, "count": fired.count, "threshold": fired.threshold}
    fields |= {"evidence": list(fired.evidence[-3:]), "incident_id": entry.incident_id}
    return Event("trigger-fired", "warning", fields, ("killcord_triggers", (_known_trigger(fired.name),)))


def _response(entry: ResponseEntry, position: Position) -> Event:
    fields = {**_of_run(entry, position), "trigger": entry.name, "action": entry.action.value, "verdict": entry.verdict.value}
    fields |= {"rollback": entry.rollback, "order_id": entry.order_id, "reason": entry.why, "revision": entry.revision}
    return Event("response-made", "info", fields, ("killcord_responses", (entry.action.value,)))


def _incident(incident: Incident, change: str, position: Position) -> Event:
    shown = change if change in ("opened", "closed") else "changed"
    fields: dict[str, object] = {"incident_id": incident.incident_id, "run_id": incident.run_id, "tenant": incident.tenant}
    fields |= {"cause": incident.cause, "change": change, "action": incident.action.value, "rollback": incident.rollback.value}
    fields |= {"triggers": incident.triggers, "reason": incident.why, "entry": str(position)}
    level: Level = "warning" if shown == "opened" else "info"
    return Event(f"incident-{shown}", level, fields, ("killcord_incidents", (shown, _known_trigger(incident.cause))))


def _task(entry: TaskEntry, position: Position) -> Event:
    task = entry.task
    fields = {**_of_run(entry, position), "task_id": task.task_id, "task_kind": task.kind.value, "rollback_id": task.rollback_id}
    if task.resolution is not None:
        fields |= {"resolution": task.resolution.value, "by": entry.by, "reason": entry.reason}
    level: Level = "warning" if entry.change == "opened" else "info"
    return Event(f"task-{entry.change}", level, fields, ("killcord_tasks", (entry.change, task.kind.value)))


def _rollback(entry: RollbackEntry, position: Position) -> Event:
    rollback = entry.rollback
    assert rollback is not None
    fields = {**_of_run(entry, position), "rollback_id": rollback.rollback_id, "change": entry.change, "state": rollback.status.value}
    fields |= {"to": rollback.to, "nodes": rollback.nodes, "left": len(rollback.residue), "by": entry.by, "reason": entry.reason}
    name = "rollback-started" if entry.change == "started" else "rollback-changed"
    level: Level = "warning" if rollback.status in _WAITS else "info"
    return Event(name, level, fields, ("killcord_rollbacks", (rollback.status.value,)))


def _run(entry: RunEntry, position: Position) -> Event:
    fields = {**_of_run(entry, position), "generation": entry.run.generation, "checkpoint_id": entry.checkpoint_id}
    fields |= {"by": entry.by, "reason": entry.reason}
    return Event("run-resumed" if entry.change == "resumed" else None, "info", fields, ("killcord_runs", (entry.change,)))


def _finding(entry: FindingEntry, position: Position) -> Event:
    fields = {**_of_run(entry, position), "finding_id": entry.finding_id, "finding": entry.finding, "severity": entry.severity}
    severity = "critical" if entry.severity == "critical" else "other"
    return Event("finding-reported", "warning", {**fields, "by": entry.by, "reason": entry.reason}, ("killcord_findings", (severity,)))


def _of_run(
    entry: TriggerEntry | ResponseEntry | TaskEntry | RollbackEntry | RunEntry | FindingEntry, position: Position
) -> dict[str, object]:
    return {"run_id": entry.run_id, "tenant": entry.tenant, "entry": str(position)}


def _known_trigger(name: str) -> str:
    return name if name in window.NAMES else "other"
