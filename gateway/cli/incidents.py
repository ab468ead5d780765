"""``killcord incidents``: what was detected about runs, and what was done about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gateway.cli import api, output
from gateway.core.incident import explanation

Json = dict[str, Any]

_COLUMNS = ("INCIDENT", "OPENED", "RUN", "TENANT", "CAUSE", "ACTION", "VERDICT", "ROLLBACK", "STATE")
_NAMES = ("incident_id", "opened_at", "run_id", "tenant", "cause", "action", "verdict", "rollback", "state")

_NOTHING = ("  nothing",)

Run = Annotated[str | None, typer.Option(help="Those of this run.")]
State = Annotated[str | None, typer.Option(help="open or closed; without it, both.")]


class _ByName(TyperGroup):
    """A word that is no command is an incident to show: ``killcord incidents inc_1``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


app = typer.Typer(help="Incidents; alone: all of them, with an id: that one.", cls=_ByName, invoke_without_command=True)


@app.callback()
def incidents(context: typer.Context, run: Run = None, state: State = None) -> None:
    """Incidents; alone: all of them, with an id: that one."""
    if context.invoked_subcommand is None:
        list_incidents(context, run, state)


@app.command("list")
def list_incidents(context: typer.Context, run: Run = None, state: State = None) -> None:
    """List incidents, oldest first."""
    found = list(api.of_environment().all("/v1/incidents", run=run, state=state))
    output.of(context).table(found, _COLUMNS, ([one[name] for name in _NAMES] for one in found))


@app.command("show")
def show(context: typer.Context, incident: Annotated[str, typer.Argument(help="The incident's id.", show_default=False)]) -> None:
    """One incident as a story: what was seen, what was done, what it touched, what is still open."""
    found = api.of_environment().get(f"/v1/incidents/{api.part(incident)}")
    output.of(context).value(found, _lines(found))


@app.command("explain")
def explain(context: typer.Context, incident: Annotated[str, typer.Argument(help="The incident's id.", show_default=False)]) -> None:
    """Why the controller retried, degraded, contained, took back or handed over: rule by rule."""
    gateway = api.of_environment()
    found = gateway.get(f"/v1/incidents/{api.part(incident)}")
    entries = [one for kind in explanation.KINDS for one in gateway.all("/v1/journal", run=found["run_id"], kind=kind)]
    reasons = explanation.explained(found, sorted(entries, key=lambda one: one["seq"]))
    output.of(context).value({"incident_id": found["incident_id"], "reasons": reasons}, _reasons(reasons))


def _reasons(reasons: list[Json]) -> Iterator[str]:
    for one in reasons:
        revision = f", revision {one['revision']}" if "revision" in one else ""
        yield f"{one['ts']}  {one['entry']}"
        yield f"  {one['decided']}"
        yield f"  by   {one['rule']}{revision}"
        yield f"  why  {one['why']}"


def _lines(one: Json) -> Iterator[str]:
    yield f"incident  {one['incident_id']} ({one['state']})"
    yield f"run       {one['run_id']} of {one['agent_id']}, tenant {one['tenant']}, generation {one['generation']}"
    yield f"cause     {one['cause']}, {one['triggers']} trigger(s)"
    yield f"answer    {one['action']} ({one['verdict']}): {one['why']}"
    yield f"rollback  {one['rollback']}"
    if (stopped := one["stopped"]) is not None:
        yield f"stopped   by order {stopped['order_id']}, {stopped['after_ms']:.3f} ms after the first trigger"
    yield from _recovery(one["recovery"])
    yield from ("", "What happened")
    yield from (f"  {line['ts']}  {line['entry']}  {line['what']}{_by(line)}" for line in one["timeline"])
    yield from _omitted(one["omitted"]["timeline"], "entries")
    yield from ("", "What it touched")
    yield from (_touched(row) for row in one["affected"]) if one["affected"] else _NOTHING
    yield from _omitted(one["omitted"]["affected"], "objects")
    yield from ("", "What is open")
    yield from (f"  {row['what'].replace('-', ' ')}: {row['text']}{_named(row)}" for row in one["open"]) if one["open"] else _NOTHING


def _recovery(now: Json) -> Iterator[str]:
    """Where its recovery is, or would begin, and what it waits for."""
    yield f"recovery  {now['stage'].replace('_', ' ')}: {now['why']}"
    if now["caution"] is not None:
        yield f"caution   {now['caution']}"
    if now["asked"] is not None:
        yield from (f"go on by  {one['how']}" for one in now["waits_for"])


def _by(line: Json) -> str:
    return f" (by {line['by']})" if "by" in line else ""


def _touched(row: Json) -> str:
    named = row["object"]
    undo = "can be undone" if row["can_undo"] else row["why_not"]
    return f"  {named['system']}:{named['type']}:{named['id'] or '(new)'}  {row['state']}, {row['effects']} effect(s); {undo}"


def _named(row: Json) -> str:
    name = row.get("entry") or row.get("task_id") or row.get("order_id") or row.get("rollback_id")
    return "" if name is None else f" [{name}]"


def _omitted(count: int, what: str) -> Iterator[str]:
    if count:
        yield f"  ({count} more {what}; killcord journal export and killcord runs effects have them)"
