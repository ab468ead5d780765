"""Taking a contained run up again."""

from __future__ import annotations

from aiohttp import web

from gateway.control.runs.checkpoints import NotVerified, UnknownCheckpoint
from gateway.control.runs.resume import CannotResume, NotReady
from gateway.core import timestamps
from gateway.core.authorization import admission, resumption
from gateway.core.codec import records
from gateway.http.api import checkpoints, runs
from gateway.http.server import answers, problem, reach
from gateway.http.server.fields import Nothing
from gateway.http.server.requests import ResumeRun
from gateway.http.server.route import Asked
from gateway.model.run import Mode


async def resume(asked: Asked[Nothing, ResumeRun]) -> web.Response:
    """Resume: 201 with the run, its new lease and the checkpoint it goes on from."""
    services, body = asked.services, asked.body
    run = await reach.run(services.registry, asked.operator, asked.part("run_id"))
    try:
        gone_on = await services.resume(run.run_id, request(body), by=asked.operator.name, reason=body.reason)
    except admission.TooWide as wide:
        raise too_wide(wide) from wide
    except UnknownCheckpoint as unknown:
        raise problem.BadRequest(f"checkpoint: {unknown}") from unknown
    except NotVerified as standing:
        raise checkpoints.unverified(standing) from standing
    except NotReady as why:
        raise problem.NotReady(str(why)) from why
    except CannotResume as wrong:
        raise problem.Conflict(str(wrong)) from wrong
    opened = gone_on.opened
    answer = {
        "run": await runs.shown(services, opened.run),
        "lease": opened.lease,
        "expires_at": timestamps.rfc3339(opened.run.expires_at),
        "checkpoint": records.checkpoint_shown(gone_on.checkpoint),
        "state_ref": gone_on.state_ref,
    }
    return answers.json(answer, 201)


def too_wide(wide: admission.TooWide) -> problem.TooWide:
    return problem.TooWide("; ".join(wide.excess), hint=_NARROWER, excess=wide.excess)


_NARROWER = "A resumed run has what it had, or less: ask for no more than that; 'excess' names what is too wide."


def request(body: ResumeRun) -> resumption.Request:
    """What a body asks for."""
    return resumption.Request(
        checkpoint=body.checkpoint,
        scopes=None if body.scopes is None else tuple(body.scopes),
        tools=None if body.tools is None else tuple(body.tools),
        mode=None if body.mode is None else Mode.of(body.mode),
        limits=runs.asked_limits(body.limits),
        require_approval=tuple(body.require_approval),
    )
