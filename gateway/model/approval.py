"""An approval: a person's decision about one call, or about one compensation of a rollback."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from gateway.model.call import Target
from gateway.model.decision import Reason


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
