"""The effects of a run: each of the agent's own mutations, and what can still be undone."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from gateway.core import timestamps
from gateway.core.adapter.catalog import Undo
from gateway.core.codec.record import compensation_shown, target_json
from gateway.core.rollback import effects
from gateway.http.server import paging
from gateway.http.server.fields import Limit, Page, Paged, Target, Timestamp
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request
from gateway.http.server.routing import Json, Routes
from gateway.model.call import Remedy, Reversibility
from gateway.model.effect import KnownBy, State, Write
from gateway.model.entry import Verification

ROUTES = Routes()


class ListEffects(Paged):
    limit: Limit = 1000


Compensation = TypedDict("Compensation", {"class": Reversibility, "type": Remedy, "auto": bool, "allowed_until": Timestamp | None})


class Undoable(TypedDict):
    """What can be undone, and how; ``why_not`` is present only if no call can undo it. ``known_by`` is how it is known that it was applied;
    ``state`` is by the object's state alone, which somebody else may have made.
    """

    tool: str
    action: str
    state: State
    verification: Verification
    pending: bool
    known_by: KnownBy | None
    after_ref: str | None
    compensation: Compensation
    can_undo: bool
    why_not: NotRequired[str]


class Effect(Undoable):
    """One mutation that the run made. Refs are ``<system>:<type>:<id>:<version>``; ``why_not`` is present only if no call can undo it."""

    intent: str
    outcome: str | None
    ts: Timestamp
    step_id: str
    target: Target
    status: int | None
    before_ref: str | None
    idempotency_key: str
    attempt: int


class EffectPage(Page):
    """Effects, oldest first, without compensations."""

    items: list[Effect]


@ROUTES.get("/v1/runs/{run_id}/effects", Permission.READ_RUNS, {200: EffectPage})
async def list_effects(request: Request, run_id: str, query: ListEffects) -> Json:
    """What the run changed, and what can still be undone."""
    services, run = request.services, await request.run(run_id)
    own = [write for write in await services.writes.of_run(run.run_id) if write.rollback_id is None]
    page = paging.slice_rows(own, lambda write: str(write.intent), query)
    now = services.clock.now()
    return page.json([row(write, services.undos.get((write.tool, write.action)), now=now) for write in page.rows])


def row(write: Write, undo: Undo | None, *, now: float) -> Json:
    """One effect as the API shows it; ``why_not`` is present if no call can undo it."""
    why_not = effects.why_not_alone(write, undo, now)
    target = write.target
    return {
        "intent": str(write.intent),
        "outcome": None if write.outcome is None else str(write.outcome),
        "ts": timestamps.rfc3339(write.at),
        "step_id": write.step_id,
        "tool": write.tool,
        "action": write.action,
        "target": target_json(target),
        "state": write.state.value,
        "status": write.status,
        "verification": write.verification.value,
        "pending": write.pending,
        "known_by": None if write.known_by is None else write.known_by.value,
        "before_ref": None if write.before_version is None else target.ref(write.before_version),
        "after_ref": None if write.after_version is None else target.ref(write.after_version),
        "idempotency_key": write.wire_key,
        "attempt": write.attempt,
        "compensation": compensation_shown(write.compensation),
        "can_undo": why_not is None,
        **({} if why_not is None else {"why_not": why_not}),
    }
