"""What an entry changes in the tables that are a fold of the journal. Pure: the same entries give the same state everywhere.

A write moves in flight -> standing | failed | unknown by its one outcome, and unknown -> standing | failed by a reconciliation
alone: a later definite failure does not clear an earlier possible apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.core import timestamps
from gateway.core.codec.incident import INCIDENT, ROLLBACK
from gateway.core.codec.order import ORDER
from gateway.core.codec.record import target_of
from gateway.core.codec.review import APPROVAL, CHECKPOINT, TASK, compensation_of
from gateway.core.codec.run import RUN
from gateway.model.approval import Approval
from gateway.model.checkpoint import Checkpoint
from gateway.model.effect import Charge, Key, KeyKind, State, Write
from gateway.model.entry import Kind, Position, Result, Verification
from gateway.model.incident import Incident
from gateway.model.order import Order
from gateway.model.rollback import Rollback
from gateway.model.run import Run
from gateway.model.task import Task

STEPS = "steps"


class Stepped(Struct, frozen=True, gc=False):
    """One more step on each of these counters' scopes."""

    scopes: tuple[str, str]


class Charged(Struct, frozen=True, gc=False):
    """Charges as the intent holds them, without their limits."""

    charges: tuple[Charge, ...]


class WriteOpened(Struct, frozen=True, gc=False):
    write: Write


class WriteSettled(Struct, frozen=True, kw_only=True, gc=False):
    """The write of a wire key got its outcome, or (``reconciled``) what a probe or a person found.

    ``made`` is the id of what it created, where that is known by now, and ``object`` that thing's name across calls.
    """

    wire_key: str
    state: State
    reconciled: bool
    outcome: Position
    status: int | None
    after_version: str | None
    reply_ref: str | None
    verification: Verification
    made: str | None = None
    object: str | None = None


class Compensated(Struct, frozen=True, gc=False):
    """The effects of these wire keys were taken back."""

    wire_keys: tuple[str, ...]


class Seen(Struct, frozen=True, gc=False):
    """A run and its workflow saw an object at a version; ``None`` where their own write left it unknown."""

    run_id: str
    workflow_id: str
    object: str
    version: str | None


class RunChanged(Struct, frozen=True):
    run: Run


class OrderChanged(Struct, frozen=True):
    """``made`` tells an order from its release: only a made one revokes."""

    order: Order
    made: bool


class TaskChanged(Struct, frozen=True):
    task: Task


class RollbackChanged(Struct, frozen=True):
    rollback: Rollback


class IncidentChanged(Struct, frozen=True):
    """``change`` says which members of the incident the entry tells of (``core.incident.incidents.merged``)."""

    incident: Incident
    change: str


class CheckpointTaken(Struct, frozen=True):
    checkpoint: Checkpoint


class ApprovalChanged(Struct, frozen=True):
    approval: Approval


class ApprovalSpent(Struct, frozen=True):
    """An intent was made with a grant; ``at`` is Unix seconds."""

    approval_id: str
    by: Position
    at: float


Change = (
    Stepped
    | Charged
    | WriteOpened
    | WriteSettled
    | CheckpointTaken
    | ApprovalChanged
    | ApprovalSpent
    | Compensated
    | Seen
    | RunChanged
    | OrderChanged
    | TaskChanged
    | IncidentChanged
    | RollbackChanged
)

_STATES = {Result.SUCCESS: State.STANDING, Result.FAILED: State.FAILED, Result.DENIED: State.FAILED, Result.UNKNOWN: State.UNKNOWN}


def changes(fields: Mapping[str, Any], position: Position) -> tuple[Change, ...]:
    """The changes of one entry, in the order to be made.

    Raises:
        KeyError, ValueError, TypeError: the entry lacks what its kind folds.
    """
    match Kind(fields["kind"]):
        case Kind.READ:
            return (_step(fields), *_seen(fields, fields.get("version")))
        case Kind.REPLAY:
            return () if "rollback_id" in fields else (_step(fields),)
        case Kind.REFUSAL:
            return (_step(fields),) if fields.get("metered") else ()
        case Kind.INTENT:
            opened: tuple[Change, ...] = (Charged(charges(fields)), WriteOpened(_write(fields, position)))
            if "approval_id" in fields:
                opened = (*opened, ApprovalSpent(fields["approval_id"], position, timestamps.instant(fields["ts"])))
            return opened if "rollback_id" in fields else (_step(fields), *opened)
        case Kind.OUTCOME:
            return _settled(fields, position, reconciled=False)
        case Kind.RECONCILIATION:
            return _settled(fields, position, reconciled=True)
        case Kind.RUN:
            return (RunChanged(RUN.read(fields["run"])),)
        case Kind.ORDER:
            return (OrderChanged(ORDER.read(fields["order"]), fields["change"] == "made"),)
        case Kind.TASK:
            return (TaskChanged(TASK.read(fields["task"])),)
        case Kind.RESPONSE if "incident" in fields:
            return (IncidentChanged(INCIDENT.read(fields["incident"]), fields.get("change", "updated")),)
        case Kind.APPROVAL if "approval" in fields:
            return (ApprovalChanged(APPROVAL.read(fields["approval"])),)
        case Kind.CHECKPOINT if "checkpoint" in fields:
            return (CheckpointTaken(CHECKPOINT.read(fields["checkpoint"])),)
        case Kind.ROLLBACK:
            rollback = (RollbackChanged(ROLLBACK.read(fields["rollback"])),) if "rollback" in fields else ()
            incident = (IncidentChanged(INCIDENT.read(fields["incident"]), fields["change"]),) if "incident" in fields else ()
            return (*rollback, *incident)
        case _:
            return ()


def charges(fields: Mapping[str, Any]) -> tuple[Charge, ...]:
    """What an intent charges; limits are not in the entry."""
    return tuple([Charge(one["scope"], one["name"], one["amount"], None, one.get("member")) for one in fields.get("charges", ())])


def _step(fields: Mapping[str, Any]) -> Stepped:
    return Stepped((f"run:{fields['run_id']}", f"workflow:{fields['tenant']}/{fields['workflow_id']}"))


def _seen(fields: Mapping[str, Any], version: str | None) -> tuple[Seen, ...]:
    if version is None or not fields["target"]["id"]:
        return ()
    return (_sighting(fields, version),)


def _sighting(fields: Mapping[str, Any], version: str | None) -> Seen:
    return Seen(fields["run_id"], fields["workflow_id"], target_of(fields["target"]).object, version)


def _settled(fields: Mapping[str, Any], position: Position, *, reconciled: bool) -> tuple[Change, ...]:
    state = _STATES[Result(fields["result"])]
    after = fields.get("after_version")
    settled = WriteSettled(
        wire_key=fields["idempotency_key"],
        state=state,
        reconciled=reconciled,
        outcome=position,
        status=fields.get("status"),
        after_version=after,
        reply_ref=None if reconciled else fields.get("reply_ref"),
        verification=Verification(fields.get("verification", "none")),
        **_made(fields),
    )
    if state is State.STANDING and "compensates" in fields and settled.verification is not Verification.FAILED:
        taken_back: tuple[Change, ...] = (Compensated(tuple(fields["compensates"])),)
    else:
        taken_back = ()
    # A version this run did not see for itself would pass for what the agent knows, so an unknown one is remembered as such.
    if state is State.STANDING and fields.get("target", {}).get("id"):
        return (settled, *taken_back, _sighting(fields, after))
    return (settled, *taken_back)


def _made(fields: Mapping[str, Any]) -> dict[str, str]:
    if not fields.get("target", {}).get("id"):
        return {}
    target = target_of(fields["target"])
    return {"made": target.id, "object": target.object}


def _write(fields: Mapping[str, Any], position: Position) -> Write:
    key = fields["key"]
    return Write(
        key=Key(
            tenant=fields["tenant"],
            workflow_id=fields["workflow_id"],
            kind=KeyKind(key["kind"]),
            digest=key["digest"],
            content=key["content"],
            window=float(key["window"]),
        ),
        attempt=fields["attempt"],
        wire_key=fields["idempotency_key"],
        state=State.IN_FLIGHT,
        run_id=fields["run_id"],
        generation=fields["generation"],
        step_id=fields["step_id"],
        tool=fields["tool"],
        action=fields["action"],
        target=target_of(fields["target"]),
        compensation=compensation_of(fields.get("compensation")),
        intent=position,
        at=timestamps.instant(fields["ts"]),
        before_version=fields.get("before_version"),
        snapshot_ref=fields.get("snapshot_ref"),
        args_ref=fields["requested"].get("args_ref"),
        rollback_id=fields.get("rollback_id"),
        parent_step=fields["parent_step_id"] if fields.get("parent_named") else None,
        method=fields["requested"]["method"],
        existed=fields.get("existed"),
        compensates=tuple(fields.get("compensates", ())),
    )
