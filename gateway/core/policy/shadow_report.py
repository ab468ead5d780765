"""What policy would have stopped and did not: denials waived in shadow mode, and denials of a candidate that is only watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any



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
