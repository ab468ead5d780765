"""``killcord rollbacks``: plan, start, follow, stop and continue them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from operator import itemgetter
from typing import Annotated

import typer
from rich.progress import Progress

from gateway.cli import client, completion, output
from gateway.cli.options import OfRun, Reason, RollbackState, RunId, group
from gateway.cli.output import REFUSED, columns
from gateway.core.rollback import plan_views
from gateway.sdk.messages import Json, path

app = group("Rollbacks of contained runs. Without a command, lists them.", default="list")

RollbackId = Annotated[str, typer.Argument(metavar="ROLLBACK", help="The rollback's id.", autocompletion=completion.rollbacks)]
Subtree = Annotated[bool, typer.Option("--subtree", help="Also everything that the run started.")]
To = Annotated[str, typer.Option(help="start, a checkpoint's id, or an entry STREAM/SEQ: what came after it is rolled back.")]
Watch = Annotated[bool, typer.Option("--watch", help="Follow it until it ends or waits for a person.")]

POLLED = 0.25
"""Seconds between two looks at a rollback that is followed."""

_ROLLBACKS = columns("ROLLBACK=rollback_id RUN=run_id TENANT TO STATE STARTED=started_at BY REASON", optional="BY STARTED TO TENANT")

_CHANGED = "Rollback {rollback_id}: {state}."
_LEFT = {
    "residue": "See what is left for a person, with evidence: killcord tasks --run {run}",
    "needs_operator": "The rollback continues automatically after these decisions: killcord approvals; killcord tasks --run {run}",
    "stopped": "To continue it: killcord rollbacks continue {rollback} --reason ...",
}
"""States in which something is left for a person, which is exit code 1, and the next command."""
_UNAVAILABLE = "When the tool answers again, retry with: killcord rollbacks continue {rollback} --reason ..."

State = Annotated[RollbackState | None, typer.Option(help="Only those in this state.")]
Mermaid = Annotated[bool, typer.Option("--mermaid", help="Print the plan as a Mermaid flowchart instead.")]


@app.command("list")
def list_rollbacks(context: typer.Context, run: OfRun = None, state: State = None) -> None:
    """List rollbacks, oldest first."""
    client.list_items(context, path("rollbacks"), _ROLLBACKS, run=run, state=state)


@app.command("plan")
def plan(context: typer.Context, run: RunId, subtree: Subtree = False, to: To = "start", mermaid: Mermaid = False) -> None:
    """Show what a rollback would do, in order. It changes nothing."""
    # A containment must not wait for the import of what it does not need.
    from gateway.core.codec import record

    body = {"scope": {"run": run, "subtree": subtree}, "to": to, "dry_run": True}
    planned, out = client.post(path("rollbacks"), body), output.of(context)
    found = record.plan_of(planned)
    if mermaid:
        drawn = plan_views.mermaid(found)
        out.value({"mermaid": drawn}, drawn.splitlines())
        return
    steps = output.Columns({name.upper(): itemgetter(at) for at, name in enumerate(plan_views.COLUMNS)})
    out.table(planned, steps, plan_views.rows(found))
    out.note(planned["summary"])
    if found.irreversible:
        out.note("Some of this cannot be undone: a rollback hands it to a person, and everything that it triggers has to wait.")


@app.command("start")
def start(context: typer.Context, run: RunId, reason: Reason, subtree: Subtree = False, to: To = "start", watch: Watch = False) -> None:
    """Start a rollback, or find the active one. With --watch, follows it, and exits with code 1 if something is left for a person."""
    body = {"scope": {"run": run, "subtree": subtree}, "to": to, "reason": reason}
    begun, out = client.post(path("rollbacks"), body), output.of(context)
    name = begun["rollback_id"]
    if begun["run_id"] != run or begun["to"] != to or subtree > begun["subtree"]:
        below = "and everything below it " if begun["subtree"] else ""
        other = f"The rollback of run {begun['run_id']} {below}to {begun['to']} is active, and is shown instead"
        out.note(f"{other}. To start the one that you asked for, wait until it ends or stop it, and try again.")
    line = f"Rollback {name} of run {begun['run_id']} to {begun['to']}"
    if watch:
        out.note(f"{line}.")
        _follow(context, name)
    else:
        out.value(begun, [f"{line}: {begun['state']}.", f"Follow it with: killcord rollbacks status {name} --watch"])


@app.command("status")
def status(context: typer.Context, rollback: RollbackId, watch: Watch = False) -> None:
    """Show a rollback node by node. Exits with code 1 if something is left for a person."""
    if watch:
        _follow(context, rollback)
    else:
        _show(context, client.get(path("rollbacks", rollback)))


@app.command("stop")
def stop(context: typer.Context, rollback: RollbackId, reason: Reason) -> None:
    """Stop a rollback. The gateway sends nothing more for it; it can be continued later."""
    client.change(context, path("rollbacks", rollback, "stop"), {"reason": reason}, _CHANGED)


@app.command("continue")
def continue_rollback(context: typer.Context, rollback: RollbackId, reason: Reason, watch: Watch = False) -> None:
    """Continue a rollback that stopped or waited."""
    where, body = path("rollbacks", rollback, "continue"), {"reason": reason}
    if watch:
        client.post(where, body)
        _follow(context, rollback)
    else:
        client.change(context, where, body, _CHANGED)


def _follow(context: typer.Context, rollback: str) -> None:
    """Follow a rollback while it runs: a bar for people, a line for each step if standard error is not a terminal."""
    gateway, where = client.connect(), path("rollbacks", rollback)
    with output.progress("rolling back", 0) as bar:
        printed: Json = {}
        while (found := gateway.ask("GET", where, query={"nodes": "false"}))["state"] == "running":
            if found["progress"] != printed:
                printed = found["progress"]
                _report(context, bar, printed)
            time.sleep(POLLED)
    _show(context, gateway.ask("GET", where))


def _report(context: typer.Context, bar: Progress, counts: Json) -> None:
    passed = sum(counts[state] for state in ("done", "nothing", "task", "failed"))
    waits = f", {counts['waiting']} waiting: `killcord rollbacks status` shows for what" if counts["waiting"] else ""
    bar.update(bar.task_ids[0], completed=passed, total=counts["nodes"], description=f"rolling back{waits}")
    if bar.disable:
        others = ", ".join(f"{counts[state]} {state}" for state in ("running", "task", "waiting", "unknown", "failed") if counts[state])
        output.of(context).note(f"{passed} of {counts['nodes']}" + (f" ({others})" if others else ""))


def _show(context: typer.Context, one: Json) -> None:
    """Print a rollback; exit with code 1 if something is left for a person."""
    out = output.of(context)
    out.value(one, _lines(one))
    if not out.as_json:
        names = plan_views.short([node["node_id"] for node in one["nodes"]])
        found = columns(
            "NODE STATE ACTION OBJECT BY FOLLOW WHY",
            optional="BY ACTION",
            NODE=lambda node: names[node["node_id"]],
            OBJECT=output.target,
            BY=lambda node: node.get("by"),
            FOLLOW=lambda node: node.get("task_id") or node.get("approval_id") or ", ".join(node["entries"][-1:]),
            WHY=_why,
        )
        out.table(one, found, one["nodes"])
    if one["state"] in _LEFT:
        for line in next_commands(one):
            out.note(line)
        raise typer.Exit(REFUSED)


def next_commands(one: Json) -> Iterator[str]:
    """What a person has to do about a rollback whose state leaves something."""
    named, state = {"run": one["run_id"], "rollback": one["rollback_id"]}, one["state"]
    waits = [node for node in one["nodes"] if node["state"] in ("waiting", "unknown")]
    decided = state != "needs_operator" or any(node["state"] == "unknown" or not node.get("retriable") for node in waits)
    if decided:
        yield _LEFT[state].format(**named)
    if decided and one["subtree"] and state != "stopped":
        yield "Without --run, that also shows what is left of everything that the run started."
    if state == "needs_operator" and (not waits or any(node.get("retriable") for node in waits)):
        yield _UNAVAILABLE.format(**named)


def _lines(one: Json) -> Iterator[str]:
    counts = ", ".join(f"{count} {state}" for state, count in one["progress"].items() if state != "nodes" and count)
    below = " and everything below it" if one["subtree"] else ""
    yield f"rollback  {one['rollback_id']} of run {one['run_id']}{below} to {one['to']}: {one['state']}"
    yield f"plan      {one['summary']}"
    yield f"nodes     {one['progress']['nodes']}" + (f" ({counts})" if counts else "")
    if compared := list(dict.fromkeys(name for node in one["nodes"] for name in node.get("compared", ()))):
        shown = ["content-type (of objects that had one)" if name == "content-type" else name for name in compared]
        yield f"compared  {', '.join(shown)}; nothing else of the objects"
    yield f"reason    {one['reason']} (by {one['by']})"
    yield from (f"residue   {sentence}" for sentence in one["residue"])
    yield from (f"unseen    {sentence}" for sentence in one["unseen"])
    yield ""


def _why(node: Json) -> str:
    """Why a node is in its state, and what happens next automatically."""
    if "retry_at" in node:
        return f"{node['why']} (retried at {node['retry_at']})"
    if (request := node.get("request")) is not None:
        return f"{node['why']}: {request['method']} {request['path']}"
    return str(node["why"])
