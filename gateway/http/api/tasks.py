"""Tasks handed to a person: list, show, resolve."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from gateway.core.codec import records
from gateway.core.tasks import AlreadyResolved, WrongResolution
from gateway.http.server import answers, paging, problem, reach
from gateway.http.server.fields import Nothing
from gateway.http.server.operators import Operator
from gateway.http.server.requests import ListTasks, ResolveTask
from gateway.http.server.route import Asked
from gateway.http.server.services import Services
from gateway.model.task import Task


async def list_tasks(asked: Asked[ListTasks, Nothing]) -> web.Response:
    """Tasks, ascending by id, resolved ones too."""
    services, query = asked.services, asked.query

    async def fetch(after: str | None, limit: int) -> Sequence[Task]:
        return await services.registry.tasks(run=query.run, after=after, limit=limit)

    async def keep(task: Task) -> bool:
        status = "open" if task.resolution is None else "resolved"
        meant = query.status in (None, status) and query.kind in (None, task.kind)
        return meant and await _reached(services, asked.operator, task)

    page = await paging.collect(fetch, lambda task: task.task_id, keep, after=query.after, limit=query.limit)
    return answers.listed(answers.Page([records.task_shown(task) for task in page.items], page.next))


async def one_task(asked: Asked[Nothing, Nothing]) -> web.Response:
    """One task, with its evidence."""
    return answers.json(records.task_shown(await _found(asked.services, asked.operator, asked.part("task_id"))))


async def resolve_task(asked: Asked[Nothing, ResolveTask]) -> web.Response:
    """Close a task with what a person found or did at the tool."""
    services, body = asked.services, asked.body
    note = body.note or body.reason
    if note is None:
        raise problem.BadRequest("note: is missing; say what was found or done at the tool")
    task = await _found(services, asked.operator, asked.part("task_id"))
    try:
        closed = await services.tasks.resolve(task.task_id, resolution=body.resolution, note=note, by=asked.operator.name)
    except WrongResolution as wrong:
        raise problem.BadRequest(f"resolution: {wrong}") from wrong
    except AlreadyResolved as late:
        raise problem.Conflict(str(late)) from late
    return answers.json(records.task_shown(closed))


async def _found(services: Services, operator: Operator, task_id: str) -> Task:
    task = await services.tasks.find(task_id)
    if task is None or not await _reached(services, operator, task):
        raise problem.NotFound(f"There is no task {task_id}.")
    return task


async def _reached(services: Services, operator: Operator, task: Task) -> bool:
    fields = {"run_id": task.run_id, "tenant": task.tenant}
    return await reach.entry(services.registry, operator, fields)
