"""Journaled decisions, made again: the document that policy was asked on, and the calls that a watched policy would have stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Any

from gateway.core import timestamps
from gateway.core.policy import decision as policy_decision
from gateway.core.request import canonical
from gateway.model.action import Effect, Reversibility, Target
from gateway.model.call import Call
from gateway.model.decision import Allow, Decision, Hold
from gateway.model.run import Lease, Mode, Run

Entry = Mapping[str, Any]


class Word(Enum):
    """A decision in one word."""

    ALLOW = "ALLOW"
    HOLD = "HOLD"
    DENY = "DENY"


def document(entry: Entry, run: Run, args: object) -> dict[str, object]:
    """The document of the decision that an entry records; ``args`` is the body it was made on (JSON), ``None`` where there was none.

    Raises:
        KeyError, ValueError, MalformedRequest: the entry does not record a decision, or not all that it takes.
    """
    decision = entry["decision"]
    target, requested = entry["target"], entry["requested"]
    split = canonical.split(f"/{entry['tool']}{requested['path']}")
    call = Call(
        tool=entry["tool"],
        method=requested["method"],
        path=split.path,
        segments=split.segments,
        raw_query=split.raw_query,
        query=split.query,
        args=args,
    )
    lease = Lease(
        run_id=run.run_id,
        tenant=run.tenant,
        generation=entry["generation"],
        not_before=0.0,
        expires_at=timestamps.seconds(decision["lease_expires_at"]),
    )
    return policy_decision.document(
        run=run,
        lease=lease,
        mode=Mode.of(decision["mode"]),
        call=call,
        action=entry["action"],
        effect=Effect(entry["effect"]),
        reversibility=Reversibility(entry["class"]) if "class" in entry else None,
        fanout=entry.get("fanout", False),
        target=Target(target["system"], target["type"], target["id"], target.get("tenant")),
        step_id=entry["step_id"],
        parent_step_id=entry.get("parent_step_id"),
        counters=decision.get("counters", {}),
        now=timestamps.seconds(decision["at"]),
        approval=decision.get("approval"),
    )


def recorded(entry: Entry) -> Word:
    """What was decided then."""
    decision = entry["decision"]
    if decision.get("hold"):
        return Word.HOLD
    return Word.ALLOW if decision["allow"] is True else Word.DENY


def word(decision: Decision) -> Word:
    """A decision in one word."""
    match decision:
        case Allow():
            return Word.ALLOW
        case Hold():
            return Word.HOLD
        case _:
            return Word.DENY


class Why(StrEnum):
    """Why it was not stopped."""

    SHADOW = "shadow"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class Spared:
    """Calls of one kind. ``code`` is the first reason's; ``example`` is the newest entry, ``message`` what it was told."""

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


def spared(entries: Iterable[Entry]) -> list[Spared]:
    """Gather the calls that went on though a watched policy said no; the most frequent kind first."""
    found: dict[tuple[Why, str, str, str], Spared] = {}
    for entry in entries:
        for why, denial in _denials(entry):
            reason = (denial["reasons"] or [{"code": "approval" if denial.get("hold") else "unexplained", "message": ""}])[0]
            key = (why, entry["tool"], entry["action"], reason["code"])
            one = Spared(
                *key,
                message=reason["message"],
                count=1,
                runs=frozenset((entry["run_id"],)),
                first=entry["ts"],
                last=entry["ts"],
                example=f"{entry['stream']}/{entry['seq']}",
            )
            found[key] = _joined(found[key], one) if key in found else one
    return sorted(found.values(), key=lambda one: (-one.count, one.why, one.tool, one.action, one.code))


def _denials(entry: Entry) -> Iterable[tuple[Why, Mapping[str, Any]]]:
    decision = entry.get("decision")
    if decision is None:
        return
    if decision.get("waived"):
        yield Why.SHADOW, decision
    candidate = decision.get("candidate")
    went_on = decision["allow"] or decision.get("waived")
    if candidate is not None and went_on and candidate.get("allow") is False:
        yield Why.CANDIDATE, candidate


def _joined(before: Spared, newer: Spared) -> Spared:
    return replace(newer, count=before.count + 1, runs=before.runs | newer.runs, first=before.first)
