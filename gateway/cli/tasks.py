"""``killcord tasks``: work handed to a person."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import api, output

app = typer.Typer(help="Tasks handed to a person.", no_args_is_help=True)


@app.command("list")
def list_tasks(
    context: typer.Context,
    run: Annotated[str | None, typer.Option(help="Those of this run.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
) -> None:
    """List tasks; without --all those that are open."""
    found = [one for one in api.of_environment().all("/v1/tasks", run=run) if everything or one["resolution"] is None]
    columns = ("TASK", "KIND", "RUN", "TENANT", "OPENED", "RESOLUTION", "SUMMARY")
    names = ("task_id", "kind", "run_id", "tenant", "opened_at", "resolution", "summary")
    output.of(context).table(found, columns, ([one[name] for name in names] for one in found))


@app.command("resolve")
def resolve(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="The task's id.", show_default=False)],
    resolution: Annotated[str, typer.Argument(help="applied or not_applied: what you found at the tool.", show_default=False)],
    note: Annotated[str, typer.Option("--note", "--reason", help="What you looked at; it stands in the journal.", show_default=False)],
) -> None:
    """Close a task with what you found at the tool."""
    closed = api.of_environment().post(f"/v1/tasks/{api.part(task)}/resolve", {"resolution": resolution, "note": note})
    output.of(context).value(closed, [f"Task {closed['task_id']} is resolved as {closed['resolution']}."])
