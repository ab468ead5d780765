"""Runs: open, list, show, renew the lease, close; and report a finding about one."""

from __future__ import annotations

import heapq
from functools import partial
from operator import attrgetter
from typing import Annotated, Any, NotRequired

import msgspec
from aiohttp import web
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from gateway import errors
from gateway.control.containment.scope_lookup import holds
from gateway.control.review import findings
from gateway.control.runs.runs import LeasedRun, OtherRun, UnknownClass
from gateway.core import timestamps
from gateway.core.authorization import admission
from gateway.core.codec.record import ORDER, RUN, run_shown
from gateway.http.api.orders import HeldScope
from gateway.http.server import paging, problem, routing
from gateway.http.server.fields import AskedLimits, AskedMode, Duration, Id, ModeName, Name, Page, Paged, Reasoned, Scopes, Timestamp, shows
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request, Services
from gateway.http.server.routing import Json, Routes
from gateway.model import run as model

ROUTES = Routes()

_HOLDING = 50
"""The most orders that a run's document names."""


class OpenRun(Reasoned):
    """A run to open under a task class, never wider than it or than its parent."""

    tenant: Id
    agent_id: Name
    task_class: Id = "default"
    scopes: Scopes
    tools: list[Id] | None = Field(default=None, max_length=200)
    mode: AskedMode = "active"
    ttl: Duration | None = None
    run_id: Id | None = None
    workflow_id: Id | None = None
    parent_run: Id | None = None
    limits: AskedLimits = AskedLimits()

    def request(self) -> admission.RunRequest:
        asked = dict(self) | {"mode": model.Mode.of(self.mode), "limits": self.limits.asked()}
        return msgspec.convert(asked, admission.RunRequest)


class ListRuns(Paged):
    tenant: Id | None = None
    agent: Name | None = None
    mode: AskedMode | None = Field(default=None, description="the effective mode")
    parent: Id | None = None


class RenewLease(Reasoned):
    """A new lease of the same generation."""

    ttl: Duration | None = None


class CloseRun(Reasoned):
    """Why the run ends, for the journal."""


class ReportFinding(Reasoned):
    """What a verifier proved about a run's state. ``evidence`` is sealed; at most 16 KiB of it are taken."""

    kind: Id
    severity: Annotated[Id, AfterValidator(str.lower)] = Field(description="`critical`, or a lesser word such as `high`: policy weighs it")
    evidence: dict[str, Any]


@shows(model.Limits)
class RunLimits(TypedDict, total=False):
    """Limits of a run, those that it has; amounts in units."""

    rate: str
    amount: dict[str, float]


class HoldingOrder(TypedDict):
    """An order that holds a run: by the run's name, an ancestor's, or a wider scope. ``scope``, ``reason`` and ``by`` are null if this
    token may not see the order.
    """

    order_id: str
    mode: ModeName
    no_fanout: bool
    scope: HeldScope | None
    reason: str | None
    by: str | None
    since: Timestamp
    expires_at: Timestamp | None


@shows(RUN)
class Run(TypedDict):
    """A run under its effective mode; ``counters`` is what it has used, ``held_by`` the orders that hold it, the strictest first (at most
    50). ``require_approval`` is there once it was resumed.
    """

    mode: ModeName
    held_by: list[HoldingOrder]
    limits: RunLimits
    counters: dict[str, float]
    require_approval: NotRequired[list[str]]


class RunPage(Page):
    """Runs, ascending by id."""

    items: list[Run]


class OpenedRun(TypedDict):
    """The run with its lease, the token that its agent presents. ``expires_at`` is the lease's end."""

    run: Run
    lease: str
    expires_at: Timestamp


class ReportedFinding(TypedDict):
    """The finding is journaled and what it set off is answered: an order that was made holds. ``about`` are the entries it names."""

    finding_id: str
    entry: str
    about: list[str]
    incident_id: NotRequired[str]


@ROUTES.post(
    "/v1/runs",
    Permission.OPEN_RUNS,
    {201: OpenedRun, 200: OpenedRun, 400: "`too-wide` with `excess`, or `bad-request`", 409: "the id belongs to another run"},
    {
        UnknownClass: lambda unknown: problem.BadRequest(f"task_class: {unknown}"),
        admission.TooWide: lambda wide: problem.TooWide("; ".join(wide.excess), excess=wide.excess),
        OtherRun: problem.Conflict,
    },
)
async def open_run(request: Request, body: OpenRun) -> web.Response:
    """Open a run, never wider than its class and its parent: 201; 200 if this request opened it before."""
    services = request.services
    request.require(body.tenant, body.task_class)
    if body.parent_run is not None:
        await request.run(body.parent_run)
    opened = await services.runs.open(body.request(), by=request.operator.name, reason=body.reason or "opened")
    return routing.json_response(await with_lease(request, opened), 201 if opened.new else 200)


@ROUTES.get("/v1/runs", Permission.READ_RUNS, {200: RunPage})
async def list_runs(request: Request, query: ListRuns) -> Json:
    """List runs."""
    services = request.services

    async def keep(run: model.Run) -> bool:
        return query.mode in (None, _mode(services, run).label) and await request.sees(run)

    fetch = partial(services.registry.runs, tenant=query.tenant, agent=query.agent, parent=query.parent)
    page = await paging.collect(fetch, attrgetter("run_id"), query, keep, sees=request.sees)
    return page.json([await _show(request, run) for run in page.rows])


@ROUTES.get("/v1/runs/{run_id}", Permission.READ_RUNS, {200: Run})
async def show_run(request: Request, run_id: str) -> Json:
    """One run, with its effective mode and its counters."""
    return await _show(request, await request.run(run_id))


@ROUTES.post("/v1/runs/{run_id}/lease", Permission.RENEW_LEASES, {200: OpenedRun, 403: "the run is contained or has ended"})
async def renew_lease(request: Request, run_id: str, body: RenewLease) -> Json:
    """Renew a run's lease."""
    await request.run(run_id)
    renewed = await request.services.runs.renew(run_id, ttl=body.ttl, by=request.operator.name, reason=body.reason or "renewed")
    return await with_lease(request, renewed)


@ROUTES.post("/v1/runs/{run_id}/close", Permission.CLOSE_RUNS, {200: Run})
async def close_run(request: Request, run_id: str, body: CloseRun) -> Json:
    """End a run, and its leases with it."""
    await request.run(run_id)
    try:
        closed = await request.services.runs.close(run_id, by=request.operator.name, reason=body.reason or "closed")
    except errors.JournalUnavailable as down:
        detail = f"Run {run_id} is ended on this node now, but that is not durable: the journal cannot be written ({down.detail})"
        raise errors.JournalUnavailable(detail) from down
    return await _show(request, closed)


@ROUTES.post(
    "/v1/runs/{run_id}/findings",
    Permission.REPORT_FINDINGS,
    {201: ReportedFinding},
    {findings.TooMuchEvidence: lambda much: problem.BadRequest(f"evidence: {much}")},
)
async def report_finding(request: Request, run_id: str, body: ReportFinding) -> ReportedFinding:
    """Report that the run's state is unsafe, with evidence. Also for a closed run: its effects may still be unsafe."""
    run = await request.run(run_id)
    finding = findings.Finding(kind=body.kind, severity=body.severity, evidence=body.evidence, by=request.operator.name, reason=body.reason)
    reported = await request.services.findings.report(run, finding)
    answer: ReportedFinding = {"finding_id": reported.finding_id, "entry": reported.entry, "about": [str(one) for one in reported.about]}
    if reported.incident_id is not None:
        answer["incident_id"] = reported.incident_id
    return answer


async def with_lease(request: Request, opened: LeasedRun) -> Json:
    """A run and its new lease."""
    return {"run": await _show(request, opened.run), "lease": opened.lease, "expires_at": timestamps.rfc3339(opened.run.expires_at)}


async def _show(request: Request, run: model.Run) -> Json:
    """A run as the API shows it, under its effective mode."""
    services = request.services
    counters = await services.registry.counters(f"run:{run.run_id}")
    shown = run_shown(run, counters, _mode(services, run).label)
    return shown | {"held_by": [await _holding(request, order) for order in _strictest(services, run)]}


def _strictest(services: Services, run: model.Run) -> list[model.Order]:
    found = [one for one in services.containment.replica.standing.of(run, now=services.clock.now()) if holds(one, run)]
    return heapq.nsmallest(_HOLDING, found, key=lambda order: (-order.mode, order.order_id))


async def _holding(request: Request, order: model.Order) -> Json:
    shown = ORDER.shown(order)
    visible = await request.sees(order.scope)
    own = {name: shown[name] if visible else None for name in ("scope", "reason", "by")}
    kept = {name: shown[name] for name in ("order_id", "mode", "no_fanout", "expires_at")}
    return {**kept, **own, "since": shown["created_at"]}


def _mode(services: Services, run: model.Run) -> model.Mode:
    # A closed run's leases are dead on the replica, which is no order: closed_at says that it ended.
    if run.closed_at is not None:
        return services.containment.replica.standing.hold(run, None, now=services.clock.now()).mode
    return services.runs.mode(run)
