"""Runs: open, list, look at, renew, end."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from gateway import errors
from gateway.control.runs.runs import Opened, OtherRun, UnknownClass
from gateway.core import timestamps
from gateway.core.authorization import admission
from gateway.core.codec import records
from gateway.http.server import answers, paging, problem, reach
from gateway.http.server.fields import Nothing
from gateway.http.server.requests import AskedLimits, Because, ListRuns, OpenRun, RenewLease
from gateway.http.server.route import Asked
from gateway.http.server.services import Services
from gateway.model.run import Mode, Run


async def open_run(asked: Asked[Nothing, OpenRun]) -> web.Response:
    """Open a run: 201, or 200 where this request opened it before."""
    body, services = asked.body, asked.services
    if not asked.operator.may_touch(body.tenant, body.task_class):
        raise problem.Forbidden(f"This token does not reach tenant {body.tenant} under task class {body.task_class}.")
    if body.parent_run is not None:
        await reach.run(services.registry, asked.operator, body.parent_run)
    try:
        opened = await services.runs.open(_request(body), by=asked.operator.name, reason=body.reason or "opened")
    except UnknownClass as unknown:
        raise problem.BadRequest(f"task_class: {unknown}") from unknown
    except admission.TooWide as wide:
        raise problem.TooWide("; ".join(wide.excess), excess=wide.excess) from wide
    except OtherRun as other:
        raise problem.Conflict(str(other)) from other
    return await _with_lease(services, opened, 201 if opened.new else 200)


async def list_runs(asked: Asked[ListRuns, Nothing]) -> web.Response:
    """Runs, ascending by id."""
    query, services = asked.query, asked.services

    async def fetch(after: str | None, limit: int) -> Sequence[Run]:
        return await services.registry.runs(tenant=query.tenant, agent=query.agent, parent=query.parent, after=after, limit=limit)

    async def keep(run: Run) -> bool:
        return asked.operator.may_touch(run.tenant, run.task_class) and query.mode in (None, _mode(services, run).word)

    page = await paging.collect(fetch, lambda run: run.run_id, keep, after=query.after, limit=query.limit)
    return answers.listed(answers.Page([await shown(services, run) for run in page.items], page.next))


async def one_run(asked: Asked[Nothing, Nothing]) -> web.Response:
    """One run, as it is now."""
    run = await reach.run(asked.services.registry, asked.operator, asked.part("run_id"))
    return answers.json(await shown(asked.services, run))


async def renew_lease(asked: Asked[Nothing, RenewLease]) -> web.Response:
    """A new lease of the same generation."""
    run = await reach.run(asked.services.registry, asked.operator, asked.part("run_id"))
    renewed = await asked.services.runs.renew(run.run_id, ttl=asked.body.ttl, by=asked.operator.name, reason=asked.body.reason or "renewed")
    return await _with_lease(asked.services, renewed, 200)


async def close_run(asked: Asked[Nothing, Because]) -> web.Response:
    """End a run, and its leases with it."""
    run = await reach.run(asked.services.registry, asked.operator, asked.part("run_id"))
    try:
        closed = await asked.services.runs.close(run.run_id, by=asked.operator.name, reason=asked.body.reason or "closed")
    except errors.JournalUnavailable as down:
        detail = f"Run {run.run_id} is ended on this node now, but that is not durable: the journal cannot be written ({down.detail})"
        raise errors.JournalUnavailable(detail) from down
    return answers.json(await shown(asked.services, closed))


async def shown(services: Services, run: Run) -> records.Json:
    """A run as the API shows it, under its effective mode."""
    counters = await services.registry.counters(f"run:{run.run_id}")
    return records.run_shown(run, counters, _mode(services, run).word)


def _mode(services: Services, run: Run) -> Mode:
    # A closed run's leases are dead on the mirror, which is no order: closed_at says that it ended.
    if run.closed_at is not None:
        return services.containment.mirror.standing.hold(run, None, now=services.clock.now()).mode
    return services.runs.mode(run)


async def _with_lease(services: Services, opened: Opened, status: int) -> web.Response:
    answer = {"run": await shown(services, opened.run), "lease": opened.lease, "expires_at": timestamps.rfc3339(opened.run.expires_at)}
    return answers.json(answer, status)


def _request(body: OpenRun) -> admission.Request:
    return admission.Request(
        tenant=body.tenant,
        agent_id=body.agent_id,
        task_class=body.task_class,
        scopes=tuple(body.scopes),
        tools=None if body.tools is None else tuple(body.tools),
        mode=Mode.of(body.mode),
        ttl=body.ttl,
        run_id=body.run_id,
        workflow_id=body.workflow_id,
        parent_run=body.parent_run,
        limits=asked_limits(body.limits),
    )


def asked_limits(limits: AskedLimits) -> dict[str, object]:
    """Only what was asked for; null asks for nothing."""
    return {name: value for name in AskedLimits.model_fields if (value := getattr(limits, name)) not in (None, {})}
