"""Journaled decisions, made again: the document that policy was asked on, and the calls that a watched policy would have stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.core import timestamps
from gateway.core.policy import decision as policy_decision
from gateway.core.policy import numbers
from gateway.core.request import canonical
from gateway.model.call import Call
from gateway.model.decision import Allow, Decision, Hold, Reason
from gateway.model.entries import CandidateRecord, DecisionRecord, Entry, IntentEntry, ReadEntry, RefusalEntry
from gateway.model.run import Lease, Mode, Run


class Ruling(StrEnum):
    """A decision in one word."""

    ALLOW = "ALLOW"
    HOLD = "HOLD"
    DENY = "DENY"


Decided = ReadEntry | IntentEntry | RefusalEntry
"""Entries that can record a decision."""


def document(entry: Decided, run: Run, args: object, query: Mapping[str, str] | None) -> dict[str, object]:
    """The document of the decision that an entry records; ``args`` is the body it was made on (JSON), ``None`` if there was none.

    ``query`` is that of the call, ``None`` if it was not sealed: entries of earlier versions have it in their path.

    Raises:
        KeyError, ValueError, MalformedRequest: the entry does not record a decision, or not all that it takes.
    """
    decision, tool, action, target, requested = entry.decision, entry.tool, entry.action, entry.target, entry.requested
    if decision is None or tool is None or action is None or target is None or requested is None:
        raise KeyError("decision")
    if decision.at is None or decision.mode is None or decision.lease_expires_at is None or entry.effect is None or entry.step_id is None:
        raise KeyError("decision")
    split = canonical.split(f"/{tool}{requested.path}")
    call = Call(
        tool=tool,
        method=requested.method,
        path=split.path,
        segments=split.segments,
        query=split.query if query is None else query,
        args=numbers.shown(args),
    )
    expires_at = timestamps.seconds(decision.lease_expires_at)
    lease = Lease(run_id=run.run_id, tenant=run.tenant, generation=entry.generation, not_before=0.0, expires_at=expires_at)
    return policy_decision.document(
        caller=policy_decision.of_caller(run, lease, Mode.of(decision.mode)),
        call=call,
        action=action,
        effect=entry.effect,
        reversibility=entry.class_,
        fanout=entry.fanout,
        dry_run=entry.dry_run,
        target=target,
        step_id=entry.step_id,
        parent_step_id=entry.parent_step_id,
        counters=decision.counters or {},
        now=timestamps.seconds(decision.at),
        approval=decision.approval,
    )


def recorded(decision: DecisionRecord) -> Ruling:
    """What was decided then."""
    return _ruling(allow=decision.allow, hold=bool(decision.hold))


def ruling(decision: Decision) -> Ruling:
    """What is decided now."""
    return _ruling(allow=isinstance(decision, Allow), hold=isinstance(decision, Hold))


def _ruling(*, allow: bool, hold: bool) -> Ruling:
    return Ruling.HOLD if hold else Ruling.ALLOW if allow else Ruling.DENY


class Why(StrEnum):
    """Why it was not stopped."""

    SHADOW = "shadow"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class WouldDeny:
    """Calls of one kind. ``code`` is the first reason's; ``example`` is the newest entry, ``message`` its reason."""

    why: Why
    tool: str
    action: str
    code: str
    message: str
    count: int
    runs: frozenset[str]
    first: str
    last: str
    example: str


def would_deny(entries: Iterable[Entry]) -> list[WouldDeny]:
    """Gather the calls that were sent although a watched policy said no; the most frequent kind first."""
    found: dict[tuple[Why, str, str, str], WouldDeny] = {}
    for entry in entries:
        if not isinstance(entry, ReadEntry | IntentEntry):
            continue
        for why, denial in _denials(entry.decision):
            reason = (denial.reasons or (Reason("approval" if denial.hold else "unexplained", ""),))[0]
            key = (why, entry.tool or "", entry.action or "", reason.code)
            one = WouldDeny(
                *key,
                message=reason.message,
                count=1,
                runs=frozenset((entry.run_id,)),
                first=entry.ts,
                last=entry.ts,
                example=str(entry.position),
            )
            found[key] = _joined(found[key], one) if key in found else one
    return sorted(found.values(), key=lambda one: (-one.count, one.why, one.tool, one.action, one.code))


def _denials(decision: DecisionRecord | None) -> Iterable[tuple[Why, DecisionRecord | CandidateRecord]]:
    if decision is None:
        return
    if decision.waived:
        yield Why.SHADOW, decision
    candidate = decision.candidate
    if candidate is not None and (decision.allow or decision.waived) and candidate.allow is False:
        yield Why.CANDIDATE, candidate


def _joined(before: WouldDeny, newer: WouldDeny) -> WouldDeny:
    return replace(newer, count=before.count + 1, runs=before.runs | newer.runs, first=before.first)
