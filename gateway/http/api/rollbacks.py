"""Rollbacks: plan one, start it, watch it node by node, stop it, go on with it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import ParamSpec

from aiohttp import web

from gateway.control.rollback.execution import RollbackView
from gateway.control.rollback.preconditions import Busy, NotContained, WrongRollback
from gateway.core import timestamps
from gateway.core.codec import plan as codec_plan
from gateway.core.codec import records
from gateway.core.rollback import plan_svg, plan_table, progress
from gateway.http.server import answers, paging, problem, reach
from gateway.http.server.fields import Nothing
from gateway.http.server.operators import Operator
from gateway.http.server.requests import BecauseRequired, ListRollbacks, RollBack, ShowRollback
from gateway.http.server.route import Asked
from gateway.http.server.services import Services
from gateway.model.effect import Write
from gateway.model.order import Scope
from gateway.model.plan import Node, NodeState, Plan
from gateway.model.rollback import Rollback

Json = records.Json
P = ParamSpec("P")

SVG = "image/svg+xml"


async def roll_back(asked: Asked[Nothing, RollBack]) -> web.Response:
    """Start a rollback: 202 with it, or with the one that runs. ``dry_run``: 200 with the plan, and nothing is changed."""
    scope, services = asked.body.scope, asked.services
    await reach.run(services.registry, asked.operator, scope.run)
    if not await reach.confined(services.registry, asked.operator, Scope(run=scope.run, subtree=scope.subtree)):
        raise problem.Forbidden("A rollback of this scope would reach beyond this token's tenants and task classes.")
    try:
        return await _dry_run(asked) if asked.body.dry_run else await _begin(asked)
    except NotContained as loose:
        below = " --subtree" if scope.subtree else ""
        hint = f"Contain it first: killcord contain --run {scope.run}{below} --mode quarantined --reason ..."
        raise problem.Conflict(str(loose), hint=hint) from loose
    except Busy as other:
        raise problem.Conflict(str(other)) from other
    except WrongRollback as wrong:
        raise problem.BadRequest(str(wrong)) from wrong


async def _dry_run(asked: Asked[Nothing, RollBack]) -> web.Response:
    body = asked.body
    plan = await asked.services.rollbacks.dry_run(body.scope.run, subtree=body.scope.subtree, to=body.to)
    return await _drawn(plan, {}) if _wants_svg(asked.request) else await _told_of(_planned, plan, body)


async def _begin(asked: Asked[Nothing, RollBack]) -> web.Response:
    body, by = asked.body, asked.operator.name
    if body.reason is None:
        raise problem.BadRequest("reason: is missing; say why the run is rolled back")
    begun = await asked.services.rollbacks.start(body.scope.run, subtree=body.scope.subtree, to=body.to, reason=body.reason, by=by)
    return answers.json(records.rollback_shown(begun), 202)


async def list_rollbacks(asked: Asked[ListRollbacks, Nothing]) -> web.Response:
    """Rollbacks, ascending by id, ended ones too."""
    services, query = asked.services, asked.query

    async def fetch(after: str | None, limit: int) -> Sequence[Rollback]:
        return await services.rollback_records.rollbacks(run=query.run, after=after, limit=limit)

    async def keep(rollback: Rollback) -> bool:
        return query.state in (None, rollback.status) and await _reached(services, asked.operator, rollback)

    page = await paging.collect(fetch, lambda rollback: rollback.rollback_id, keep, after=query.after, limit=query.limit)
    return answers.listed(answers.Page([records.rollback_shown(one) for one in page.items], page.next))


async def one_rollback(asked: Asked[ShowRollback, Nothing]) -> web.Response:
    """One rollback: its state, how far it has come, and each node."""
    services = asked.services
    rollback = await _found(services, asked.operator, asked.part("rollback_id"))
    try:
        told = await services.rollbacks.told(rollback.rollback_id)
    except (KeyError, WrongRollback) as gone:
        raise problem.Conflict("The plan cannot be read any more; the journal still holds what was done.") from gone
    if _wants_svg(asked.request):
        return await _drawn(told.plan, told.states)
    tried = await services.rollback_records.compensations(rollback.rollback_id) if asked.query.nodes else None
    return await _told_of(_standing, told, tried, services.clock.now() - services.clock.monotonic())


async def stop(asked: Asked[Nothing, BecauseRequired]) -> web.Response:
    """Stop a rollback: nothing more is sent for it."""
    services = asked.services
    rollback = await _found(services, asked.operator, asked.part("rollback_id"))
    return await _changed(services.rollbacks.stop(rollback.rollback_id, reason=asked.body.reason, by=asked.operator.name))


async def go_on(asked: Asked[Nothing, BecauseRequired]) -> web.Response:
    """Go on with a rollback that was stopped, or that waited for a person."""
    services = asked.services
    rollback = await _found(services, asked.operator, asked.part("rollback_id"))
    return await _changed(services.rollbacks.resume(rollback.rollback_id, reason=asked.body.reason, by=asked.operator.name))


async def _changed(change: Awaitable[Rollback]) -> web.Response:
    try:
        return answers.json(records.rollback_shown(await change))
    except (NotContained, WrongRollback) as wrong:
        raise problem.Conflict(str(wrong)) from wrong


async def _found(services: Services, operator: Operator, rollback_id: str) -> Rollback:
    rollback = await services.rollback_records.rollback(rollback_id)
    if rollback is None or not await _reached(services, operator, rollback):
        raise problem.NotFound(f"There is no rollback {rollback_id}.")
    return rollback


async def _reached(services: Services, operator: Operator, rollback: Rollback) -> bool:
    return await reach.confined(services.registry, operator, Scope(run=rollback.run_id, subtree=rollback.subtree))


def _wants_svg(request: web.Request) -> bool:
    return SVG in request.headers.get("Accept", "")


async def _drawn(plan: Plan, states: Mapping[str, NodeState]) -> web.Response:
    return web.Response(text=await asyncio.to_thread(plan_svg.drawn, plan, states), content_type=SVG)


async def _told_of(shown: Callable[P, Json], *args: P.args, **more: P.kwargs) -> web.Response:
    """A plan can have very many nodes, and calls of agents do not wait for its rows."""
    return answers.json(await asyncio.to_thread(shown, *args, **more))


def _planned(plan: Plan, body: RollBack) -> Json:
    scope = {"run": body.scope.run, "subtree": body.scope.subtree}
    return {"dry_run": True, "scope": scope, "to": body.to, **_outlined(plan, {}), **codec_plan.written(plan)}


def _outlined(plan: Plan, states: Mapping[str, NodeState]) -> Json:
    """What a plan is about, how many nodes it has, and how many are in each state."""
    counts = Counter(states.get(node.node_id, NodeState.PENDING) for node in plan.nodes)
    progress = {"nodes": len(plan.nodes), **{state.value: counts[state] for state in NodeState}}
    return {"summary": plan_table.summary(plan), "irreversible": plan.irreversible, "progress": progress}


def _standing(told: RollbackView, compensations: Sequence[Write] | None, since: float) -> Json:
    """A rollback as it stands; without ``compensations``, without its nodes. The monotonic clock began at ``since``."""
    shown = records.rollback_shown(told.rollback) | _outlined(told.plan, told.states) | {"unseen": list(told.unseen)}
    if compensations is not None:
        shown["nodes"] = _nodes(told, compensations, since)
        shown["joins"] = {name: list(members) for name, members in told.plan.joins.items()}
    return shown


def _nodes(told: RollbackView, compensations: Iterable[Write], since: float) -> list[Json]:
    tried: defaultdict[str, list[Write]] = defaultdict(list)
    for write in compensations:
        tried[write.step_id].append(write)
    return [codec_plan.of_node(node) | _came_of(node, told, tried[node.node_id], since) for node in told.plan.nodes]


def _came_of(node: Node, told: RollbackView, tried: Sequence[Write], since: float) -> Json:
    """What came of a node so far. ``entries`` are the positions of the calls that were made for it."""
    mark, wait = told.marks.get(node.node_id, {}), told.waits.get(node.node_id)
    newest = progress.told(node, told.states, told.marks)
    shown = {
        "state": told.states.get(node.node_id, NodeState.PENDING).value,
        "why": wait.why if wait is not None else newest.get("why") or node.why,
        "entries": [str(place) for write in tried for place in (write.intent, write.outcome) if place is not None],
        **{name: mark[name] for name in ("seen", "task_id", "approval_id") if name in mark},
        **{name: newest[name] for name in ("request", "retriable") if name in newest},
    }
    if wait is not None:
        shown |= {"waits_since": timestamps.rfc3339(wait.since), "retry_at": timestamps.rfc3339(since + wait.due)}
    return shown
