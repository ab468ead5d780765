"""``killcord incidents``, ``report`` and ``recover``: what was detected about runs, what was done, and how to finish it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import client, output, runs
from gateway.cli.options import IncidentId, IncidentState, Limits, OfRun, Reason, group
from gateway.cli.output import REFUSED, accessing, columns
from gateway.sdk.messages import Json, path
from gateway.sdk.sync import Killcord

app = group(
    "Incidents: what was detected and done. Without a command, lists them; with an incident's id alone, shows it.",
    default="list",
    for_id="show",
)

POLLED = 0.2
"""Seconds between two looks at a recovery."""

_INCIDENTS = columns(
    "INCIDENT=incident_id OPENED=opened_at RUN=run_id TENANT CAUSE ACTION VERDICT ROLLBACK STATE",
    optional="VERDICT ROLLBACK OPENED ACTION TENANT CAUSE",
)
_MOVING = ("contain", "compensate", "compensating", "resume")
"""Stages of a recovery that wait for nobody."""
_NOTHING = ("  nothing",)

State = Annotated[IncidentState | None, typer.Option(help="Only those in this state.")]
Out = Annotated[Path | None, typer.Option(help="Write it to this file.")]


@app.command("list")
def list_incidents(context: typer.Context, run: OfRun = None, state: State = None) -> None:
    """List incidents, oldest first."""
    client.list_items(context, path("incidents"), _INCIDENTS, run=run, state=state)


@app.command("show")
def show(context: typer.Context, incident: IncidentId) -> None:
    """Show one incident. What was detected, what was done, what the run touched, what is still open."""
    client.show(context, path("incidents", incident), _lines)


@app.command("explain")
def explain(context: typer.Context, incident: IncidentId) -> None:
    """List each decision of the gateway (retry, degrade, contain, roll back, task) with its rule and reason."""
    # Here and below: a containment must not wait for the import of what it does not need.
    from gateway.core.codec import entry as codec
    from gateway.core.incident import explanation

    gateway = client.connect()
    found = gateway.ask("GET", path("incidents", incident))
    entries = [one for kind in explanation.KINDS for one in gateway.items(path("journal"), run=found["run_id"], kind=kind)]
    typed = [codec.of_fields(one) for one in sorted(entries, key=lambda one: one["seq"])]
    reasons = explanation.explained(found["generation"], typed)
    output.of(context).value({"incident_id": found["incident_id"], "reasons": reasons}, _reasons(reasons))


def report(context: typer.Context, incident: IncidentId, out: Out = None) -> None:
    """Write an incident's post-mortem in Markdown. It names the entries that it rests on and how to verify them."""
    from gateway.core.incident import postmortem

    gateway, printed = client.connect(), output.of(context)
    found = gateway.ask("GET", path("incidents", incident))
    heads = _heads(gateway, found)
    text = postmortem.markdown(found, heads["items"], heads["verifier_key"])
    value = {"incident_id": found["incident_id"], "file": None if out is None else str(out), "markdown": text}
    lines = text.rstrip("\n").split("\n")
    if out is not None:
        with accessing("--out", out, "write"):
            out.write_text(text, encoding="utf-8")
        lines = [f"The post-mortem of {found['incident_id']} is in {out}."]
    printed.value(value, lines)


def recover(
    context: typer.Context,
    incident: IncidentId,
    reason: Reason,
    checkpoint: runs.Checkpoint = None,
    scope: runs.Scopes = None,
    tool: runs.Tools = None,
    mode: runs.Mode = None,
    limit: Limits = None,
    require_approval: runs.Gates = None,
) -> None:
    """Contain, roll back, verify and resume.

    Takes an incident to its end and resumes its run with fewer permissions. Prints each stage; exits with code 1 if a person has to decide.
    """
    gateway, where = client.connect(), path("incidents", incident)
    found = gateway.ask("POST", f"{where}/recover", runs.permissions(context.params))
    printed = ""
    while True:
        now = found["recovery"]
        if (line := f"{_stage(now)}: {now['why']}") != printed:
            output.of(context).note(line)
            printed = line
        if now["stage"] not in _MOVING:
            break
        time.sleep(POLLED)
        found = gateway.ask("GET", where)
    output.of(context).value(found, _recovered(found))
    if now["stage"] == "waits":
        raise typer.Exit(REFUSED)


def _heads(gateway: Killcord, incident: Json) -> Json:
    """The newest signed heads; the gateway signs a new one only if an entry of the incident is beyond them."""
    from gateway.cli import evidence

    signed = gateway.ask("GET", path("journal", "heads"))
    ends = {one["stream"]: one["seq"] for one in signed["items"]}
    places = (name.rpartition("/") for name in incident["hashes"])
    if all(int(seq) <= ends.get(stream, 0) for stream, _, seq in places):
        return signed
    return evidence.signed_heads(gateway)


def _reasons(reasons: list[Json]) -> Iterator[str]:
    for one in reasons:
        revision = f", revision {one['revision']}" if "revision" in one else ""
        yield f"{one['ts']}  {one['entry']}"
        yield f"  {one['decided']}"
        yield f"  by   {one['rule']}{revision}"
        yield f"  why  {one['why']}"


def _lines(one: Json) -> Iterator[str]:
    now = one["recovery"]
    yield f"incident  {one['incident_id']} ({one['state']})"
    yield f"run       {one['run_id']} of {one['agent_id']}, tenant {one['tenant']}, generation {one['generation']}"
    yield f"cause     {one['cause']}, {one['triggers']} trigger(s)"
    yield f"answer    {one['action']} ({one['verdict']}): {one['why']}"
    yield f"rollback  {one['rollback']}"
    if (stopped := one["stopped"]) is not None:
        yield f"stopped   by order {stopped['order_id']}, {stopped['after_ms']:.3f} ms after the first trigger"
    yield f"recovery  {_stage(now)}: {now['why']}"
    if now["caution"] is not None:
        yield f"caution   {now['caution']}"
    if now["asked"] is not None:
        yield from (f"next      {step['how']}" for step in now["waits_for"])
    yield from ("", "What happened")
    for line in one["timeline"]:
        yield f"  {line['ts']}  {line['entry']}  {line['what']}" + (f" (by {line['by']})" if "by" in line else "")
    yield from _omitted(one["omitted"]["timeline"], "entries")
    yield from ("", "Affected objects")
    yield from (_touched(row) for row in one["affected"]) if one["affected"] else _NOTHING
    yield from _omitted(one["omitted"]["affected"], "objects")
    yield from ("", "Open items")
    yield from (f"  {row['what'].replace('-', ' ')}: {row['text']}{_named(row)}" for row in one["open"]) if one["open"] else _NOTHING


def _recovered(found: Json) -> Iterator[str]:
    now = found["recovery"]
    yield f"incident    {found['incident_id']}: {_stage(now)}"
    yield f"checkpoint  {now['checkpoint'] or '-'}"
    if now["flow"]:
        yield f"flow        {', '.join(f'{step} {state}' for step, state in now['flow'].items())}"
    if now["caution"] is not None:
        yield f"caution     {now['caution']}"
    for one in now["waits_for"]:
        yield f"waits for   {one['what']} {one['id'] or ''}".rstrip() + f": {one['how']}"
    if now["stage"] == "resumed":
        yield f"lease       killcord runs renew {found['run_id']}"


def _stage(recovery: Json) -> str:
    return str(recovery["stage"]).replace("_", " ")


def _touched(row: Json) -> str:
    undo = "can be undone" if row["can_undo"] else row["why_not"]
    return f"  {output.named(row['object'])}  {row['state']}, {row['effects']} effect(s); {undo}"


def _named(row: Json) -> str:
    name = row.get("entry") or row.get("task_id") or row.get("order_id") or row.get("rollback_id")
    return "" if name is None else f" [{name}]"


def _omitted(count: int, what: str) -> Iterator[str]:
    if count:
        yield f"  ({count} more {what}: see `killcord journal export` and `killcord runs effects`)"
