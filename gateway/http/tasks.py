"""Tasks handed to a person: list, resolve."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from gateway.control.tasks import WrongResolution
from gateway.core import records
from gateway.http import answers, paging, problem, reach
from gateway.http.fields import Nothing
from gateway.http.operators import Operator
from gateway.http.requests import ListOfRun, ResolveTask
from gateway.http.route import Asked
from gateway.http.services import Services
from gateway.model.task import Task


async def list_tasks(asked: Asked[ListOfRun, Nothing]) -> web.Response:
    """Tasks, ascending by id, resolved ones too."""
    services, query = asked.services, asked.query

    async def fetch(after: str | None, limit: int) -> Sequence[Task]:
        return await services.registry.tasks(run=query.run, after=after, limit=limit)

    async def keep(task: Task) -> bool:
        return await _reached(services, asked.operator, task)

    page = await paging.collect(fetch, lambda task: task.task_id, keep, after=query.after, limit=query.limit)
    return answers.listed(answers.Page([records.task_shown(task) for task in page.items], page.next))


async def resolve_task(asked: Asked[Nothing, ResolveTask]) -> web.Response:
    """Close a task with what a person found at the tool."""
    services, task_id = asked.services, asked.part("task_id")
    note = asked.body.note or asked.body.reason
    if note is None:
        raise problem.BadRequest("note: is missing; say what was found at the tool")
    task = await services.tasks.find(task_id)
    if task is None or not await _reached(services, asked.operator, task):
        raise problem.NotFound(f"There is no task {task_id}.")
    try:
        closed = await services.tasks.resolve(task_id, resolution=asked.body.resolution, note=note, by=asked.operator.name)
    except WrongResolution as wrong:
        raise problem.Conflict(str(wrong)) from wrong
    return answers.json(records.task_shown(closed))


async def _reached(services: Services, operator: Operator, task: Task) -> bool:
    fields = {"run_id": task.run_id, "tenant": task.tenant}
    return await reach.entry(services.registry, operator, fields)
