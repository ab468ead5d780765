"""Checkpoints of a run, and resuming it from one."""

from __future__ import annotations

from functools import partial
from operator import attrgetter

import msgspec
from pydantic import Field
from typing_extensions import TypedDict

from gateway.control.runs.checkpoints import NotVerified, UnknownCheckpoint
from gateway.control.runs.resume import CannotResume, NotReady
from gateway.core import limits
from gateway.core.authorization import admission
from gateway.core.codec.record import CHECKPOINT, target_json
from gateway.core.rollback.checkpoints import Chosen
from gateway.http.api import runs
from gateway.http.server import guard, paging, problem
from gateway.http.server.fields import AskedLimits, AskedMode, Body, Count, Id, Name, Page, Paged, Reason, Reasoned, Scopes, Target, shows
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request, Services
from gateway.http.server.routing import Json, Routes
from gateway.model.effect import Write
from gateway.model.rollback import Touched
from gateway.model.run import Mode, Run, SpentLimit

_RESUMED = "What the workflow knows may have been rolled back: read 'resumed' of the run's checkpoints, and continue from that state."
_NARROWER = "A resumed run has its earlier permissions, or fewer; 'excess' lists what is too wide."

STATE_REF = 1024
"""Characters that a reference to a workflow's state may have."""

ROUTES = Routes()


class TakeCheckpoint(Reasoned):
    """A safe boundary to resume a run from. ``state_ref`` says where the workflow's present state is kept: at most 1,024 characters, which
    the journal keeps in plain text.
    """

    state_ref: str = Field(min_length=1, max_length=STATE_REF)
    label: str | None = Field(default=None, min_length=1, max_length=200)
    generation: Count | None = Field(
        default=None, description="the run's generation as the caller knows it; 409 if the run was resumed since"
    )


class ResumeRun(Body):
    """A contained run to be resumed. What is left out stays as the run has it; nothing can become wider."""

    checkpoint: Name | None = Field(default=None, description="a checkpoint's id, an entry `<stream>/<seq>` or `start`")
    scopes: Scopes | None = None
    tools: list[Id] | None = Field(default=None, max_length=200)
    mode: AskedMode | None = None
    limits: AskedLimits = AskedLimits()
    raise_limits: AskedLimits = Field(
        default=AskedLimits(), description="limits to raise, by an admin, up to those of the run's class and parent"
    )
    require_approval: Scopes = Field(default_factory=list, description="writes that need a person's approval")
    reason: Reason

    def request(self) -> admission.ResumeRequest:
        asked = dict(self) | {"limits": self.limits.asked(), "raise_limits": self.raise_limits.asked()}
        asked["mode"] = self.mode and Mode.of(self.mode)
        return msgspec.convert(asked, admission.ResumeRequest)


@shows(Touched)
class TouchedObject(TypedDict):
    """An object that the run changed, the version that it left, and the outcome that proves it."""

    target: Target
    receipt: str


@shows(CHECKPOINT)
class Checkpoint(TypedDict):
    """A place in a run's journal. ``at`` is the newest entry before it; an automatic one was taken by nobody."""

    at: str | None
    objects: list[TouchedObject]
    irreversible: list[str]
    compensations: list[str]


class ResumedState(TypedDict):
    """The state that a resumed run continues from; ``state_ref`` null is its start."""

    generation: int
    state_ref: str | None


class RecoveryPoint(TypedDict):
    """The checkpoint that a resume would choose; ``why`` there is none, or what nobody can know about it."""

    ready: bool
    checkpoint_id: str | None
    why: str | None


class CheckpointPage(Page):
    """Checkpoints, ascending by id, with the newest verified boundary (``automatic``) and where recovery began or would begin."""

    items: list[Checkpoint]
    automatic: Checkpoint | None
    resumed: ResumedState | None
    recovery: RecoveryPoint


class ResumedRun(runs.OpenedRun):
    """The run with its new lease. ``state_ref`` is the workflow's state to begin with; null if none was taken.

    ``warnings`` names each limit that is used up: the run's next write is refused by it.
    """

    checkpoint: Checkpoint
    state_ref: str | None
    warnings: list[str]


def too_wide(wide: admission.TooWide) -> problem.TooWide:
    """The problem of a resumption that asks for more than the run had."""
    return problem.TooWide("; ".join(wide.excess), hint=_NARROWER, excess=wide.excess)


def _not_verified(error: NotVerified) -> problem.NotVerified:
    """The problem, with the effects that prevent the checkpoint."""
    return problem.NotVerified(error, effects=[_show_effect(write) for write in error.effects])


def _show_effect(write: Write) -> Json:
    return {
        "entry": str(write.intent),
        "tool": write.tool,
        "action": write.action,
        "target": target_json(write.target),
        "state": write.state.value,
        "verification": write.verification.value,
    }


@ROUTES.post(
    "/v1/runs/{run_id}/checkpoints",
    Permission.CHECKPOINT,
    {201: Checkpoint, 409: "`not-verified` with the `effects` that prevent it, or `conflict`"},
    {NotVerified: _not_verified},
)
async def take_checkpoint(request: Request, run_id: str, body: TakeCheckpoint) -> Json:
    """Take a checkpoint; every effect of the run must be known and verified."""
    run = await request.run(run_id)
    if body.generation not in (None, run.generation):
        raise problem.Conflict(f"Run {run.run_id} was resumed: it is in generation {run.generation}, not {body.generation}.", hint=_RESUMED)
    taken = await request.services.checkpoints.take(
        run, state_ref=body.state_ref, label=body.label, by=request.operator.name, reason=body.reason or "checkpoint"
    )
    return CHECKPOINT.shown(taken)


@ROUTES.get("/v1/runs/{run_id}/checkpoints", Permission.READ_RUNS, {200: CheckpointPage})
async def list_checkpoints(request: Request, run_id: str, query: Paged) -> Json:
    """List the checkpoints of a run."""
    services, run = request.services, await request.run(run_id)
    fetch = partial(services.checkpoints.records.checkpoints, run.run_id)
    page = await paging.collect(fetch, attrgetter("checkpoint_id"), query)
    automatic = await services.checkpoints.automatic(run)
    return page.json([CHECKPOINT.shown(one) for one in page.rows]) | {
        "automatic": None if automatic is None else CHECKPOINT.shown(automatic),
        "resumed": await _resumed(services, run),
        "recovery": await _recovery(services, run),
    }


@ROUTES.post(
    "/v1/runs/{run_id}/resume",
    Permission.RESUME,
    {
        201: ResumedRun,
        400: "`too-wide` with `excess`, or `bad-request`",
        409: "the run is active or closed, its rollback has not ended, or it is `not-verified` or `not-ready`",
    },
    {
        admission.TooWide: too_wide,
        UnknownCheckpoint: lambda unknown: problem.BadRequest(f"checkpoint: {unknown}"),
        NotVerified: _not_verified,
        NotReady: problem.NotReady,
        CannotResume: problem.Conflict,
    },
)
async def resume_run(request: Request, run_id: str, body: ResumeRun) -> Json:
    """Resume a contained run from a checkpoint, with equal or tighter rights; an admin may raise its limits."""
    services, run, asked = request.services, await request.run(run_id), body.request()
    if asked.raise_limits:
        guard.require(request.operator, Permission.RAISE_LIMITS)
    resumed = await services.resume(run.run_id, asked, by=request.operator.name, reason=body.reason)
    return await runs.with_lease(request, resumed.opened) | {
        "checkpoint": CHECKPOINT.shown(resumed.checkpoint),
        "state_ref": resumed.state_ref,
        "warnings": [_warning(one) for one in resumed.spent],
    }


def _warning(spent: SpentLimit) -> str:
    used, limit = (limits.in_units(spent.name, value) for value in (spent.used, spent.limit))
    return f"{spent.scope} has used {used} of {limit} {spent.name}: the next write is refused as blast-radius."


async def _resumed(services: Services, run: Run) -> ResumedState | None:
    if run.generation == 1:
        return None
    return {"generation": run.generation, "state_ref": await services.checkpoints.state_ref(run, run.resumed_from)}


async def _recovery(services: Services, run: Run) -> RecoveryPoint:
    match await services.checkpoints.choose(run):
        case Chosen(checkpoint, caution):
            return {"ready": True, "checkpoint_id": checkpoint.checkpoint_id, "why": caution}
        case not_ready:
            return {"ready": False, "checkpoint_id": None, "why": not_ready.why}
