"""The effects of a run: each of the agent's own mutations, and what can still be undone."""

from __future__ import annotations

from aiohttp import web

from gateway.core import timestamps
from gateway.core.adapter.catalog import Undo
from gateway.core.codec import records
from gateway.core.rollback import effects
from gateway.http.server import answers, paging, reach
from gateway.http.server.fields import Nothing
from gateway.http.server.requests import ListEffects
from gateway.http.server.route import Asked
from gateway.model.effect import Write


async def list_effects(asked: Asked[ListEffects, Nothing]) -> web.Response:
    """Effects of a run, oldest first; compensations are not among them."""
    run = await reach.run(asked.services.registry, asked.operator, asked.part("run_id"))
    own = [write for write in await asked.services.writes.of_run(run.run_id) if write.rollback_id is None]
    page = paging.within(own, lambda write: str(write.intent), after=asked.query.after, limit=asked.query.limit)
    now, undos = asked.services.clock.now(), asked.services.undos
    rows = [row(write, undos.get((write.tool, write.action)), now=now) for write in page.items]
    return answers.listed(answers.Page(rows, page.next))


def row(write: Write, undo: Undo | None, *, now: float) -> records.Json:
    """One effect as the API shows it; ``why_not`` is there where no call can undo it by itself."""
    can_undo, why_not = effects.reversible_now(write, undo, now)
    target = write.target
    return {
        "intent": str(write.intent),
        "outcome": None if write.outcome is None else str(write.outcome),
        "ts": timestamps.rfc3339(write.at),
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
        "compensation": records.compensation_shown(write.compensation),
        "can_undo": can_undo,
        **({} if why_not is None else {"why_not": why_not}),
    }
