"""``killcord tasks``: work handed to a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gateway.cli import api, output

Json = dict[str, Any]

app = typer.Typer(help="Tasks handed to a person; alone: those that are open.", invoke_without_command=True)

Run = Annotated[str | None, typer.Option(help="Those of this run.")]
Kind = Annotated[str | None, typer.Option(help="outcome-unknown, correction or review.")]
Everything = Annotated[bool, typer.Option("--all", help="Resolved ones too.")]
TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.", show_default=False)]

_COLUMNS = ("TASK", "KIND", "RUN", "TENANT", "OPENED", "RESOLUTION", "SUMMARY")
_NAMES = ("task_id", "kind", "run_id", "tenant", "opened_at", "resolution", "summary")


@app.callback()
def tasks(context: typer.Context, run: Run = None, kind: Kind = None, everything: Everything = False) -> None:
    """Tasks handed to a person; alone: those that are open."""
    if context.invoked_subcommand is None:
        list_tasks(context, run, kind, everything)


@app.command("list")
def list_tasks(context: typer.Context, run: Run = None, kind: Kind = None, everything: Everything = False) -> None:
    """List tasks; without --all those that are open."""
    status = None if everything else "open"
    found = list(api.of_environment().all("/v1/tasks", run=run, kind=kind, status=status))
    output.of(context).table(found, _COLUMNS, ([one[name] for name in _NAMES] for one in found))


@app.command("show")
def show(context: typer.Context, task: TaskId) -> None:
    """One task: what it is about, and the evidence."""
    found = api.of_environment().get(f"/v1/tasks/{api.part(task)}")
    output.of(context).value(found, _lines(found))


@app.command("resolve")
def resolve(
    context: typer.Context,
    task: TaskId,
    resolution: Annotated[
        str,
        typer.Argument(
            help="Of an unknown outcome, what you found: applied or not_applied. Else what you did: done, not_needed or accepted.",
            show_default=False,
        ),
    ],
    note: Annotated[str, typer.Option("--note", "--reason", help="What you looked at; it stands in the journal.", show_default=False)],
) -> None:
    """Close a task with what you found or did at the tool."""
    closed = api.of_environment().post(f"/v1/tasks/{api.part(task)}/resolve", {"resolution": resolution, "note": note})
    output.of(context).value(closed, [f"Task {closed['task_id']} is resolved as {closed['resolution']}."])


def _lines(one: Json) -> Iterator[str]:
    yield f"task       {one['task_id']} ({one['kind']}, opened {one['opened_at']})"
    yield f"run        {one['run_id']}, tenant {one['tenant']}"
    if one["rollback_id"] is not None:
        yield f"rollback   {one['rollback_id']}, node {one['node_id']}"
    if (target := one["target"]) is not None:
        yield f"object     {target['system']}:{target['type']}:{target['id'] or '(new)'}"
    yield f"summary    {one['summary']}"
    if (evidence := one["evidence"]) is not None:
        yield from (f"{name:<10} {evidence[name] or 'not known'}" for name in ("before", "after", "now"))
        yield f"why        {evidence['why']}"
        yield f"entries    {' '.join(evidence['entries'])}"
    if one["resolution"] is not None:
        yield f"resolved   {one['resolution']} by {one['resolved_by']} at {one['resolved_at']}: {one['note']}"
