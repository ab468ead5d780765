"""Checkpoints: take one, list those of a run."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from gateway.control.runs.checkpoints import NotVerified
from gateway.core.codec import records
from gateway.core.rollback.checkpoints import Chosen
from gateway.http.server import answers, paging, problem, reach
from gateway.http.server.fields import Nothing
from gateway.http.server.requests import ListCheckpoints, TakeCheckpoint
from gateway.http.server.route import Asked
from gateway.http.server.services import Services
from gateway.model.checkpoint import Checkpoint
from gateway.model.effect import Write
from gateway.model.run import Run

_RESUMED = "What the workflow knows may have been taken back: read 'resumed' of the run's checkpoints, and go on from that state."

STATE_REF = 1024
"""Bytes of UTF-8 that a reference to a workflow's state may have."""


async def take(asked: Asked[Nothing, TakeCheckpoint]) -> web.Response:
    """Take a checkpoint: 201; 409 while what the run did is not all known and verified."""
    run = await reach.run(asked.services.registry, asked.operator, asked.part("run_id"))
    body = asked.body
    if len(body.state_ref.encode()) > STATE_REF:
        raise problem.BadRequest(f"state_ref: is longer than {STATE_REF} bytes; keep the state elsewhere and say where")
    if body.generation not in (None, run.generation):
        raise problem.Conflict(f"Run {run.run_id} was resumed: it is in generation {run.generation}, not {body.generation}.", hint=_RESUMED)
    try:
        taken = await asked.services.checkpoints.take(
            run, state_ref=body.state_ref, label=body.label, by=asked.operator.name, reason=body.reason or "checkpoint"
        )
    except NotVerified as standing:
        raise unverified(standing) from standing
    return answers.json(records.checkpoint_shown(taken), 201)


async def list_checkpoints(asked: Asked[ListCheckpoints, Nothing]) -> web.Response:
    """Checkpoints that were taken of a run, ascending by id; the newest automatic one; where recovery began, or would begin."""
    services, query = asked.services, asked.query
    run = await reach.run(services.registry, asked.operator, asked.part("run_id"))

    async def fetch(after: str | None, limit: int) -> Sequence[Checkpoint]:
        return await services.checkpoints.records.checkpoints(run.run_id, after=after, limit=limit)

    async def keep(_: Checkpoint) -> bool:
        return True

    page = await paging.collect(fetch, lambda one: one.checkpoint_id, keep, after=query.after, limit=query.limit)
    automatic = await services.checkpoints.automatic(run)
    listed: dict[str, object] = {"items": [records.checkpoint_shown(one) for one in page.items], "next": page.next}
    listed["automatic"] = None if automatic is None else records.checkpoint_shown(automatic)
    return answers.json(listed | {"resumed": await _resumed(services, run), "recovery": await _recovery(services, run)})


def unverified(standing: NotVerified) -> problem.NotVerified:
    """The problem, with the effects that stand against a place."""
    return problem.NotVerified(str(standing), effects=[_effect(write) for write in standing.effects])


async def _resumed(services: Services, run: Run) -> dict[str, object] | None:
    if run.generation == 1:
        return None
    return {"generation": run.generation, "state_ref": await services.checkpoints.resumed_with(run)}


async def _recovery(services: Services, run: Run) -> dict[str, object]:
    match await services.checkpoints.choose(run):
        case Chosen(checkpoint, caution):
            return {"ready": True, "checkpoint_id": checkpoint.checkpoint_id, "why": caution}
        case not_ready:
            return {"ready": False, "checkpoint_id": None, "why": not_ready.why}


def _effect(write: Write) -> dict[str, object]:
    return {
        "entry": str(write.intent),
        "tool": write.tool,
        "action": write.action,
        "target": records.target_json(write.target),
        "state": write.state.value,
        "verification": write.verification.value,
    }
