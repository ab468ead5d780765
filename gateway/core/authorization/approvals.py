"""What an approval still allows, and what the newest one for a call means for the next such call. Pure; the time is an argument."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from gateway.core.request import idempotency
from gateway.model.approval import Approval, ApprovalStatus

_LAPSES = frozenset({ApprovalStatus.PENDING, ApprovalStatus.GRANTED})


@dataclass(frozen=True, slots=True)
class Ask:
    """Nobody has been asked, or what was said no longer counts: ask for the ``number``-th time."""

    number: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A person was asked and has not answered."""

    approval: Approval


@dataclass(frozen=True, slots=True)
class Granted:
    """A person said yes, and nothing was done with it yet."""

    approval: Approval


@dataclass(frozen=True, slots=True)
class Refused:
    """A person said no, which stands for as long as the run's generation does."""

    approval: Approval


Standing = Ask | Pending | Granted | Refused


def status(approval: Approval, *, now: float) -> ApprovalStatus:
    """Its status at a time: without an answer it expires, and so does an unused grant."""
    lapsed = approval.expires_at is not None and approval.expires_at <= now
    return ApprovalStatus.EXPIRED if lapsed and approval.status in _LAPSES else approval.status


def as_of(approval: Approval, *, now: float) -> Approval:
    """The approval with its status at a time."""
    return replace(approval, status=status(approval, now=now))


def consider(newest: Approval | None, *, now: float) -> Standing:
    """What the newest approval for a call says about the call."""
    if newest is None:
        return Ask(1)
    match status(newest, now=now):
        case ApprovalStatus.PENDING:
            return Pending(newest)
        case ApprovalStatus.GRANTED:
            return Granted(newest)
        case ApprovalStatus.DENIED:
            return Refused(newest)
        case _:
            return Ask(newest.number + 1)


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
