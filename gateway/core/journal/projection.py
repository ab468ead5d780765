"""What an entry changes in the tables that are a projection of the journal. Pure: the same entries give the same state everywhere.

A write moves in flight -> standing | failed | unknown by its one outcome, and unknown -> standing | failed by a reconciliation
alone: a later definite failure does not clear an earlier possible apply.
"""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct

from gateway.model import entries
from gateway.model.call import Compensation, Remedy, Reversibility
from gateway.model.effect import Key, KeyKind, KnownBy, State, Write
from gateway.model.entry import Position, Result, StoreEntry, Verification
from gateway.model.review import Approval, Task
from gateway.model.rollback import BY_ROLLBACK, Checkpoint, Rollback
from gateway.model.run import Order, Run
from gateway.model.trigger import Incident

STEPS = "steps"


class Stepped(Struct, frozen=True, gc=False):
    """One more step on each of these counters' scopes."""

    scopes: tuple[str, str]


class Charged(Struct, frozen=True, gc=False):
    """Charges as the intent holds them, without their limits."""

    charges: tuple[entries.ChargeRecord, ...]


class WriteSettled(Struct, frozen=True, kw_only=True, gc=False):
    """The write of a wire key got its outcome, or (``reconciled``) what a probe or a person found.

    ``made`` is the id of what it created, if that is known by now, and ``object`` that thing's name across calls.
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
    known_by: KnownBy | None = None
    pending: bool = False


class KeyNamed(Struct, frozen=True, gc=False):
    """An own key was answered by the write of a wire key, for this content."""

    tenant: str
    workflow_id: str
    own: str
    content: str
    wire_key: str


class Compensated(Struct, frozen=True, gc=False):
    """The effects of these wire keys were compensated."""

    wire_keys: tuple[str, ...]


class Seen(Struct, frozen=True, gc=False):
    """A run and its workflow saw an object at a version; ``None`` if their own write left it unknown."""

    run_id: str
    workflow_id: str
    object: str
    version: str | None


class OrderChanged(Struct, frozen=True):
    """``made`` distinguishes an order from its release: only a new order revokes."""

    order: Order
    made: bool


class IncidentChanged(Struct, frozen=True):
    """``change`` says which members of the incident the entry sets (``core.incident.incidents.merged``)."""

    incident: Incident
    change: str


class ApprovalSpent(Struct, frozen=True):
    """An intent was made with a grant; ``at`` is Unix seconds."""

    approval_id: str
    by: Position
    at: float


class ApprovalReturned(Struct, frozen=True):
    """The write of the intent ``by`` was not applied: what it spent can be spent again."""

    approval_id: str
    by: str


Record = Run | Task | Rollback | Checkpoint | Approval
"""What an entry holds whole: as it stands from then on."""

_Spending = ApprovalSpent | ApprovalReturned
Change = Stepped | Charged | Write | WriteSettled | KeyNamed | Compensated | Seen | Record | OrderChanged | IncidentChanged | _Spending
"""A ``Write`` is one that was opened."""

_STATES = {
    Result.SUCCESS: State.STANDING,
    Result.FOUND: State.STANDING,
    Result.FAILED: State.FAILED,
    Result.DENIED: State.FAILED,
    Result.UNKNOWN: State.UNKNOWN,
}
_BY_STATE = ("probe", BY_ROLLBACK)
"""Who concluded a success by state alone, in entries of earlier versions that do not say how it was known."""
_UNDECLARED = Compensation(reversibility=Reversibility.IRREVERSIBLE, remedy=Remedy.MANUAL_REVIEW)
"""What could undo a write that the adapter does not list: a person has to look at it."""


def changes(entry: entries.Entry, position: Position) -> tuple[Change, ...]:
    """The changes of one entry, in the order to be made."""
    match entry:
        case entries.ReadEntry():
            seen = () if entry.version is None or not entry.target.id else (_seen(entry, entry.version),)
            return (_step(entry), *seen)
        case entries.ReplayEntry():
            return () if entry.rollback_id is not None else (_step(entry), *_named(entry))
        case entries.RefusalEntry():
            return (_step(entry),) if entry.metered else ()
        case entries.IntentEntry():
            return _opened(entry, position)
        case entries.OutcomeEntry() | entries.ReconciliationEntry():
            return _settled(entry, position)
        case (
            entries.RunEntry(run=record)
            | entries.TaskEntry(task=record)
            | entries.ApprovalEntry(approval=record)
            | entries.CheckpointEntry(checkpoint=record)
        ):
            return (record,)
        case entries.OrderEntry():
            return (OrderChanged(entry.order, entry.change == "made"),)
        case entries.ResponseEntry():
            return () if entry.incident is None else (IncidentChanged(entry.incident, entry.change or "updated"),)
        case entries.RollbackEntry():
            rollback = () if entry.rollback is None else (entry.rollback,)
            return rollback if entry.incident is None else (*rollback, IncidentChanged(entry.incident, entry.change))
        case entries.TriggerEntry() | entries.FindingEntry() | StoreEntry():
            return ()
        case _:
            assert_never(entry)


def _step(entry: entries.CallEntry) -> Stepped:
    return Stepped((f"run:{entry.run_id}", f"workflow:{entry.tenant}/{entry.workflow_id}"))


def _named(entry: entries.ReplayEntry) -> tuple[KeyNamed, ...]:
    key, wire_key = entry.named, entry.idempotency_key
    if key is None or key.own is None or wire_key is None:
        return ()
    return (KeyNamed(entry.tenant, entry.workflow_id, key.own, key.content, wire_key),)


def _opened(entry: entries.IntentEntry, position: Position) -> tuple[Change, ...]:
    found: tuple[Change, ...] = (Charged(entry.charges or ()), _write(entry, position))
    if entry.approval_id is not None:
        found = (*found, ApprovalSpent(entry.approval_id, position, entry.at))
    return found if entry.rollback_id is not None else (_step(entry), *found)


def _seen(entry: entries.ReadEntry | entries.OutcomeEntry | entries.ReconciliationEntry, version: str | None) -> Seen:
    return Seen(entry.run_id, entry.workflow_id, entry.target.object, version)


def _settled(entry: entries.OutcomeEntry | entries.ReconciliationEntry, position: Position) -> tuple[Change, ...]:
    state, target = _STATES[entry.result], entry.target
    settled = WriteSettled(
        wire_key=entry.idempotency_key,
        state=state,
        reconciled=isinstance(entry, entries.ReconciliationEntry),
        outcome=position,
        status=entry.status,
        after_version=entry.after_version,
        reply_ref=entry.reply_ref if isinstance(entry, entries.OutcomeEntry) else None,
        verification=entry.verification,
        made=target.id or None,
        object=target.object if target.id else None,
        known_by=_known_by(entry) if state is State.STANDING else None,
        pending=isinstance(entry, entries.OutcomeEntry) and entry.pending,
    )
    if state is not State.STANDING:
        returned = entry.approval_returned if isinstance(entry, entries.OutcomeEntry) else None
        return (settled,) if returned is None else (settled, ApprovalReturned(returned, entry.intent or ""))
    undone = entry.compensates if entry.verification is not Verification.FAILED else None
    compensated = () if undone is None else (Compensated(undone),)
    # A version this run did not see for itself would pass for what the agent knows, so an unknown one is remembered as such.
    return (settled, *compensated, *((_seen(entry, entry.after_version),) if target.id else ()))


def _known_by(entry: entries.OutcomeEntry | entries.ReconciliationEntry) -> KnownBy:
    if isinstance(entry, entries.OutcomeEntry):
        return KnownBy.REPLY
    return entry.known_by or (KnownBy.STATE if entry.by in _BY_STATE else KnownBy.PERSON)


def _write(entry: entries.IntentEntry, position: Position) -> Write:
    key, declared = entry.key, entry.compensation
    return Write(
        key=Key(
            tenant=entry.tenant,
            workflow_id=entry.workflow_id,
            kind=key.kind,
            digest=key.digest,
            content=key.content,
            window=float(key.window),
            same=key.same or (key.digest if key.kind is KeyKind.CONTENT else ""),
            own=key.own,
        ),
        attempt=entry.attempt,
        wire_key=entry.idempotency_key,
        state=State.IN_FLIGHT,
        run_id=entry.run_id,
        generation=entry.generation,
        step_id=entry.step_id,
        tool=entry.tool,
        action=entry.action,
        target=entry.target,
        compensation=_UNDECLARED if declared is None else declared.value,
        intent=position,
        at=entry.at,
        before_version=entry.before_version,
        snapshot_ref=entry.snapshot_ref,
        args_ref=entry.requested.args_ref,
        rollback_id=entry.rollback_id,
        parent_step=entry.parent_step_id if entry.parent_named else None,
        method=entry.requested.method,
        existed=entry.existed,
        compensates=entry.compensates or (),
        undeclared=entry.undeclared or (),
        guarded=entry.guarded,
    )
