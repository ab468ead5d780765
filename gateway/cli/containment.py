"""``killcord contain``, ``release`` and ``orders``: put containment orders in force, end them, list them."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import client, completion, output
from gateway.cli.options import OrderMode, Reason, group
from gateway.cli.output import columns
from gateway.sdk.messages import Json, given, path

app = group("Containment orders. Without a command, lists those in force.", default="list")

_STAYS = {
    "quarantined": "Even after a release, runs stay held until they are resumed or closed: killcord resume RUN --reason ...",
    "revoked": "Even after a release, leases stay revoked; a resume gives a run a new one: killcord resume RUN --reason ...",
    "revoked tool": "Even after a release, the tool stays forbidden for runs that the order held: open new runs for new work.",
}
"""What a release of an order of this mode does not undo."""

_NAMED = 5
"""Runs that are printed by name."""

_ORDERS = columns(
    "ORDER=order_id EPOCH SCOPE MODE REASON BY SINCE=created_at STATE",
    optional="EPOCH BY SINCE STATE",
    MODE=lambda one: "no_fanout" if one["mode"] == "active" else one["mode"] + (" no_fanout" if one["no_fanout"] else ""),
    STATE=lambda one: f"until {one['expires_at']}" if one["state"] == "standing" and one["expires_at"] else one["state"],
)

OrderId = Annotated[str, typer.Argument(help="The order's id.", autocompletion=completion.orders)]
Matching = Annotated[str | None, typer.Option(help="Only orders that match this run.", autocompletion=completion.runs)]
Ended = Annotated[bool, typer.Option("--all", help="Also released and expired ones.")]


def contain(
    context: typer.Context,
    mode: Annotated[OrderMode, typer.Option(help="How strict the order is; no_fanout only blocks new workers.")],
    reason: Reason,
    run: Annotated[str | None, typer.Option(help="Contain this run.", autocompletion=completion.runs)] = None,
    subtree: Annotated[bool, typer.Option("--subtree", help="Also contain everything that the run started, or will start.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Contain the runs of this tenant.")] = None,
    agent: Annotated[str | None, typer.Option(help="Contain the runs of this agent.")] = None,
    task_class: Annotated[str | None, typer.Option(help="Contain the runs of this task class.")] = None,
    tool: Annotated[str | None, typer.Option(help="Contain only calls to this tool.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Contain everything; cannot be combined with another scope.")] = False,
    no_fanout: Annotated[bool, typer.Option("--no-fanout", help="Also refuse new workers.")] = False,
    ttl: Annotated[str | None, typer.Option(help="Let the order expire, such as 15m (read_only, paused and no_fanout only).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print which open runs the order would hold.")] = False,
    future: Annotated[bool, typer.Option("--future", help="The scope may name what the gateway does not know yet.")] = False,
) -> None:
    """Contain everything that the scope matches. Each scope option narrows it."""
    scope = given(run=run, subtree=subtree, agent=agent, tenant=tenant, task_class=task_class, tool=tool, all=everything)
    body = given(scope=scope, mode=mode, reason=reason, ttl=ttl, no_fanout=no_fanout, dry_run=dry_run, future=future)
    made, out = client.post(path("orders"), body), output.of(context)
    if warning := made.get("warning"):
        out.note(str(warning))
    if dry_run:
        out.value(made, [f"It would hold {held(made)}. Nothing was changed."])
        return
    order, nodes = made["order_id"], len(made["nodes"])
    first = f"Order {order}: {mode} is in force on {nodes} node(s), after {made['held_ms']:g} ms (epoch {made['epoch']})."
    out.value(made, [first, f"It holds {held(made)}.", _STAYS.get(_kind(made), f"Release it with: killcord release {order} --reason ...")])


def release(context: typer.Context, order: OrderId, reason: Reason) -> None:
    """Release an order. Leases that it revoked stay revoked; runs that it quarantined stay so until they are resumed or closed."""
    released = client.connect().ask("DELETE", path("orders", order), {"reason": reason})
    lines = [f"Order {released['order_id']} is released (epoch {released['epoch']}).", _STAYS.get(_kind(released))]
    output.of(context).value(released, filter(None, lines))


@app.command("list")
def list_orders(context: typer.Context, run: Matching = None, everything: Ended = False) -> None:
    """List orders, oldest first. Without --all only those in force."""
    orders = client.connect().items(path("orders"), run=run)
    found = [one for one in orders if everything or one["state"] not in ("released", "expired")]
    output.of(context).table(found, _ORDERS, found)


def held(order: Json) -> str:
    """The open runs that an order holds: how many, and some of them by name."""
    count, named = order["runs_held"], order["run_ids"][:_NAMED]
    if count is None:
        return "an unknown number of open runs"
    more = f" and {count - len(named)} more" if count > len(named) else ""
    return f"{count} open run(s)" + (f": {', '.join(named)}{more}" if named else "")


def _kind(order: Json) -> str:
    """The mode of an order; ``revoked tool`` if it forbids a tool permanently."""
    mode = str(order["mode"])
    return f"{mode} tool" if mode == "revoked" and "tool" in order["scope"] else mode
