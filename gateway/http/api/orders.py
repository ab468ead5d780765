"""Containment orders: make, list, release."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Literal, NotRequired

from aiohttp import web
from typing_extensions import TypedDict

from gateway import errors
from gateway.control.containment import containment
from gateway.control.containment.scope_lookup import Contradiction, UnknownName
from gateway.core import timestamps
from gateway.core.authorization import gate
from gateway.core.codec.record import ORDER
from gateway.http.server import paging, problem, routing
from gateway.http.server.fields import (
    Body,
    Duration,
    Id,
    ModeName,
    Name,
    Page,
    PagedByRun,
    Query,
    Reason,
    Reasoned,
    Wait,
    names,
    rules,
    shows,
)
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request, Services, found
from gateway.http.server.routing import Json, Routes
from gateway.model import run as model
from gateway.model.run import Mode

ROUTES = Routes()


_NARROW = ("run", "agent", "tenant", "task_class", "tool")
_NAMES_SOMETHING = {"anyOf": [names(member) for member in _NARROW]}
_IS_ALL = {"required": ["all"], "properties": {"all": {"const": True}}}
_ALONE = {"properties": {**{member: {"type": "null"} for member in _NARROW}, "subtree": {"const": False}}}
_IS_SUBTREE = {"required": ["subtree"], "properties": {"subtree": {"const": True}}}
_NOT_ENDING = {"properties": {"mode": {"enum": ["active", "read_only", "paused", "no_fanout"]}}}
_IS_REVOKED = {"required": ["mode"], "properties": {"mode": {"const": "revoked"}}}
_RESTRICTS = {
    "anyOf": [
        {"required": ["mode"], "properties": {"mode": {"not": {"const": "active"}}}},
        {"required": ["no_fanout"], "properties": {"no_fanout": {"const": True}}},
    ]
}


class OrderScope(Body):
    """A conjunction: all that are given must match; ``all`` stands alone."""

    model_config = rules({"if": _IS_ALL, "then": _ALONE, "else": _NAMES_SOMETHING}, {"if": _IS_SUBTREE, "then": names("run")})

    run: Id | None = None
    subtree: bool = False
    agent: Name | None = None
    tenant: Id | None = None
    task_class: Id | None = None
    tool: Id | None = None
    all: bool = False

    def scope(self) -> model.Scope:
        return model.Scope(**self.model_dump(exclude={"all"}), everything=self.all)


class Contain(Body):
    """A containment order. ``dry_run`` only says which open runs it would hold. ``future``: the scope may name what is not known yet."""

    model_config = rules(
        {"if": names("ttl"), "then": _NOT_ENDING},
        {"if": _IS_REVOKED, "then": {"properties": {"scope": {"anyOf": [names("run"), names("agent")]}}}},
        _RESTRICTS,
    )

    scope: OrderScope
    mode: Literal["active", "read_only", "paused", "quarantined", "revoked", "no_fanout"] = "active"
    no_fanout: bool = False
    reason: Reason
    ttl: Duration | None = None
    wait: Wait | None = None
    dry_run: bool = False
    future: bool = False

    def held(self) -> tuple[Mode, bool]:
        """The mode, and the flag beside it; ``no_fanout`` alone is a word too."""
        return (Mode.ACTIVE, True) if self.mode == "no_fanout" else (Mode.of(self.mode), self.no_fanout)


class ReleaseReason(Query):
    reason: Reason | None = None


class ReleaseOrder(Reasoned):
    """Why the order is released; required here or in the query."""


class HeldScope(TypedDict, total=False):
    """What an order holds; only what was given."""

    run: str
    subtree: bool
    agent: str
    tenant: str
    task_class: str
    tool: str
    all: bool


@shows(ORDER)
class Order(TypedDict):
    """A containment order. ``epoch`` grows with each order that is made or released."""

    scope: HeldScope
    mode: ModeName


class OrderWithState(Order):
    """A containment order, and whether it holds now."""

    state: Literal["standing", "expired", "released", "superseded"]


class OrderPage(Page):
    """Orders, ascending by id."""

    items: list[OrderWithState]


class NodeHeld(TypedDict):
    """Whether the order holds on a node."""

    node: str
    held: bool


class HeldRuns(TypedDict):
    """The open runs that an order holds: how many (null if they could not be counted), the ids of up to 100 of them, and whether there are
    more.
    """

    runs_held: int | None
    run_ids: list[str]
    more_runs: bool
    warning: NotRequired[str]


class MadeOrder(OrderWithState, HeldRuns):
    """The order: it holds on every node and is durable. ``held_ms`` is how long that took, in milliseconds; the open runs that it holds
    were counted after that.
    """

    nodes: list[NodeHeld]
    held_ms: float


class DryRun(HeldRuns):
    """For a ``dry_run``: the open runs that the order would hold. ``runs`` is their number too."""

    runs: int | None


@ROUTES.post(
    "/v1/orders",
    Permission.ORDER,
    {
        201: MadeOrder,
        200: DryRun,
        404: "`scope-unknown`: the scope names something unknown, and `future` is not set",
        503: "`journal-unavailable`: it is in force on this node, but not durable",
    },
    {containment.WrongOrder: problem.BadRequest},
)
async def contain(request: Request, body: Contain) -> Json | web.Response:
    """Make a containment order."""
    services, scope = request.services, body.scope.scope()
    if scope == model.Scope():
        raise problem.BadRequest('scope: is empty; name a run, agent, tenant, task_class or tool, or send {"all": true}')
    mode, no_fanout = body.held()
    containment.check(scope, mode, ttl=body.ttl, no_fanout=no_fanout)
    unknown = await _admit(request, scope, future=body.future)
    if body.dry_run:
        planned = await _held(services, scope, unknown)
        return routing.json_response({"runs": planned["runs_held"], **planned})
    started = services.clock.monotonic()
    order = await _make(request, body, scope, mode, no_fanout=no_fanout)
    held_ms = round((services.clock.monotonic() - started) * 1000, 2)
    # One node alone is every node: it holds here, so there is nothing pending that `wait` could wait for.
    answer = await _show(services, order) | {"nodes": [{"node": services.journal.stream, "held": True}], "held_ms": held_ms}
    return answer | await _held(services, scope, unknown)


@ROUTES.get("/v1/orders", Permission.READ_ORDERS, {200: OrderPage})
async def list_orders(request: Request, query: PagedByRun) -> Json:
    """List orders, including released ones."""
    services = request.services
    run = None if query.run is None else await request.run(query.run)

    async def fetch(*, after: str | None, limit: int) -> Sequence[model.Order]:
        return services.containment.listed(after=after, limit=limit)

    async def sees(order: model.Order) -> bool:
        return await request.sees(order.scope)

    async def keep(order: model.Order) -> bool:
        return (run is None or gate.matches(order, run)) and await sees(order)

    page = await paging.collect(fetch, attrgetter("order_id"), query, keep, sees=sees)
    return page.json([await _show(services, order) for order in page.rows])


@ROUTES.delete(
    "/v1/orders/{order_id}",
    Permission.ORDER,
    {200: OrderWithState, 409: "it is already released"},
    {containment.WrongOrder: problem.Conflict},
)
async def release_order(request: Request, order_id: str, query: ReleaseReason, body: ReleaseOrder) -> Json:
    """Release an order; the reason is in the body or the query."""
    containing = request.services.containment
    order = containing.order(order_id)
    found(order if order is not None and await request.sees(order.scope) else None, f"order {order_id}")
    reason = body.reason or query.reason
    if reason is None:
        raise problem.BadRequest("reason: is missing; write in the body or the query why you release the order")
    return await _show(request.services, await containing.release(order_id, reason=reason, by=request.operator.name))


async def _admit(request: Request, scope: model.Scope, *, future: bool) -> list[UnknownName | Contradiction]:
    """The parts of the scope that name nothing known, if the order is for the ``future``.

    Raises:
        ScopeUnknown: there are some, and it is not. What this token may not see is as unknown as what does not exist.
        Forbidden: the order would go beyond the token.
    """
    try:
        unknown = await request.services.scopes.unknown(scope, request.within)
    except errors.JournalUnavailable:
        unknown = []  # an order is never refused because the journal cannot be read
    if unknown and not future:
        text = "; ".join(map(str, unknown))
        raise problem.ScopeUnknown(f"{text[0].upper()}{text[1:]}{'' if text.endswith('?') else '.'} Nothing was ordered.")
    if not await request.sees(scope):
        raise problem.Forbidden("An order of this scope would go beyond this token's tenants and task classes.")
    return unknown


async def _ended(services: Services, scope: model.Scope) -> str | None:
    """That the one run of a scope has ended, so that the order holds nothing."""
    run = None if scope.run is None or scope.subtree else await services.registry.run(scope.run)
    if run is None or (run.closed_at is None and run.expires_at > services.clock.now()):
        return None
    if run.closed_at is not None:
        return f"The order holds nothing: run {run.run_id} was closed at {timestamps.rfc3339(run.closed_at)}."
    return f"The order holds nothing now: the lease of run {run.run_id} expired at {timestamps.rfc3339(run.expires_at)}."


async def _held(services: Services, scope: model.Scope, unknown: Sequence[UnknownName | Contradiction]) -> Json:
    """The open runs that the scope holds now. It never fails: the order may hold already."""
    try:
        held = await services.scopes.held(scope)
    except errors.JournalUnavailable as broken:
        warning = f"The runs that the order holds could not be counted: {broken.detail}"
        return {"runs_held": None, "run_ids": [], "more_runs": False, "warning": warning}
    found: Json = {"runs_held": held.count, "run_ids": list(held.run_ids), "more_runs": held.count > len(held.run_ids)}
    if held.count == 0:
        ended = await _ended(services, scope)
        why = "; ".join(map(str, unknown)) or "no open run matches all parts of the scope"
        found["warning"] = ended or f"The scope holds 0 runs now ({why}). It holds those that are opened later."
    return found


async def _make(request: Request, body: Contain, scope: model.Scope, mode: Mode, *, no_fanout: bool) -> model.Order:
    try:
        return await request.services.containment.make(
            scope, mode, reason=body.reason, by=request.operator.name, ttl=body.ttl, no_fanout=no_fanout
        )
    except errors.JournalUnavailable as down:
        detail = f"The order is in force on this node, but it is not durable: the journal cannot be written ({down.detail})"
        hint = "Leave this node running, repair the journal's disk, and make the order again."
        raise errors.JournalUnavailable(detail, hint=hint) from down


async def _show(services: Services, order: model.Order) -> Json:
    named = None if order.scope.run is None else await services.registry.run(order.scope.run)
    return ORDER.shown(order) | {"state": gate.condition(order, named, now=services.clock.now())}
