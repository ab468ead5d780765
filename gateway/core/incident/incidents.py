"""How an incident begins, and how what is detected later joins it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gateway.core.codec import entry as codec
from gateway.core.triggers.window import ends
from gateway.model.rollback import Rollback
from gateway.model.run import Mode, Order, Run, Scope
from gateway.model.trigger import Incident, Measure, Response, RollbackState, Trigger

EVIDENCE = 50
"""Positions an incident names: the first and the latest."""

UNDER_WAY = (RollbackState.DUE, RollbackState.RUNNING, RollbackState.NEEDS_OPERATOR)
"""The states of a rollback that has not ended."""

_STRICTER = tuple(Measure)
"""Measures as they are declared: each takes more away than the one before."""


def open_incident(incident_id: str, run: Run, generation: int, trigger: Trigger, response: Response, *, now: float) -> Incident:
    """The incident that a trigger opens by its response."""
    return Incident(
        incident_id=incident_id,
        **codec.ownership(run, generation),
        cause=trigger.name,
        opened_at=now,
        updated_at=now,
        evidence=trigger.evidence,
        action=response.action,
        verdict=response.verdict,
        why=response.why,
        rollback=RollbackState.DUE if response.rollback else RollbackState.NONE,
    )


def add_trigger(incident: Incident, trigger: Trigger, response: Response, *, stands: bool, times: int, now: float) -> Incident:
    """The incident with ``times`` more triggers of its cause, the latest of them answered by ``response``.

    While an order of the incident ``stands``, a milder response says nothing new about it: the run is held as before.
    """
    due = response.rollback and incident.rollback is RollbackState.NONE
    counted = replace(
        incident,
        updated_at=now,
        triggers=incident.triggers + times,
        evidence=tuple(ends((*incident.evidence, *trigger.evidence), EVIDENCE)),
        rollback=RollbackState.DUE if due else incident.rollback,
    )
    if stands and _STRICTER.index(response.action) < _STRICTER.index(incident.action):
        return counted
    return replace(counted, action=response.action, verdict=response.verdict, why=response.why)


def with_rollback(incident: Incident | None, rollback: Rollback, now: float) -> Incident | None:
    """The incident that a rollback is for, as the rollback leaves it."""
    if incident is None:
        return None
    return replace(incident, rollback=RollbackState(rollback.status.value), rollback_id=rollback.rollback_id, updated_at=now)


def merge_entry(known: Incident | None, said: Incident, change: str) -> Incident:
    """An incident after an entry about it. Each ``change`` sets only its own members: the author of the entry may have read the others
    before a concurrent entry.
    """
    if known is None:
        return said
    match change:
        case "opened" | "updated":
            due = said.rollback if known.rollback is RollbackState.NONE else known.rollback
            return replace(said, rollback=due, rollback_id=known.rollback_id, closed_at=known.closed_at, recovery=known.recovery)
        case "recover":
            return replace(known, recovery=said.recovery, updated_at=said.updated_at)
        case "closed":
            return replace(known, closed_at=said.closed_at, updated_at=said.updated_at)
        case _:
            return replace(known, rollback=said.rollback, rollback_id=said.rollback_id, updated_at=said.updated_at)


def closing_reason(incident: Incident, run: Run) -> str | None:
    """Why an incident should be closed now; ``None`` if it should stay open.

    An incident about a run that was closed before stays open until a person acknowledges it (requests its recovery), and until its
    rollback has ended.
    """
    if run.generation > incident.generation:
        return "the run was resumed"
    if run.closed_at is None:
        return None
    if incident.opened_at < run.closed_at:
        return "the run was closed"
    return None if incident.recovery is None or incident.rollback in UNDER_WAY else "the run was closed before"


def sufficient_order(orders: Sequence[Order], scope: Scope, response: Response) -> Order | None:
    """The order among those that stand which does already what the response asks for; ``None`` if one has to be made."""
    return next((order for order in orders if order.scope == scope and _enough(order, response.action)), None)


def _enough(order: Order, action: Measure) -> bool:
    if action is Measure.NO_FANOUT:
        return order.no_fanout or order.mode > Mode.ACTIVE
    return action.mode is not None and order.mode >= action.mode
