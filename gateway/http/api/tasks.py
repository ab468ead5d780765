"""Tasks handed to a person: list, show, resolve."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import Literal

from typing_extensions import TypedDict

from gateway.core.codec.record import TASK
from gateway.core.tasks import AlreadyResolved, WrongResolution
from gateway.http.server import paging, problem
from gateway.http.server.fields import Page, PagedByRun, Reason, Reasoned, Target, names, rules, shows
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request
from gateway.http.server.routing import Json, Routes
from gateway.model import review as model

ROUTES = Routes()


class ListTasks(PagedByRun):
    status: Literal["open", "resolved"] | None = None
    kind: model.TaskKind | None = None


class ResolveTask(Reasoned):
    """What a person found or did at the tool. ``reason`` is taken for ``note`` if that is missing. ``writes`` names, by their
    wire keys, those that were applied, where a task of kind ``outcome-unknown`` is about several; the others were not.
    """

    model_config = rules({"anyOf": [names("note"), names("reason")]})

    resolution: Literal["applied", "not_applied", "done", "not_needed", "accepted"]
    note: Reason | None = None
    writes: list[str] | None = None


@shows(model.Evidence)
class TaskEvidence(TypedDict):
    """What a person needs to see: versions of the object (``absent``: it was not there; null: it was not read), entries, a sentence."""


@shows(TASK)
class Task(TypedDict):
    """Work handed to a person. ``wire_keys`` name the writes that it is about, oldest first."""

    target: Target | None
    evidence: TaskEvidence | None


class TaskPage(Page):
    """Tasks, ascending by id, resolved ones too."""

    items: list[Task]


@ROUTES.get("/v1/tasks", Permission.READ_TASKS, {200: TaskPage})
async def list_tasks(request: Request, query: ListTasks) -> Json:
    """List tasks."""

    async def keep(task: model.Task) -> bool:
        status = "open" if task.resolution is None else "resolved"
        return query.status in (None, status) and query.kind in (None, task.kind) and await request.sees(task)

    fetch = partial(request.services.registry.tasks, run=query.run)
    page = await paging.collect(fetch, attrgetter("task_id"), query, keep, sees=request.sees)
    return page.json([TASK.shown(task) for task in page.rows])


@ROUTES.get("/v1/tasks/{task_id}", Permission.READ_TASKS, {200: Task})
async def show_task(request: Request, task_id: str) -> Json:
    """One task, with its evidence."""
    return TASK.shown(await _find(request, task_id))


@ROUTES.post(
    "/v1/tasks/{task_id}/resolve",
    Permission.RESOLVE_TASKS,
    {200: Task, 400: "tasks of this kind have other resolutions", 409: "it is already resolved"},
    {WrongResolution: lambda wrong: problem.BadRequest(f"resolution: {wrong}"), AlreadyResolved: problem.Conflict},
)
async def resolve_task(request: Request, task_id: str, body: ResolveTask) -> Json:
    """Close a task with what a person found or did at the tool."""
    await _find(request, task_id)
    note = body.note or body.reason
    if note is None:
        raise problem.BadRequest("note: is missing; write what you found or did at the tool")
    closed = await request.services.tasks.resolve(
        task_id, resolution=body.resolution, note=note, by=request.operator.name, writes=body.writes
    )
    return TASK.shown(closed)


async def _find(request: Request, task_id: str) -> model.Task:
    return await request.find(request.services.tasks.registry.task(task_id), f"task {task_id}")
