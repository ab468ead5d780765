"""The effects of a run: each of the agent's own mutations, and what can still be undone."""

from __future__ import annotations

from aiohttp import web

from gateway.core import records, stamp
from gateway.http import answers, paging, reach
from gateway.http.fields import Nothing
from gateway.http.requests import ListEffects
from gateway.http.route import Asked
from gateway.model.action import Compensation
from gateway.model.effect import State, Write


async def list_effects(asked: Asked[ListEffects, Nothing]) -> web.Response:
    """Effects of a run, oldest first; compensations are not among them."""
    run = await reach.run(asked.services.registry, asked.operator, asked.part("run_id"))
    own = [write for write in await asked.services.writes.of_run(run.run_id) if write.rollback_id is None]
    page = paging.within(own, lambda write: str(write.intent), after=asked.query.after, limit=asked.query.limit)
    now = asked.services.clock.now()
    return answers.listed(answers.Page([row(write, now=now) for write in page.items], page.next))


def row(write: Write, *, now: float) -> records.Json:
    """One effect as the API shows it; ``why_not`` is there where it cannot be undone."""
    why_not = _why_not(write, now)
    target = write.target
    return {
        "intent": str(write.intent),
        "outcome": None if write.outcome is None else str(write.outcome),
        "ts": stamp.rfc3339(write.at),
        "step_id": write.step_id,
        "tool": write.tool,
        "action": write.action,
        "target": {"system": target.system, "type": target.type, "id": target.id, "tenant": target.tenant},
        "state": write.state.value,
        "status": write.status,
        "verification": write.verification.value,
        "before_ref": None if write.before_version is None else target.ref(write.before_version),
        "after_ref": None if write.after_version is None else target.ref(write.after_version),
        "idempotency_key": write.wire_key,
        "attempt": write.attempt,
        "compensation": _compensation(write.compensation),
        "can_undo": why_not is None,
        **({} if why_not is None else {"why_not": why_not}),
    }


def _compensation(value: Compensation) -> records.Json:
    until = value.allowed_until
    return {
        "class": value.reversibility.value,
        "type": value.remedy.value,
        "auto": value.automatic,
        "allowed_until": None if until is None else stamp.rfc3339(until),
    }


def _why_not(write: Write, now: float) -> str | None:
    if write.state is not State.STANDING:
        return _NOT_STANDING[write.state]
    if not write.compensation.remedy.by_action:
        return f"a person has to do it ({write.compensation.remedy.value})"
    until = write.compensation.allowed_until
    if until is not None and until <= now:
        return f"the time for it ended at {stamp.rfc3339(until)}"
    return None


_NOT_STANDING = {
    State.IN_FLIGHT: "it is still in flight",
    State.FAILED: "it was not applied",
    State.UNKNOWN: "it is not known whether it was applied",
    State.COMPENSATED: "it was undone already",
}
