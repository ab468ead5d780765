"""``killcord rollback``: plan one, start it, watch it, stop it, go on with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from gateway.cli import api, output
from gateway.cli.failure import REFUSED, wrong_use
from gateway.core.codec import plan as codec_plan
from gateway.core.rollback import plan_table

Json = dict[str, Any]

app = typer.Typer(help="Take back what a contained run did; alone: every rollback.", invoke_without_command=True)

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run, which has to be contained.", show_default=False)]
RollbackId = Annotated[str, typer.Argument(metavar="ROLLBACK", help="The rollback's id.", show_default=False)]
Subtree = Annotated[bool, typer.Option("--subtree", help="And all that it started.")]
To = Annotated[str, typer.Option(help="start, a checkpoint's id, or an entry STREAM/SEQ: what came after it is taken back.")]
Why = Annotated[str, typer.Option(help="Why; it stands in the journal.", show_default=False)]
OfRun = Annotated[str | None, typer.Option("--run", help="Those of this run.")]
State = Annotated[str | None, typer.Option(help="running, needs_operator, clean, residue or stopped.")]
Watch = Annotated[bool, typer.Option("--watch", help="Follow it until it ends or waits for a person.")]

POLLED = 0.25
"""Seconds between two looks at a rollback that is watched."""

_ROLLBACKS = ("ROLLBACK", "RUN", "TENANT", "TO", "STATE", "STARTED", "BY", "REASON")
_NAMES = ("rollback_id", "run_id", "tenant", "to", "state", "started_at", "by", "reason")
_CAME_OF = ("NODE", "STATE", "ACTION", "OBJECT", "BY", "FOLLOW", "WHY")

_LEFT = {
    "residue": "What is left for a person, with evidence: killcord tasks --run {run}",
    "needs_operator": "It goes on by itself once this is decided: killcord approvals; killcord tasks --run {run}",
    "stopped": "Nothing more is sent until: killcord rollback continue {rollback} --reason ...",
}
"""States in which something is left for a person, exit 1, and where to go on."""
_AWAY = "Once the tool is back, this tries again: killcord rollback continue {rollback} --reason ..."


@app.callback()
def rollbacks(context: typer.Context, run: OfRun = None, state: State = None) -> None:
    """Take back what a contained run did; alone: every rollback."""
    if context.invoked_subcommand is None:
        list_rollbacks(context, run, state)


@app.command("list")
def list_rollbacks(context: typer.Context, run: OfRun = None, state: State = None) -> None:
    """List rollbacks, oldest first."""
    found = list(api.of_environment().all("/v1/rollbacks", run=run, state=state))
    output.of(context).table(found, _ROLLBACKS, ([one[name] for name in _NAMES] for one in found))


@app.command("plan")
def plan(
    context: typer.Context,
    run: RunId,
    subtree: Subtree = False,
    to: To = "start",
    svg: Annotated[Path | None, typer.Option(help="Draw the plan into this file instead.", dir_okay=False)] = None,
) -> None:
    """Show what a rollback would do, and in which order. Nothing is changed."""
    body = {"scope": {"run": run, "subtree": subtree}, "to": to, "dry_run": True}
    out = output.of(context)
    if svg is not None:
        _written(svg, api.of_environment().drawn("/v1/rollbacks", body))
        out.value({"svg": str(svg)}, [f"The plan is drawn in {svg}."])
        return
    planned = api.of_environment().post("/v1/rollbacks", body)
    found = codec_plan.read(planned)
    out.table(planned, [column.upper() for column in plan_table.COLUMNS], plan_table.rows(found))
    out.tell(planned["summary"])
    if found.irreversible:
        out.tell("Something of this cannot be undone: a rollback hands it to a person, and nothing that it sets off may start meanwhile.")


@app.command("start")
def start(context: typer.Context, run: RunId, reason: Why, subtree: Subtree = False, to: To = "start", watch: Watch = False) -> None:
    """Start a rollback, or find the one that runs; with --watch, follow it, and exit 1 where something is left for a person."""
    begun = api.of_environment().post("/v1/rollbacks", {"scope": {"run": run, "subtree": subtree}, "to": to, "reason": reason})
    name = begun["rollback_id"]
    if begun["run_id"] != run or begun["to"] != to or subtree > begun["subtree"]:
        below = "and all below it " if begun["subtree"] else ""
        other = f"The rollback of run {begun['run_id']} {below}to {begun['to']} is under way, and is what follows"
        output.of(context).tell(f"{other}. For what was asked for, wait for its end or stop it, and ask again.")
    if watch:
        output.of(context).tell(f"Rollback {name} of run {begun['run_id']} to {begun['to']}.")
        _watched(context, name)
    else:
        follow = f"Follow it with: killcord rollback status {name} --watch"
        output.of(context).value(begun, [f"Rollback {name} of run {begun['run_id']} to {begun['to']}: {begun['state']}.", follow])


@app.command("status")
def status(context: typer.Context, rollback: RollbackId, watch: Watch = False) -> None:
    """Show a rollback node by node; exit 1 where something is left for a person."""
    if watch:
        _watched(context, rollback)
    else:
        _ended(context, api.of_environment().get(f"/v1/rollbacks/{api.part(rollback)}"))


@app.command("stop")
def stop(context: typer.Context, rollback: RollbackId, reason: Why) -> None:
    """Stop a rollback: nothing more is sent for it. It can be gone on with later."""
    _change(context, rollback, "stop", reason)


@app.command("continue")
def go_on(context: typer.Context, rollback: RollbackId, reason: Why, watch: Watch = False) -> None:
    """Go on with a rollback that was stopped, or that waited for a person."""
    if watch:
        api.of_environment().post(f"/v1/rollbacks/{api.part(rollback)}/continue", {"reason": reason})
        _watched(context, rollback)
    else:
        _change(context, rollback, "continue", reason)


def _change(context: typer.Context, rollback: str, change: str, reason: str) -> None:
    changed = api.of_environment().post(f"/v1/rollbacks/{api.part(rollback)}/{change}", {"reason": reason})
    output.of(context).value(changed, [f"Rollback {changed['rollback_id']}: {changed['state']}."])


def _watched(context: typer.Context, rollback: str) -> None:
    """Follow a rollback while it runs: a bar for people, a line for each step where standard error is no terminal."""
    gateway, path = api.of_environment(), f"/v1/rollbacks/{api.part(rollback)}"
    found = gateway.get(path, nodes="false")
    with output.progress("taking back", found["progress"]["nodes"]) as bar:
        told: Json = {}
        while found["state"] == "running":
            if found["progress"] != told:
                told = found["progress"]
                _tell(context, bar, told)
            time.sleep(POLLED)
            found = gateway.get(path, nodes="false")
    _ended(context, gateway.get(path))


def _tell(context: typer.Context, bar: Progress, counts: Json) -> None:
    passed = sum(counts[state] for state in ("done", "nothing", "task", "failed"))
    waits = f", {counts['waiting']} waiting: killcord rollback status says for what" if counts["waiting"] else ""
    bar.update(bar.task_ids[0], completed=passed, total=counts["nodes"], description=f"taking back{waits}")
    if bar.disable:
        others = ", ".join(f"{counts[state]} {state}" for state in ("running", "task", "waiting", "unknown", "failed") if counts[state])
        output.of(context).tell(f"{passed} of {counts['nodes']}" + (f" ({others})" if others else ""))


def _ended(context: typer.Context, one: Json) -> None:
    """Show it as it is, and say by the exit code whether something is left."""
    out = output.of(context)
    out.value(one, _lines(one))
    if not out.as_json:
        names = plan_table.short([node["node_id"] for node in one["nodes"]])
        out.table(one, _CAME_OF, (_came_of(node, names) for node in one["nodes"]))
    if one["state"] in _LEFT:
        for line in where_to_go_on(one):
            out.tell(line)
        raise typer.Exit(REFUSED)


def where_to_go_on(one: Json) -> Iterator[str]:
    """What a person has to do about a rollback in whose state something is left."""
    named, state = {"run": one["run_id"], "rollback": one["rollback_id"]}, one["state"]
    waits = [node for node in one["nodes"] if node["state"] in ("waiting", "unknown")]
    decided = state != "needs_operator" or any(node["state"] == "unknown" or not node.get("retriable") for node in waits)
    if decided:
        yield _LEFT[state].format(**named)
    if decided and one["subtree"] and state != "stopped":
        yield "Without --run, that shows what is left of all that the run started, too."
    if state == "needs_operator" and (not waits or any(node.get("retriable") for node in waits)):
        yield _AWAY.format(**named)


def _lines(one: Json) -> Iterator[str]:
    counts = ", ".join(f"{count} {state}" for state, count in one["progress"].items() if state != "nodes" and count)
    below = " and all below it" if one["subtree"] else ""
    yield f"rollback  {one['rollback_id']} of run {one['run_id']}{below} to {one['to']}: {one['state']}"
    yield f"plan      {one['summary']}"
    yield f"nodes     {one['progress']['nodes']}" + (f" ({counts})" if counts else "")
    yield f"reason    {one['reason']} (by {one['by']})"
    yield from (f"residue   {sentence}" for sentence in one["residue"])
    yield from (f"unseen    {sentence}" for sentence in one["unseen"])
    yield ""


def _came_of(node: Json, names: Mapping[str, str]) -> tuple[object, ...]:
    follow = node.get("task_id") or node.get("approval_id") or ", ".join(node["entries"][-1:])
    return (names[node["node_id"]], node["state"], node["action"], _object(node), node.get("by"), follow, _why(node))


def _why(node: Json) -> str:
    """Why it is as it is, and what comes next without anybody's doing."""
    if "retry_at" in node:
        return f"{node['why']} (tried again at {node['retry_at']})"
    if (request := node.get("request")) is not None:
        return f"{node['why']}: {request['method']} {request['path']}"
    return str(node["why"])


def _object(node: Json) -> str:
    target = node["target"]
    return f"{target['system']}:{target['type']}:{target['id'] or '(new)'}"


def _written(file: Path, drawn: bytes) -> None:
    try:
        file.write_bytes(drawn)
    except OSError as error:
        raise wrong_use(f"--svg {file} cannot be written: {error.strerror}") from error
