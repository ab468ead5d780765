"""Model values out of the entries that hold them; ``records`` is the way in. Times are integer microseconds there, seconds here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.core import timestamps
from gateway.model.action import Compensation, Remedy, Reversibility, Target
from gateway.model.approval import Approval, ApprovalKind, ApprovalStatus
from gateway.model.checkpoint import Checkpoint, Touched
from gateway.model.decision import Reason
from gateway.model.entry import Position
from gateway.model.incident import Incident, RollbackState
from gateway.model.order import Order, Scope
from gateway.model.response import Measure, Verdict
from gateway.model.rollback import Rollback, RollbackStatus
from gateway.model.run import Limits, Mode, Rate, Run
from gateway.model.task import Evidence, Resolution, Task, TaskKind
from gateway.model.trigger import Trigger

Document = Mapping[str, Any]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def instant(text: str) -> float:
    """RFC 3339 as Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


def target(document: Document) -> Target:
    return Target(document["system"], document["type"], document["id"], document.get("tenant"))


def compensation(document: Document | None) -> Compensation:
    """What could undo a write; nothing was declared for one that the adapter does not list, so a person has to look at it."""
    if document is None:
        return Compensation(reversibility=Reversibility.IRREVERSIBLE, remedy=Remedy.MANUAL_REVIEW)
    until = document.get("allowed_until")
    return Compensation(
        reversibility=Reversibility(document["class"]),
        remedy=Remedy(document["type"]),
        automatic=document.get("auto", False),
        allowed_until=None if until is None else instant(until),
    )


def rate(word: str) -> Rate:
    """``50/s``, ``10/m``, ``5/h`` or ``3/90s``: what ``str`` of a rate gives."""
    count, _, unit = word.partition("/")
    return Rate(int(count), _UNITS[unit] if unit in _UNITS else float(unit.removesuffix("s")))


def limits(document: Document) -> Limits:
    word = document.get("rate")
    return Limits(
        rate=None if word is None else rate(word),
        steps=document.get("steps"),
        writes=document.get("writes"),
        records=document.get("records"),
        tenants=document.get("tenants"),
        systems=document.get("systems"),
        amount=dict(document.get("amount") or {}),
    )


def run(document: Document) -> Run:
    tools = document.get("tools")
    return Run(
        run_id=document["run_id"],
        workflow_id=document["workflow_id"],
        tenant=document["tenant"],
        agent_id=document["agent_id"],
        task_class=document["task_class"],
        parent_run=document.get("parent_run"),
        ancestors=tuple(document.get("ancestors", ())),
        inherited=tuple(document.get("inherited", ())),
        scopes=tuple(document.get("scopes", ())),
        tools=None if tools is None else tuple(tools),
        mode=Mode.of(document["mode"]),
        generation=document["generation"],
        revoked=document["revoked"],
        limits=limits(document["limits"]),
        opened_at=timestamps.seconds(document["opened_at"]),
        opened_under=document.get("opened_under", 0),
        expires_at=timestamps.seconds(document["expires_at"]),
        closed_at=_seconds(document.get("closed_at")),
        superseded=document.get("superseded", 0),
        resumed_from=document.get("resumed_from", 0),
        require_approval=tuple(document.get("require_approval", ())),
    )


def order(document: Document) -> Order:
    return Order(
        order_id=document["order_id"],
        epoch=document["epoch"],
        scope=Scope(**document["scope"]),
        mode=Mode.of(document["mode"]),
        no_fanout=document.get("no_fanout", False),
        reason=document["reason"],
        by=document["by"],
        created_at=timestamps.seconds(document["created_at"]),
        expires_at=_seconds(document.get("expires_at")),
        released_at=_seconds(document.get("released_at")),
        released_by=document.get("released_by"),
        made=document.get("made"),
    )


def task(document: Document) -> Task:
    """Older entries hold one ``wire_key``, and neither target nor evidence."""
    aimed, evidence, resolution = document.get("target"), document.get("evidence"), document.get("resolution")
    return Task(
        task_id=document["task_id"],
        kind=TaskKind(document["kind"]),
        run_id=document["run_id"],
        tenant=document["tenant"],
        wire_keys=tuple(document["wire_keys"]) if "wire_keys" in document else (document["wire_key"],),
        summary=document["summary"],
        opened_at=timestamps.seconds(document["opened_at"]),
        target=None if aimed is None else target(aimed),
        evidence=None if evidence is None else _evidence(evidence),
        rollback_id=document.get("rollback_id"),
        node_id=document.get("node_id"),
        resolution=None if resolution is None else Resolution(resolution),
        resolved_by=document.get("resolved_by"),
        note=document.get("note"),
        resolved_at=_seconds(document.get("resolved_at")),
    )


def trigger(document: Document) -> Trigger:
    return Trigger(
        name=document["name"],
        at=timestamps.seconds(document["at"]),
        count=document["count"],
        threshold=document["threshold"],
        evidence=tuple(document["evidence"]),
        effect=document.get("effect"),
        severity=document.get("severity"),
        tool=document.get("tool"),
        action=document.get("action"),
        facts=document["facts"],
    )


def incident(document: Document) -> Incident:
    return Incident(
        incident_id=document["incident_id"],
        run_id=document["run_id"],
        workflow_id=document["workflow_id"],
        tenant=document["tenant"],
        agent_id=document["agent_id"],
        task_class=document["task_class"],
        generation=document["generation"],
        cause=document["cause"],
        opened_at=timestamps.seconds(document["opened_at"]),
        updated_at=timestamps.seconds(document["updated_at"]),
        triggers=document["triggers"],
        evidence=tuple(document["evidence"]),
        action=Measure(document["action"]),
        verdict=Verdict(document["verdict"]),
        why=document["why"],
        orders=tuple(document["orders"]),
        rollback=RollbackState(document["rollback"]),
        rollback_id=document.get("rollback_id"),
        closed_at=_seconds(document.get("closed_at")),
        recovery=document.get("recovery"),
    )


def rollback(document: Document) -> Rollback:
    times = {name: _seconds(document.get(name)) for name in ("started_at", "updated_at", "ended_at")}
    held = {**document, **times, "status": RollbackStatus(document["status"]), "residue": tuple(document["residue"])}
    return Rollback(**held)


def checkpoint(document: Document) -> Checkpoint:
    at = document.get("at")
    return Checkpoint(
        checkpoint_id=document["checkpoint_id"],
        run_id=document["run_id"],
        generation=document["generation"],
        tenant=document["tenant"],
        workflow_id=document["workflow_id"],
        at=None if at is None else position(at),
        automatic=document["automatic"],
        state_ref=document.get("state_ref"),
        label=document.get("label"),
        objects=tuple(Touched(target(one["target"]), one.get("version"), position(one["receipt"])) for one in document["objects"]),
        irreversible=tuple(map(position, document["irreversible"])),
        compensations=tuple(map(position, document["compensations"])),
        approvals=tuple(document["approvals"]),
        tasks=tuple(document["tasks"]),
        by=document.get("by"),
        taken_at=_seconds(document.get("taken_at")),
    )


def position(text: str) -> Position:
    """``stream/seq``, as entries hold it."""
    stream, _, seq = text.rpartition("/")
    return Position(stream, int(seq))


def _evidence(document: Document) -> Evidence:
    return Evidence(document.get("before"), document.get("after"), document.get("now"), tuple(document["entries"]), document["why"])


def approval(document: Document) -> Approval:
    times = {name: _seconds(document.get(name)) for name in ("requested_at", "expires_at", "decided_at", "used_at")}
    values = {
        "kind": ApprovalKind(document["kind"]),
        "status": ApprovalStatus(document["status"]),
        "target": target(document["target"]),
        "reasons": tuple(Reason(one["code"], one["message"]) for one in document["reasons"]),
    }
    return Approval(**{**document, **times, **values})


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else timestamps.seconds(micros)
