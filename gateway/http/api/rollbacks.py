"""Rollbacks: plan one, start it, watch it node by node, stop it, continue it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, NotRequired

from aiohttp import web
from msgspec.structs import asdict
from pydantic import Field
from typing_extensions import TypedDict

from gateway.control.rollback.execution import RollbackView
from gateway.control.rollback.scope import Busy, NotContained, WrongRollback
from gateway.core import timestamps
from gateway.core.codec import record
from gateway.core.codec.record import ROLLBACK, rollback_shown
from gateway.core.rollback import plan_views, progress
from gateway.http.server import paging, problem, routing
from gateway.http.server.fields import Body, Id, Name, Page, PagedByRun, Query, Reason, Reasoned, Target, Timestamp, names, rules, shows
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request, found
from gateway.http.server.routing import Json, Refusals, Routes
from gateway.model import rollback as model
from gateway.model.effect import Write
from gateway.model.rollback import Node, NodeState, Plan
from gateway.model.run import Scope

_UNCHANGED: Refusals = {NotContained: problem.Conflict, WrongRollback: problem.Conflict}

ROUTES = Routes()


class RollbackScope(Body):
    """A run; with ``subtree``, and all that it started."""

    run: Id
    subtree: bool = False


class StartRollback(Reasoned):
    """Roll back what a run did since its start, a checkpoint or an entry. ``dry_run`` only plans, and needs no reason."""

    model_config = rules({"if": {"required": ["dry_run"], "properties": {"dry_run": {"const": True}}}, "else": names("reason")})

    scope: RollbackScope
    to: Name = Field(default="start", description="`start`, a checkpoint's id, or an entry `<stream>/<seq>`")
    dry_run: bool = False


class ListRollbacks(PagedByRun):
    state: model.RollbackStatus | None = None


class ShowRollback(Query):
    nodes: bool = Field(default=True, description="false omits the nodes")


class ChangeRollback(Body):
    """The reason, for the journal."""

    reason: Reason


@shows(ROLLBACK)
class Rollback(TypedDict):
    """A rollback. ``residue`` is a sentence for everything that was not rolled back, or is not as it should be."""

    state: model.RollbackStatus


class RollbackPage(Page):
    """Rollbacks, ascending by id."""

    items: list[Rollback]


@shows(Node)
class PlannedNode(TypedDict):
    """What is done about some effects on one object; what does not apply is absent."""

    target: Target


class RollbackNode(PlannedNode):
    """A node of a rollback: how it is, and ``entries``, the positions of the calls that were made for it."""

    state: NodeState
    entries: list[str]
    seen: NotRequired[str | None]
    task_id: NotRequired[str]
    approval_id: NotRequired[str]
    request: NotRequired[dict[str, Any]]
    retriable: NotRequired[bool]
    waits_since: NotRequired[Timestamp]
    retry_at: NotRequired[Timestamp]


class RollbackPlan(TypedDict):
    """For a ``dry_run``: the plan. ``progress`` counts the nodes, all and by state."""

    dry_run: bool
    scope: RollbackScope
    to: str
    summary: str
    irreversible: bool
    progress: dict[str, int]
    nodes: list[PlannedNode]
    joins: dict[str, list[str]]


class RollbackDetail(Rollback):
    """A rollback and its plan, node by node. ``unseen`` names what was rolled back and cannot be looked at for now."""

    summary: str
    irreversible: bool
    progress: dict[str, int]
    unseen: list[str]
    nodes: NotRequired[list[RollbackNode]]
    joins: NotRequired[dict[str, list[str]]]


@ROUTES.post(
    "/v1/rollbacks",
    Permission.ROLL_BACK,
    {202: Rollback, 200: RollbackPlan, 409: "the scope is not contained"},
    {Busy: problem.Conflict, WrongRollback: problem.BadRequest},
    also=plan_views.MEDIA_TYPE,
)
async def roll_back(request: Request, body: StartRollback) -> Json | web.Response:
    """Roll back what a contained run did, or (`dry_run`) plan it; for `Accept: text/vnd.mermaid` as a flowchart."""
    scope = body.scope
    await request.run(scope.run)
    if not await request.sees(Scope(run=scope.run, subtree=scope.subtree)):
        raise problem.Forbidden("A rollback of this scope would go beyond this token's tenants and task classes.")
    try:
        return await _dry_run(request, body) if body.dry_run else await _begin(request, body)
    except NotContained as error:
        below = " --subtree" if scope.subtree else ""
        hint = f"Contain it first: killcord contain --run {scope.run}{below} --mode quarantined --reason ..."
        raise problem.Conflict(error, hint=hint) from error


async def _dry_run(request: Request, body: StartRollback) -> web.Response:
    plan = await request.services.rollbacks.dry_run(body.scope.run, subtree=body.scope.subtree, to=body.to)
    return await _flowchart(plan, {}) if _wants_mermaid(request) else routing.json_response(await asyncio.to_thread(_show_plan, plan, body))


async def _begin(request: Request, body: StartRollback) -> Json:
    if body.reason is None:
        raise problem.BadRequest("reason: is missing; write why you roll back the run")
    begun = await request.services.rollbacks.start(
        body.scope.run, subtree=body.scope.subtree, to=body.to, reason=body.reason, by=request.operator.name
    )
    return rollback_shown(begun)


@ROUTES.get("/v1/rollbacks", Permission.READ_ROLLBACKS, {200: RollbackPage})
async def list_rollbacks(request: Request, query: ListRollbacks) -> Json:
    """List rollbacks, ended ones too."""

    async def sees(rollback: model.Rollback) -> bool:
        return await request.sees(_scope(rollback))

    async def keep(rollback: model.Rollback) -> bool:
        return query.state in (None, rollback.status) and await sees(rollback)

    fetch = partial(request.services.rollback_records.rollbacks, run=query.run)
    page = await paging.collect(fetch, attrgetter("rollback_id"), query, keep, sees=sees)
    return page.json([rollback_shown(one) for one in page.rows])


@ROUTES.get("/v1/rollbacks/{rollback_id}", Permission.READ_ROLLBACKS, {200: RollbackDetail}, also=plan_views.MEDIA_TYPE)
async def show_rollback(request: Request, rollback_id: str, query: ShowRollback) -> Json | web.Response:
    """One rollback, node by node; for `Accept: text/vnd.mermaid` as a flowchart."""
    services = request.services
    await _find(request, rollback_id)
    try:
        view = await services.rollbacks.view(rollback_id)
    except (KeyError, WrongRollback) as gone:
        raise problem.Conflict("The plan can no longer be read; the journal still contains what was done.") from gone
    if _wants_mermaid(request):
        return await _flowchart(view.plan, view.states)
    tried = await services.rollback_records.compensations(rollback_id) if query.nodes else None
    # In a thread: a plan can have very many nodes, and calls of agents do not wait for its rows.
    return await asyncio.to_thread(_show, view, tried, services.clock.now() - services.clock.monotonic())


@ROUTES.post("/v1/rollbacks/{rollback_id}/stop", Permission.ROLL_BACK, {200: Rollback, 409: "it has ended"}, _UNCHANGED)
async def stop_rollback(request: Request, rollback_id: str, body: ChangeRollback) -> Json:
    """Stop a rollback: it sends nothing more."""
    await _find(request, rollback_id)
    return rollback_shown(await request.services.rollbacks.stop(rollback_id, reason=body.reason, by=request.operator.name))


@ROUTES.post("/v1/rollbacks/{rollback_id}/continue", Permission.ROLL_BACK, {200: Rollback, 409: "it cannot continue"}, _UNCHANGED)
async def continue_rollback(request: Request, rollback_id: str, body: ChangeRollback) -> Json:
    """Continue a rollback that was stopped, or that waited for a person."""
    await _find(request, rollback_id)
    return rollback_shown(await request.services.rollbacks.resume(rollback_id, reason=body.reason, by=request.operator.name))


async def _find(request: Request, rollback_id: str) -> None:
    rollback = await request.services.rollback_records.rollback(rollback_id)
    seen = rollback is not None and await request.sees(_scope(rollback))
    found(rollback if seen else None, f"rollback {rollback_id}")


def _scope(rollback: model.Rollback) -> Scope:
    return Scope(run=rollback.run_id, subtree=rollback.subtree)


def _wants_mermaid(request: Request) -> bool:
    return plan_views.MEDIA_TYPE in request.raw.headers.get("Accept", "")


async def _flowchart(plan: Plan, states: Mapping[str, NodeState]) -> web.Response:
    return web.Response(text=await asyncio.to_thread(plan_views.mermaid, plan, states), content_type=plan_views.MEDIA_TYPE)


def _show_plan(plan: Plan, body: StartRollback) -> Json:
    return {"dry_run": True, "scope": body.scope.model_dump(), "to": body.to, **_outline(plan, {}), **record.plan_json(plan)}


def _outline(plan: Plan, states: Mapping[str, NodeState]) -> Json:
    """What a plan is about, how many nodes it has, and how many are in each state."""
    counts = Counter(states.get(node.node_id, NodeState.PENDING) for node in plan.nodes)
    progress = {"nodes": len(plan.nodes), **{state.value: counts[state] for state in NodeState}}
    return {"summary": plan_views.summary(plan), "irreversible": plan.irreversible, "progress": progress}


def _show(view: RollbackView, compensations: Sequence[Write] | None, since: float) -> Json:
    """A rollback as it is; without ``compensations``, without its nodes. The monotonic clock began at ``since``."""
    shown = rollback_shown(view.rollback) | _outline(view.plan, view.states) | {"unseen": list(view.unseen)}
    if compensations is not None:
        shown["nodes"] = _show_nodes(view, compensations, since)
        shown["joins"] = {name: list(members) for name, members in view.plan.joins.items()}
    return shown


def _show_nodes(view: RollbackView, compensations: Iterable[Write], since: float) -> list[Json]:
    tried: defaultdict[str, list[Write]] = defaultdict(list)
    for write in compensations:
        tried[write.step_id].append(write)
    return [record.node_json(node) | _show_outcome(node, view, tried[node.node_id], since) for node in view.plan.nodes]


def _show_outcome(node: Node, view: RollbackView, tried: Sequence[Write], since: float) -> Json:
    """What came of a node so far. ``entries`` are the positions of the calls that were made for it."""
    mark, wait = view.marks.get(node.node_id), view.waits.get(node.node_id)
    newest = progress.current_mark(node, view.states, view.marks)
    shown: Json = {
        "state": view.states.get(node.node_id, NodeState.PENDING).value,
        "why": wait.why if wait is not None else (newest and newest.why) or node.why,
        "entries": [str(place) for write in tried for place in (write.intent, write.outcome) if place is not None],
    }
    if mark is not None:
        held = {"seen": mark.seen, "task_id": mark.task_id, "approval_id": mark.approval_id}
        shown |= {name: value for name, value in held.items() if value is not None}
    if newest is not None and newest.request is not None:
        shown["request"] = asdict(newest.request)
    if newest is not None and newest.retriable:
        shown["retriable"] = True
    if wait is not None:
        shown |= {"waits_since": timestamps.rfc3339(wait.since), "retry_at": timestamps.rfc3339(since + wait.due)}
    return shown
