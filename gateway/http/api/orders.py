"""Containment orders: make, list, release."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from gateway import errors
from gateway.control.containment import containment
from gateway.control.containment.containment import WrongOrder
from gateway.core.authorization import gate
from gateway.core.codec import records
from gateway.http.server import answers, paging, problem, reach
from gateway.http.server.fields import Nothing
from gateway.http.server.requests import Because, BecauseQuery, Contain, ListOfRun, ScopeBody
from gateway.http.server.route import Asked
from gateway.http.server.services import Services
from gateway.model.order import Order, Scope
from gateway.model.run import Mode


async def contain(asked: Asked[Nothing, Contain]) -> web.Response:
    """Make an order: 201 once it holds on every node and is durable. ``dry_run``: 200 with how many open runs it would hold."""
    body, services = asked.body, asked.services
    scope = _scope(body.scope)
    if not await reach.confined(services.registry, asked.operator, scope):
        raise problem.Forbidden("An order of this scope would reach beyond this token's tenants and task classes.")
    mode, no_fanout = _meant(body)
    try:
        containment.check(scope, mode, ttl=body.ttl, no_fanout=no_fanout)
    except WrongOrder as wrong:
        raise problem.BadRequest(str(wrong)) from wrong
    if body.dry_run:
        return answers.json({"runs": await services.containment.hits(scope)})
    started = services.clock.monotonic()
    order = await _made(asked, scope, mode, no_fanout=no_fanout)
    held_ms = round((services.clock.monotonic() - started) * 1000, 2)
    # One node alone is every node: it holds here, so there is nothing pending that `wait` could wait for.
    nodes = [{"node": services.journal.stream, "held": True}]
    answer = await _shown(services, order) | {"nodes": nodes, "held_ms": held_ms}
    if scope.run is not None and await reach.seen(services.registry, asked.operator, scope.run) is None:
        answer["warning"] = f"There is no run {scope.run} now; the order holds it should it be opened."
    return answers.json(answer, 201)


async def list_orders(asked: Asked[ListOfRun, Nothing]) -> web.Response:
    """Orders, ascending by id, released ones too."""
    services, query = asked.services, asked.query
    run = None if query.run is None else await reach.run(services.registry, asked.operator, query.run)

    async def fetch(after: str | None, limit: int) -> Sequence[Order]:
        return services.containment.listed(after=after, limit=limit)

    async def keep(order: Order) -> bool:
        return (run is None or gate.matches(order, run)) and await reach.confined(services.registry, asked.operator, order.scope)

    page = await paging.collect(fetch, lambda order: order.order_id, keep, after=query.after, limit=query.limit)
    return answers.listed(answers.Page([await _shown(services, order) for order in page.items], page.next))


async def release(asked: Asked[BecauseQuery, Because]) -> web.Response:
    """End an order; the reason stands in the body or in the query."""
    services, order_id = asked.services, asked.part("order_id")
    reason = asked.body.reason or asked.query.reason
    if reason is None:
        raise problem.BadRequest("reason: is missing; say in the body or the query why the order is released")
    await _reached(services, asked, order_id)
    try:
        released = await services.containment.release(order_id, reason=reason, by=asked.operator.name)
    except WrongOrder as wrong:
        raise problem.Conflict(str(wrong)) from wrong
    return answers.json(await _shown(services, released))


async def _shown(services: Services, order: Order) -> records.Json:
    named = None if order.scope.run is None else await services.registry.run(order.scope.run)
    return records.order_shown(order) | {"state": gate.condition(order, named, now=services.clock.now())}


async def _reached(services: Services, asked: Asked[BecauseQuery, Because], order_id: str) -> None:
    known = services.containment.order(order_id)
    if known is None or not await reach.confined(services.registry, asked.operator, known.scope):
        raise problem.NotFound(f"There is no order {order_id}.")


async def _made(asked: Asked[Nothing, Contain], scope: Scope, mode: Mode, *, no_fanout: bool) -> Order:
    body = asked.body
    try:
        return await asked.services.containment.make(
            scope, mode, reason=body.reason, by=asked.operator.name, ttl=body.ttl, no_fanout=no_fanout
        )
    except errors.JournalUnavailable as down:
        detail = f"The order holds on this node now, but it is not durable: the journal cannot be written ({down.detail})"
        raise errors.JournalUnavailable(
            detail, hint="Leave this node running, mend the journal's disk, and make the order again."
        ) from down


def _meant(body: Contain) -> tuple[Mode, bool]:
    """The mode, and the flag beside it; ``no_fanout`` alone is a word too."""
    if body.mode == "no_fanout":
        return Mode.ACTIVE, True
    return Mode.of(body.mode), body.no_fanout


def _scope(body: ScopeBody) -> Scope:
    scope = Scope(
        run=body.run,
        subtree=body.subtree,
        agent=body.agent,
        tenant=body.tenant,
        task_class=body.task_class,
        tool=body.tool,
        everything=body.all,
    )
    if scope == Scope():
        raise problem.BadRequest('scope: is empty; name a run, agent, tenant, task_class or tool, or say {"all": true}')
    return scope
