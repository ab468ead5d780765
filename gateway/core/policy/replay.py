"""Deciding again: from a journal entry back to the document that policy was asked on, and what another answer would have meant."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
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
