"""The gateway at a glance: what is held, what waits for a person, what was detected last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NotRequired, TypeVar

from typing_extensions import TypedDict

import gateway
from gateway import errors
from gateway.core import timestamps
from gateway.core.codec.record import ORDER, TASK, approval_shown, rollback_shown
from gateway.core.incident import timeline
from gateway.http.api.approvals import Approval
from gateway.http.api.incidents import Incident
from gateway.http.api.orders import Order
from gateway.http.api.rollbacks import Rollback
from gateway.http.api.tasks import Task
from gateway.http.server.fields import Timestamp
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request
from gateway.http.server.routing import Json, Routes
from gateway.model.run import Scope

ROUTES = Routes()

LISTED = 10
"""Rows of each part; ``total`` counts all."""
_READ = 1_000
"""The most rows of a part that are read; more are not counted, and ``more`` is true."""


class HeldOrder(Order):
    """An order in force, and how many open runs it holds."""

    runs_held: int


class FiredTrigger(TypedDict):
    """A trigger that fired."""

    entry: str
    ts: Timestamp
    run_id: str
    tenant: str
    trigger: str
    incident_id: str | None


class Part(TypedDict):
    """One part: up to 10 rows, the newest first. ``total`` counts what this token may see; with ``more`` there is more than that."""

    total: int
    more: bool


class Orders(Part):
    """Orders in force."""

    items: list[HeldOrder]


class Approvals(Part):
    """Approvals that wait for a decision."""

    items: list[Approval]


class Tasks(Part):
    """Tasks that wait for a person."""

    items: list[Task]


class Incidents(Part):
    """Incidents that are not closed."""

    items: list[Incident]


class Rollbacks(Part):
    """Rollbacks that need an operator."""

    items: list[Rollback]


class Triggers(Part):
    """The newest triggers."""

    items: list[FiredTrigger]


class Reach(TypedDict):
    """The tenants and task classes that this token may see; ``*`` is every one."""

    tenants: list[str]
    task_classes: list[str]


class Status(TypedDict):
    """A part is absent if this token may not read it (``withheld`` gives the reason) or it could not be read (``unread``)."""

    at: Timestamp
    version: str
    operator: str
    sees: Reach
    withheld: dict[str, str]
    unread: dict[str, str]
    orders: NotRequired[Orders]
    approvals: NotRequired[Approvals]
    tasks: NotRequired[Tasks]
    incidents: NotRequired[Incidents]
    rollbacks: NotRequired[Rollbacks]
    triggers: NotRequired[Triggers]


Row = TypeVar("Row")


@ROUTES.get("/v1/status", Permission.READ_RUNS, {200: Status})
async def show_status(request: Request) -> Json:
    """What is held, what waits for a person, and what was detected last, as far as the token may see it."""
    operator, parts, withheld, unread = request.operator, {}, {}, {}
    for name, (permission, read) in _PARTS.items():
        if not operator.may(permission):
            withheld[name] = f"the role {operator.role.value} may not {permission.value}"
            continue
        try:
            parts[name] = await read(request)
        except errors.JournalUnavailable as broken:
            unread[name] = broken.detail
    about: Json = {
        "at": timestamps.rfc3339(request.services.clock.now()),
        "version": gateway.__version__,
        "operator": operator.name,
        "sees": {"tenants": list(operator.tenants), "task_classes": list(operator.classes)},
        "withheld": withheld,
        "unread": unread,
    }
    return about | parts


async def _orders(request: Request) -> Json:
    gauges = request.services.gauges
    found = [order for order in reversed(await gauges.standing()) if await request.sees(order.scope)]
    counts = await gauges.held_by(found[:LISTED])
    shown = [ORDER.shown(order) | {"runs_held": counts[order.order_id]} for order in found[:LISTED]]
    return {"total": len(found), "more": False, "items": shown}


async def _approvals(request: Request) -> Json:
    rows = await request.services.open_work.approvals(request.services.clock.now(), _READ)
    return await _part(rows, request.sees, approval_shown)


async def _tasks(request: Request) -> Json:
    return await _part(await request.services.open_work.tasks(_READ), request.sees, TASK.shown)


async def _incidents(request: Request) -> Json:
    return await _part(await request.services.open_work.incidents(_READ), request.sees, timeline.summary)


async def _rollbacks(request: Request) -> Json:
    rows = await request.services.open_work.rollbacks(_READ)
    return await _part(rows, lambda one: request.sees(Scope(run=one.run_id, subtree=one.subtree)), rollback_shown)


async def _triggers(request: Request) -> Json:
    rows = await request.services.open_work.triggers(LISTED if request.operator.everywhere else _READ)
    seen = [one for one in rows if await request.sees(one)][:LISTED]
    shown = [
        {
            "entry": str(one.position),
            "ts": one.ts,
            "run_id": one.run_id,
            "tenant": one.tenant,
            "trigger": one.trigger.name,
            "incident_id": one.incident_id,
        }
        for one in seen
    ]
    return {"total": len(seen), "more": len(rows) >= LISTED, "items": shown}


async def _part(rows: Sequence[Row], sees: Callable[[Row], Awaitable[bool]], show: Callable[[Row], Json]) -> Json:
    seen = [one for one in rows if await sees(one)]
    return {"total": len(seen), "more": len(rows) == _READ, "items": [show(one) for one in seen[:LISTED]]}


_PARTS: dict[str, tuple[Permission, Callable[[Request], Awaitable[Json]]]] = {
    "orders": (Permission.READ_ORDERS, _orders),
    "incidents": (Permission.READ_INCIDENTS, _incidents),
    "approvals": (Permission.READ_APPROVALS, _approvals),
    "tasks": (Permission.READ_TASKS, _tasks),
    "rollbacks": (Permission.READ_ROLLBACKS, _rollbacks),
    "triggers": (Permission.READ_JOURNAL, _triggers),
}
