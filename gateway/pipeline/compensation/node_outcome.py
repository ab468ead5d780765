"""What a compensating call came to, as the outcome of its node: done, a task, or why it waits."""

from __future__ import annotations

from gateway import errors
from gateway.core.adapter import versions
from gateway.model.entry import Result, Verification
from gateway.model.rollback import NodeOutcome, NodeState
from gateway.pipeline.evidence import Kept, Settled
from gateway.pipeline.stages import read
from gateway.pipeline.stages.observe import PRECONDITION_FAILED

ORDER_REFUSALS = (errors.RunReadOnly, errors.RunPaused, errors.RunQuarantined, errors.LeaseRevoked, errors.FanoutBlocked)
"""What an order means that was made after the rollback began, on more than its run: it keeps the call from being sent, for now."""
AGAIN = frozenset({409, 423, 425})
"""Statuses of a definite failure after which the same call may pass a little later."""
BUSY = 429
"""The status by which a tool says that it did not apply the call and may at another time."""


class Conflict(Exception):
    """The effect cannot, or must not, be undone by a call; the message says why. ``seen`` is the version the object is at."""

    def __init__(self, why: str, *, seen: str | None = None) -> None:
        super().__init__(why)
        self.seen = seen


class NeverShown(Conflict):
    """The tool will not show the object, however often it is asked."""


class Needless(Conflict):
    """There is nothing left to undo."""


def of_refusal(against: Conflict | errors.Refusal) -> NodeOutcome:
    """The result of a node whose call was refused."""
    match against:
        case Needless():
            return NodeOutcome(NodeState.NOTHING, str(against), seen=against.seen)
        case Conflict():
            return NodeOutcome(NodeState.TASK, str(against), seen=against.seen)
        case errors.ReplyNotKept():
            return NodeOutcome(NodeState.DONE, "it was carried out earlier")
        case errors.OutcomeUnknown() | errors.Refusal(members={"outcome": "unknown"}):
            return NodeOutcome(NodeState.UNKNOWN, against.detail)
        case _ if isinstance(against, ORDER_REFUSALS):
            return NodeOutcome(NodeState.STOPPED, against.detail)
        # The lease is this call's own: what waited too long for a connection gets another one.
        case _ if against.retryable or isinstance(against, errors.LeaseExpired):
            return NodeOutcome(NodeState.WAITING, against.detail, again=True, pause=against.retry_after or 0.0)
        case _:
            return NodeOutcome(NodeState.FAILED, against.detail)


def of_earlier(kept: Kept) -> NodeOutcome:
    """The outcome of an earlier call for the node: one whose object read back differs is not done."""
    write = kept.write
    if write.verification is Verification.FAILED:
        where = f"entry {write.outcome or write.intent}"
        return NodeOutcome(NodeState.FAILED, f"it was carried out, but the object read back differs ({where})")
    return NodeOutcome(NodeState.DONE, "it was carried out earlier", after=write.after_version)


def of_answer(settled: Settled, *, now: float) -> NodeOutcome:
    verdict, status = settled.verdict, settled.answer.status
    where = f"entry {settled.position}"
    if verdict.result is Result.SUCCESS and verdict.verification is not Verification.FAILED:
        return NodeOutcome(NodeState.DONE, after=verdict.after_version)
    if verdict.result is Result.SUCCESS:
        what = f": {verdict.differs}" if verdict.differs else ""
        return NodeOutcome(NodeState.FAILED, f"it was carried out, but the object read back differs{what} ({where})")
    if verdict.result is Result.UNKNOWN:
        return NodeOutcome(NodeState.UNKNOWN, f"the tool answered {status}: its outcome is unknown ({where})")
    if status == PRECONDITION_FAILED:
        return _precondition_failed(settled, where)
    if status == BUSY:
        pause = read.retry_after(settled.answer, now=now) or 0.0
        return NodeOutcome(NodeState.WAITING, f"the tool is busy ({where})", again=True, pause=pause)
    return NodeOutcome(NodeState.FAILED, f"the tool answered {status} ({where})", again=status in AGAIN)


def _precondition_failed(settled: Settled, where: str) -> NodeOutcome:
    """The outcome after a 412: somebody wrote the object right before, or the tool does not accept its own version as a guard."""
    now, before = settled.verdict.now, settled.intent.before
    if now is None:
        return NodeOutcome(NodeState.TASK, f"the tool reports a later write of the object ({where})")
    if before.guard is not None and now.exists and versions.same(before.version, now.version):
        why = f"the tool answered 412, although the object is still at {now.version}: its tag cannot guard a write ({where})"
        return NodeOutcome(NodeState.TASK, why, seen=now.version)
    return NodeOutcome(
        NodeState.TASK, f"the tool reports a later write of the object ({where})", seen=now.version if now.exists else "absent"
    )
