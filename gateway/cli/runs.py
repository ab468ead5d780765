"""``killcord runs``, ``checkpoints`` and ``resume``: runs, their leases, and the positions from which they can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any

import typer

from gateway.cli import client, options, output
from gateway.cli.options import Limits, MaybeReason, OfTenant, Reason, RunId, Ttl, group
from gateway.cli.output import columns, wrong_use
from gateway.sdk.messages import Json, given, path

app = group("Runs: executions of agents' tasks.")
checkpoints = group("Checkpoints: positions to resume a run from. With a run's id alone, takes one.", for_id="take")

_RUNS = columns(
    "RUN=run_id TENANT AGENT=agent_id CLASS=task_class MODE STEPS WRITES EXPIRES=expires_at STATE",
    optional="EXPIRES STEPS WRITES CLASS AGENT TENANT",
    STEPS=lambda run: run["counters"].get("steps", 0),
    WRITES=lambda run: run["counters"].get("writes", 0),
    STATE=lambda run: "open" if run["closed_at"] is None else "closed",
)
_EFFECTS = columns(
    "INTENT TIME=ts STEP=step_id ACTION TARGET STATE VERIFIED=verification CAN_UNDO",
    optional="STEP TIME VERIFIED ACTION",
    TARGET=output.target,
    STATE=lambda one: "found, not proven" if one["known_by"] == "state" and one["state"] == "standing" else one["state"],
    CAN_UNDO=lambda one: "yes" if one["can_undo"] else f"no: {one['why_not']}",
)
_CHECKPOINTS = columns(
    "CHECKPOINT=checkpoint_id AT LABEL STATE=state_ref TAKEN=taken_at BY",
    optional="BY TAKEN AT LABEL",
    LABEL=lambda one: "(automatic)" if one["automatic"] else one["label"],
)

OfAgent = Annotated[str | None, typer.Option(help="Only of this agent.")]
InMode = Annotated[options.Mode | None, typer.Option(help="Only in this effective mode.")]
OfParent = Annotated[str | None, typer.Option(help="Only children of this run.")]
StateRef = Annotated[str, typer.Option(help="Where the workflow keeps its present state.")]
Label = Annotated[str | None, typer.Option(help="A name for people.")]


@app.command("open")
def open_run(
    context: typer.Context,
    tenant: Annotated[str, typer.Option(help="The tenant whose data the run uses.")],
    agent: Annotated[str, typer.Option(help="The agent's id.")],
    scope: Annotated[list[str], typer.Option(help="What the run may do, such as 'erp:invoice.*'; can be repeated.")],
    task_class: Annotated[str, typer.Option(help="The task class, which sets defaults and limits.")] = "default",
    tool: Annotated[list[str] | None, typer.Option(help="Allow only this tool; can be repeated.")] = None,
    ttl: Ttl = None,
    run: Annotated[str | None, typer.Option(help="The run's id; without it, the gateway chooses one.")] = None,
    workflow: Annotated[str | None, typer.Option(help="The workflow that the run belongs to, if a task is queued again.")] = None,
    parent: Annotated[str | None, typer.Option(help="The id of the run that coordinates this one.")] = None,
    mode: Annotated[options.Mode | None, typer.Option(help="Start in this mode.")] = None,
    limit: Limits = None,
    reason: MaybeReason = None,
) -> None:
    """Open a run and print its lease."""
    about = given(tenant=tenant, agent_id=agent, task_class=task_class, run_id=run, workflow_id=workflow, parent_run=parent, reason=reason)
    body = about | given(scopes=scope, tools=tool, ttl=ttl, mode=mode, limits=_limits(limit))
    client.change(context, path("runs"), body, lambda opened: [f"run      {opened['run']['run_id']}", *_lease(opened)])


@app.command("list")
def list_runs(context: typer.Context, tenant: OfTenant = None, agent: OfAgent = None, mode: InMode = None, parent: OfParent = None) -> None:
    """List runs, oldest first."""
    client.list_items(context, path("runs"), _RUNS, tenant=tenant, agent=agent, mode=mode, parent=parent)


@app.command("show")
def show_run(context: typer.Context, run: RunId) -> None:
    """Show one run. What it may do, what it has used, and which orders hold it."""
    client.show(context, path("runs", run), _run)


@app.command("effects")
def effects(context: typer.Context, run: RunId) -> None:
    """List what a run changed and what can be undone."""
    client.list_items(context, path("runs", run, "effects"), _EFFECTS)


@app.command("renew")
def renew(context: typer.Context, run: RunId, ttl: Ttl = None) -> None:
    """Print a new lease of a run. It is of the run's present generation."""
    client.change(context, path("runs", run, "lease"), given(ttl=ttl), _lease)


@app.command("close")
def close(context: typer.Context, run: RunId, reason: MaybeReason = None) -> None:
    """Close a run, which ends its leases."""
    client.change(context, path("runs", run, "close"), given(reason=reason), "Run {run_id} is closed since {closed_at}.")


@checkpoints.command("take")
def take(context: typer.Context, run: RunId, state_ref: StateRef, label: Label = None, reason: MaybeReason = None) -> None:
    """Take a checkpoint of a run. The gateway refuses it while an effect of the run is not known and verified."""
    body = given(state_ref=state_ref, label=label, reason=reason)
    client.change(context, path("runs", run, "checkpoints"), body, "Checkpoint {checkpoint_id} stands at {at}.")


@checkpoints.command("list")
def list_checkpoints(context: typer.Context, run: RunId) -> None:
    """List a run's checkpoints. The newest automatic one is last; a note says where a recovery would start."""
    gateway, where, out = client.connect(), path("runs", run, "checkpoints"), output.of(context)
    taken = list(gateway.items(where))
    rest = gateway.ask("GET", where, query={"limit": 1})
    automatic, recovery = rest["automatic"], rest["recovery"]
    listed = filter(None, (*taken, automatic))
    out.table({"items": taken, "automatic": automatic, "recovery": recovery}, _CHECKPOINTS, listed)
    why = f" {recovery['why']}" if recovery["why"] is not None else ""
    out.note(f"A recovery would start at {recovery['checkpoint_id']}.{why}" if recovery["ready"] else f"Not ready for recovery:{why}")


Checkpoint = Annotated[
    str | None, typer.Option(help="A checkpoint's id, an entry STREAM/SEQ, or start; without it, the latest usable checkpoint.")
]
Scopes = Annotated[list[str] | None, typer.Option("--scope", help="A scope to keep, such as 'erp:invoice.*'; can be repeated.")]
Tools = Annotated[list[str] | None, typer.Option("--tool", help="A tool to keep; can be repeated.")]
Mode = Annotated[options.Mode | None, typer.Option(help="The run's own mode from now on.")]
Gates = Annotated[
    list[str] | None, typer.Option("--require-approval", help="Writes that need an approval, such as 'erp:refund.*'; can be repeated.")
]

RaisedLimits = Annotated[
    list[str] | None,
    typer.Option("--raise-limit", help="A limit to raise, such as writes=400, up to the class's; only admins."),
]


def resume(
    context: typer.Context,
    run: RunId,
    reason: Reason,
    checkpoint: Checkpoint = None,
    scope: Scopes = None,
    tool: Tools = None,
    mode: Mode = None,
    limit: Limits = None,
    require_approval: Gates = None,
    raise_limit: RaisedLimits = None,
) -> None:
    """Resume a contained run with a new lease. Its permissions are equal or fewer. Nothing from before the checkpoint is done twice."""
    body = permissions(context.params) | given(raise_limits=_limits(raise_limit, "--raise-limit"))
    client.change(context, path("runs", run, "resume"), body, _resumed)


def permissions(chosen: Mapping[str, Any]) -> Json:
    """The body that requests a resume, from the values of the options above."""
    same = {name: chosen[name] for name in ("checkpoint", "mode", "require_approval", "reason")}
    return given(scopes=chosen["scope"], tools=chosen["tool"], limits=_limits(chosen["limit"]), **same)


def _run(found: Json) -> Iterator[str]:
    orders = found["held_by"]
    yield from (f"{name:<12} {output.cell(value)}" for name, value in found.items() if name != "held_by")
    if not orders:
        own = found["mode"] != "active"
        yield f"held_by      no order{': the mode is its own' if own else ''}"
    for order in orders:
        mode = "no_fanout" if order["mode"] == "active" else order["mode"] + (" no_fanout" if order["no_fanout"] else "")
        yield f"held_by      {order['order_id']}  {mode}  since {order['since']}"
        hidden = order["scope"] is None
        yield (
            "             an order whose scope and reason this token may not see"
            if hidden
            else (f"             {output.cell(order['scope'])}, by {order['by']}: {order['reason']}")
        )


def _lease(granted: Json) -> list[str]:
    return [f"expires  {granted['expires_at']}", f"lease    {granted['lease']}"]


def _resumed(resumed: Json) -> Iterator[str]:
    one = resumed["run"]
    yield f"Run {one['run_id']} resumes from {resumed['checkpoint']['checkpoint_id']} ({one['mode']}, generation {one['generation']})."
    if resumed["state_ref"] is not None:
        yield f"state    {resumed['state_ref']}"
    yield from _lease(resumed)
    yield from (f"warning  {one}" for one in resumed["warnings"])


def _limits(options: list[str] | None, name_of: str = "--limit") -> Json | None:
    """``writes=10`` and ``amount.refund=12.5`` as the API takes them; ``None`` for no limits."""
    found: Json = {}
    for option in options or ():
        name, _, value = option.partition("=")
        if not value:
            raise wrong_use(f"{name_of} {option!r}: write NAME=VALUE, such as writes=10, rate=5/s or amount.refund=100")
        if name.startswith("amount."):
            found.setdefault("amount", {})[name.removeprefix("amount.")] = _number(value)
        else:
            found[name] = value if name == "rate" else _number(value)
    return found or None


def _number(text: str) -> object:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
