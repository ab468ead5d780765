"""Rollbacks: plan one, start it, watch it node by node, stop it, go on with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence

from aiohttp import web

from gateway.core import records
from gateway.http import answers, paging, problem, reach
from gateway.http.fields import Nothing
from gateway.http.operators import Operator
from gateway.http.requests import BecauseRequired, ListRollbacks, RollBack, ShowRollback
from gateway.http.route import Asked
from gateway.http.services import NotContained, Services, Told, WrongRollback
from gateway.model.effect import Write
from gateway.model.order import Scope
from gateway.model.plan import Node, NodeState, Plan
from gateway.model.rollback import Rollback

Json = records.Json


async def roll_back(asked: Asked[Nothing, RollBack]) -> web.Response:
    """Start a rollback: 202 with it, or with the one that runs. ``dry_run``: 200 with the plan, and nothing is changed."""
    body, services = asked.body, asked.services
    scope = body.scope
    run = await reach.run(services.registry, asked.operator, scope.run)
    if not await reach.confined(services.registry, asked.operator, Scope(run=run.run_id, subtree=scope.subtree)):
        raise problem.Forbidden("A rollback of this scope would reach beyond this token's tenants and task classes.")
    try:
        if body.dry_run:
            plan = await services.rollbacks.dry_run(run.run_id, scope.subtree, body.to)
            return answers.json(_planned(plan, body))
        if body.reason is None:
            raise problem.BadRequest("reason: is missing; say why the run is rolled back")
        begun = await services.rollbacks.start(run.run_id, scope.subtree, body.to, reason=body.reason, by=asked.operator.name)
    except NotContained as loose:
        hint = f"Contain it first, for instance with an order {{scope: {{run: {run.run_id}}}, mode: quarantined}}."
        raise problem.Conflict(str(loose), hint=hint) from loose
    except WrongRollback as wrong:
        raise problem.BadRequest(str(wrong)) from wrong
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
    told = await services.rollbacks.told(rollback.rollback_id)
    shown = records.rollback_shown(told.rollback) | {"irreversible": told.plan.irreversible, "progress": _progress(told.plan, told.states)}
    if asked.query.nodes:
        shown["nodes"] = _rows(told, await services.rollback_records.compensations(rollback.rollback_id))
        shown["joins"] = {name: list(gathered) for name, gathered in told.plan.joins.items()}
    return answers.json(shown)


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


def _planned(plan: Plan, body: RollBack) -> Json:
    return {
        "dry_run": True,
        "scope": {"run": body.scope.run, "subtree": body.scope.subtree},
        "to": body.to,
        "irreversible": plan.irreversible,
        "progress": _progress(plan, {}),
        "nodes": [_row(node) for node in plan.nodes],
        "joins": {name: list(gathered) for name, gathered in plan.joins.items()},
    }


def _progress(plan: Plan, states: Mapping[str, NodeState]) -> Json:
    """How many nodes there are, and how many are in each state."""
    counts = Counter(states.get(node.node_id, NodeState.PENDING) for node in plan.nodes)
    return {"nodes": len(plan.nodes), **{state.value: counts[state] for state in NodeState}}


def _rows(told: Told, compensations: Iterable[Write]) -> list[Json]:
    tried: defaultdict[str, list[Write]] = defaultdict(list)
    for write in compensations:
        tried[write.step_id].append(write)
    return [_row(node) | _came_of(node, told, tried[node.node_id]) for node in told.plan.nodes]


def _row(node: Node) -> Json:
    """What is done about a node's effects, and why."""
    return {
        "node_id": node.node_id,
        "run_id": node.run_id,
        "tool": node.tool,
        "action": node.action,
        "target": records.target_json(node.target),
        "effects": list(node.effects),
        "way": node.way.value,
        "remedy": node.remedy.value,
        "by": node.by,
        "does": None if node.does is None else node.does.value,
        "auto": node.automatic,
        "after": list(node.after),
        "why": node.why,
    }


def _came_of(node: Node, told: Told, tried: Sequence[Write]) -> Json:
    """What came of it. ``entries`` are the positions of the compensating calls that were made for it."""
    mark = told.marks.get(node.node_id, {})
    return {
        "state": told.states.get(node.node_id, NodeState.PENDING).value,
        "why": mark.get("why") or node.why,
        "seen": mark.get("seen"),
        "entries": [str(place) for write in tried for place in (write.intent, write.outcome) if place is not None],
        "approval_id": mark.get("approval_id"),
        "task_id": mark.get("task_id"),
    }
