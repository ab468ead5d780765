"""What an approval still allows, and what the newest one for a call means for the next such call. Pure; the time is an argument."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.core.request import idempotency
from gateway.model.review import Approval, ApprovalStatus

_LAPSES = frozenset({ApprovalStatus.PENDING, ApprovalStatus.GRANTED})
_IN_EFFECT = _LAPSES | {ApprovalStatus.DENIED}


def status(approval: Approval, *, now: float) -> ApprovalStatus:
    """Its status at a time: without an answer it expires, and so does an unused grant."""
    lapsed = approval.expires_at is not None and approval.expires_at <= now
    return ApprovalStatus.EXPIRED if lapsed and approval.status in _LAPSES else approval.status


def as_of(approval: Approval, *, now: float) -> Approval:
    """The approval with its status at a time."""
    return replace(approval, status=status(approval, now=now))


def in_effect(newest: Approval | None, *, now: float) -> Approval | None:
    """The newest approval for a call, if it decides the call or waits for a person; ``None`` if it has to be requested (again)."""
    return newest if newest is not None and status(newest, now=now) in _IN_EFFECT else None


def id_of_call(run_id: str, generation: int, action: str, content: str, number: int) -> str:
    """The same for the same call of the same run, so that asking again does not ask another person."""
    return _id("call", run_id, generation, action, content, number)


def id_of_compensation(rollback_id: str, node_id: str) -> str:
    return _id("compensation", rollback_id, node_id)


def holds_for(approval: Approval, *, existed: bool, version: str | None) -> bool:
    """Whether the target is still as it was when the approval was asked for; whatever it is if it was not read then."""
    return approval.existed is None or (approval.existed, approval.version) == (existed, version)


def not_given(approval: Approval) -> str:
    """Why nothing is done under it, for anyone who continues by hand."""
    if approval.status is ApprovalStatus.DENIED:
        said = f": {approval.reason}" if approval.reason else ""
        return f"{approval.decided_by} denied it{said} (approval {approval.approval_id})"
    return f"the approval expired (approval {approval.approval_id})"


def _id(*parts: object) -> str:
    return "apr_" + idempotency.digest("approval", *parts)[:26]
