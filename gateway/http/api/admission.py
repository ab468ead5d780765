"""Admission: may this task start, asked by queue workers before they take a job."""

from __future__ import annotations

import math
from typing import NotRequired

from typing_extensions import TypedDict

from gateway.core.authorization import gate
from gateway.http.server import problem
from gateway.http.server.fields import Id, ModeName, Reasoned
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request, Services
from gateway.http.server.routing import Routes
from gateway.model.run import Mode, Run, TaskClass

RETRY_AFTER = 5.0
"""Seconds after which to ask again, if the order in force has no end of its own."""

ROUTES = Routes()


class AskAdmission(Reasoned):
    """May this task start?"""

    tenant: Id
    task_class: Id
    run_id: Id | None = None


class Admission(TypedDict):
    """Whether the task may start; false from read_only upward. ``retry_after`` is in seconds."""

    admit: bool
    mode: ModeName
    reason: NotRequired[str]
    order_id: NotRequired[str]
    retry_after: NotRequired[float]


@ROUTES.post("/v1/admission", Permission.ADMIT, {200: Admission})
async def ask_admission(request: Request, body: AskAdmission) -> Admission:
    """May this task start?"""
    services = request.services
    request.require(body.tenant, body.task_class)
    task_class = services.runs.task_classes.get(body.task_class)
    if task_class is None:
        raise problem.BadRequest(f"task_class: there is no task class {body.task_class!r}")
    existing = None if body.run_id is None else await services.registry.run(body.run_id)
    if existing is not None and not await request.sees(existing):
        # Neither the run's existence nor its orders may be disclosed: the answer is that of a task without a run.
        existing, body = None, body.model_copy(update={"run_id": None})
    if existing is not None and (existing.tenant, existing.task_class) != (body.tenant, body.task_class):
        raise problem.BadRequest(f"run_id: {body.run_id} is not a run of this tenant under this task class")
    return _decide(services, task_class, body, existing)


def _decide(services: Services, task_class: TaskClass, body: AskAdmission, existing: Run | None) -> Admission:
    now = services.clock.now()
    if gate.beyond([body.tenant], task_class.tenants):
        return {"admit": False, "mode": "active", "reason": f"tenant {body.tenant} is not a tenant of class {task_class.name}"}
    if existing is not None and existing.closed_at is not None:
        return {"admit": False, "mode": "active", "reason": f"run {existing.run_id} was closed"}
    run = existing or _run_of_task(body, now, services.containment.replica.epoch)
    held = services.containment.replica.standing.hold(run, None, now=now)
    if run.revoked >= run.generation:
        held = gate.Restriction(Mode.REVOKED, True, held.order_id, math.inf)
    answer: Admission = {"admit": held.mode < Mode.READ_ONLY, "mode": held.mode.label}
    if held.order_id is not None:
        answer["order_id"] = held.order_id
    if Mode.READ_ONLY <= held.mode <= Mode.PAUSED:
        answer["retry_after"] = RETRY_AFTER if math.isinf(held.until) else max(1.0, round(held.until - now, 3))
    return answer


def _run_of_task(body: AskAdmission, now: float, epoch: int) -> Run:
    """The run as which the task would be opened."""
    run_id = body.run_id or ""
    return Run(
        run_id=run_id, workflow_id=run_id, tenant=body.tenant, agent_id="", task_class=body.task_class, opened_at=now, opened_under=epoch
    )
