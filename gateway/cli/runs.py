"""``killcord runs``: open, list, show, renew, close."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import api, output
from gateway.cli.failure import wrong_use

app = typer.Typer(help="Runs: one execution of an agent's task each.", no_args_is_help=True)

Json = dict[str, Any]
RunId = Annotated[str, typer.Argument(help="The run's id.", show_default=False)]


@app.command("open")
def open_run(
    context: typer.Context,
    tenant: Annotated[str, typer.Option(help="Whose data the run works on.", show_default=False)],
    agent: Annotated[str, typer.Option(help="Who acts.", show_default=False)],
    scope: Annotated[list[str], typer.Option(help="What the run may do, such as 'erp:invoice.*'; repeat for more.", show_default=False)],
    task_class: Annotated[str, typer.Option("--task-class", help="The class it opens under.")] = "default",
    tool: Annotated[list[str] | None, typer.Option(help="Only these tools; repeat for more.")] = None,
    ttl: Annotated[str | None, typer.Option(help="How long its lease lives, such as 15m.")] = None,
    run: Annotated[str | None, typer.Option(help="An id of your own.")] = None,
    workflow: Annotated[str | None, typer.Option(help="The workflow it belongs to, where a task is queued again.")] = None,
    parent: Annotated[str | None, typer.Option(help="The run that coordinates this one.")] = None,
    mode: Annotated[str | None, typer.Option(help="Begin in this mode, such as read_only.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="A tighter limit: writes=10, rate=5/s, amount.refund=100; repeat for more.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the journal.")] = None,
) -> None:
    """Open a run and print its lease."""
    body = api.given(
        tenant=tenant,
        agent_id=agent,
        scopes=scope,
        task_class=task_class,
        tools=tool or None,
        ttl=ttl,
        run_id=run,
        workflow_id=workflow,
        parent_run=parent,
        mode=mode,
        limits=limits(limit or []) or None,
        reason=reason,
    )
    opened = api.of_environment().post("/v1/runs", body)
    lines = [f"run      {opened['run']['run_id']}", f"expires  {opened['expires_at']}", f"lease    {opened['lease']}"]
    output.of(context).value(opened, lines)


@app.command("list")
def list_runs(
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option()] = None,
    agent: Annotated[str | None, typer.Option()] = None,
    mode: Annotated[str | None, typer.Option(help="The effective mode.")] = None,
    parent: Annotated[str | None, typer.Option(help="Children of this run.")] = None,
) -> None:
    """List runs, oldest first."""
    found = list(api.of_environment().all("/v1/runs", tenant=tenant, agent=agent, mode=mode, parent=parent))
    columns = ("RUN", "TENANT", "AGENT", "CLASS", "MODE", "STEPS", "WRITES", "EXPIRES", "STATE")
    output.of(context).table(found, columns, (_row(run) for run in found))


@app.command("show")
def show_run(context: typer.Context, run: RunId) -> None:
    """One run: what it may do and what it has used."""
    found = api.of_environment().get(f"/v1/runs/{api.part(run)}")
    output.of(context).value(found, [f"{name:<12} {output.cell(value)}" for name, value in found.items()])


@app.command("effects")
def effects(context: typer.Context, run: RunId) -> None:
    """What a run changed, and what can still be undone."""
    found = list(api.of_environment().all(f"/v1/runs/{api.part(run)}/effects"))
    columns = ("INTENT", "TIME", "STEP", "ACTION", "TARGET", "STATE", "VERIFIED", "CAN UNDO")
    output.of(context).table(found, columns, (_effect(one) for one in found))


@app.command("renew")
def renew(context: typer.Context, run: RunId, ttl: Annotated[str | None, typer.Option(help="How long, such as 15m.")] = None) -> None:
    """A new lease of the same generation."""
    renewed = api.of_environment().post(f"/v1/runs/{api.part(run)}/lease", api.given(ttl=ttl))
    output.of(context).value(renewed, [f"expires  {renewed['expires_at']}", f"lease    {renewed['lease']}"])


@app.command("close")
def close(context: typer.Context, run: RunId, reason: Annotated[str | None, typer.Option(help="Why, for the journal.")] = None) -> None:
    """End a run, and its leases with it."""
    closed = api.of_environment().post(f"/v1/runs/{api.part(run)}/close", api.given(reason=reason))
    output.of(context).value(closed, [f"Run {closed['run_id']} is closed since {closed['closed_at']}."])


def _row(run: Json) -> tuple[object, ...]:
    used = run["counters"]
    state = "open" if run["closed_at"] is None else "closed"
    return (
        run["run_id"],
        run["tenant"],
        run["agent_id"],
        run["task_class"],
        run["mode"],
        used.get("steps", 0),
        used.get("writes", 0),
        run["expires_at"],
        state,
    )


def _effect(one: Json) -> tuple[object, ...]:
    target = one["target"]
    aimed = f"{target['system']}:{target['type']}:{target['id'] or '(new)'}"
    undo = "yes" if one["can_undo"] else f"no: {one['why_not']}"
    return (one["intent"], one["ts"], one["step_id"], one["action"], aimed, one["state"], one["verification"], undo)


def limits(words: list[str]) -> Json:
    """``writes=10`` and ``amount.refund=12.5`` as the API takes them."""
    found: Json = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise wrong_use(f"--limit {word!r}: write NAME=VALUE, such as writes=10, rate=5/s or amount.refund=100")
        if name.startswith("amount."):
            found.setdefault("amount", {})[name.removeprefix("amount.")] = _number(value)
        else:
            found[name] = value if name == "rate" else _number(value)
    return found


def _number(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
