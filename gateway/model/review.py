"""What people are asked: tasks, which hand them work, and approvals, by which they decide about one call or one compensation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from gateway.model.call import Target
from gateway.model.decision import Reason


class TaskKind(StrEnum):
    """``OUTCOME_UNKNOWN``: a write with an unknown outcome; ``CORRECTION``: an effect that a call did not or must not compensate;
    ``REVIEW``: an effect that cannot be compensated.
    """

    OUTCOME_UNKNOWN = "outcome-unknown"
    CORRECTION = "correction"
    REVIEW = "review"


class Resolution(StrEnum):
    """What a person found or did. ``ACCEPTED``: the residue stands, and that is known."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    DONE = "done"
    NOT_NEEDED = "not_needed"
    ACCEPTED = "accepted"


_HANDLED = (Resolution.DONE, Resolution.NOT_NEEDED, Resolution.ACCEPTED)

RESOLUTIONS: Mapping[TaskKind, tuple[Resolution, ...]] = {
    TaskKind.OUTCOME_UNKNOWN: (Resolution.APPLIED, Resolution.NOT_APPLIED),
    TaskKind.CORRECTION: _HANDLED,
    TaskKind.REVIEW: _HANDLED,
}
"""The words that close a task of each kind."""

ABSENT = "absent"
"""In the place of a version: the object was not there."""


class Evidence(Struct, frozen=True, gc=False):
    """What a person needs to see. Versions are verbatim, ``absent``, or ``None`` if the object was not read.

    ``before`` is the object before the first effect, ``after`` as the last one left it, ``now`` as it was when the task was opened.
    ``entries`` are positions of the effects' intents and outcomes; ``why`` is a sentence.
    """

    before: str | None
    after: str | None
    now: str | None
    entries: tuple[str, ...]
    why: str


class Task(Struct, frozen=True, kw_only=True, gc=False):
    """One piece of work; times are Unix seconds.

    ``wire_keys`` name the writes it is about, oldest first; for an unknown outcome mostly one, or those that the same state
    may come from. ``rollback_id`` and ``node_id`` say which rollback handed it over. ``resolution`` is absent while the task is open.
    Tasks journaled before rollbacks existed have no target and no evidence.
    """

    task_id: str
    kind: TaskKind
    run_id: str
    tenant: str
    wire_keys: tuple[str, ...]
    summary: str
    opened_at: float
    target: Target | None = None
    evidence: Evidence | None = None
    rollback_id: str | None = None
    node_id: str | None = None
    resolution: Resolution | None = None
    resolved_by: str | None = None
    note: str | None = None
    resolved_at: float | None = None


class ApprovalKind(StrEnum):
    CALL = "call"
    COMPENSATION = "compensation"


class ApprovalStatus(StrEnum):
    """``USED``: a call was made with it. ``VOID``: what was approved is no longer what would be done.

    ``EXPIRED`` is never stored: it is what ``PENDING`` and ``GRANTED`` become with time.
    """

    PENDING = "pending"
    GRANTED = "granted"
    DENIED = "denied"
    USED = "used"
    VOID = "void"
    EXPIRED = "expired"


class Approval(Struct, frozen=True, kw_only=True, gc=False):
    """Times are Unix seconds; ``expires_at`` is when it expires in its present status, ``None`` never.

    A call's is bound to ``run_id`` and ``generation``, to ``action`` and ``content`` (hex: ``idempotency.content_of`` the call) and to the
    target as it was shown: ``existed`` (``None`` if it was not read) and ``version``. ``number`` counts those asked for one call.
    ``summary`` is a sentence for the approver, ``reasons`` are policy's, ``request_ref`` names the sealed request. ``used_by`` is the
    position of the intent that spent it. ``rollback_id`` and ``node_id`` are a compensation's.
    """

    approval_id: str
    kind: ApprovalKind
    status: ApprovalStatus
    run_id: str
    workflow_id: str
    tenant: str
    agent_id: str
    task_class: str
    generation: int
    tool: str
    action: str
    target: Target
    content: str
    number: int = 1
    summary: str
    existed: bool | None = None
    version: str | None = None
    reasons: tuple[Reason, ...] = ()
    request_ref: str | None = None
    requested_at: float
    expires_at: float | None = None
    decided_at: float | None = None
    decided_by: str | None = None
    reason: str | None = None
    used_at: float | None = None
    used_by: str | None = None
    rollback_id: str | None = None
    node_id: str | None = None
