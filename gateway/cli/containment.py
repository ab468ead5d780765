"""``killcord contain``, ``release`` and ``orders``: put containment orders in force, end them, list them."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import client, output
from gateway.cli.options import Reason, group
from gateway.cli.output import Columns
from gateway.sdk.messages import given, path
from gateway.sdk.values import Json

app = group("Containment orders. Without a command: those in force.", bare="list")

_STAYS = {
    "quarantined": "What it held stays held until it is resumed or closed: killcord resume RUN --reason ...",
    "revoked": "Leases that it revoked stay revoked; a resume gives a run a new one: killcord resume RUN --reason ...",
    "revoked tool": "The tool stays forbidden for the runs that it held: open new runs for new work.",
}
_WAY_OUT = {
    "quarantined": "What it holds stays held after a release, until it is resumed or closed: killcord resume RUN --reason ...",
    "revoked": "Its leases stay revoked after a release; a resume gives a run a new one: killcord resume RUN --reason ...",
    "revoked tool": "The tool stays forbidden for the runs that it holds, also after a release: open new runs for new work.",
}
"""What a release of an order of this mode does not undo: printed when it is released, and when it is made."""


def _mode(order: Json) -> str:
    return "no_fanout" if order["mode"] == "active" else order["mode"] + (" no_fanout" if order["no_fanout"] else "")


_ORDERS: Columns = {
    "ORDER": "order_id",
    "EPOCH": "epoch",
    "SCOPE": "scope",
    "MODE": _mode,
    "REASON": "reason",
    "BY": "by",
    "SINCE": "created_at",
    "STATE": lambda one: f"until {one['expires_at']}" if one["state"] == "standing" and one["expires_at"] else one["state"],
}


def contain(
    context: typer.Context,
    mode: Annotated[
        str, typer.Option(help="read_only, paused, quarantined or revoked; or no_fanout, for no new workers.", show_default=False)
    ],
    reason: Reason,
    run: Annotated[str | None, typer.Option(help="Contain this run.")] = None,
    subtree: Annotated[bool, typer.Option("--subtree", help="Also contain everything that the run started, or will start.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Contain the runs of this tenant.")] = None,
    agent: Annotated[str | None, typer.Option(help="Contain the runs of this agent.")] = None,
    task_class: Annotated[str | None, typer.Option(help="Contain the runs of this task class.")] = None,
    tool: Annotated[str | None, typer.Option(help="Contain only calls to this tool.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Contain everything; cannot be combined with another scope.")] = False,
    no_fanout: Annotated[bool, typer.Option("--no-fanout", help="Also refuse new workers.")] = False,
    ttl: Annotated[str | None, typer.Option(help="Let the order expire, such as 15m (read_only, paused and no_fanout only).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print how many open runs the order would contain.")] = False,
) -> None:
    """Contain everything that the scope matches. Each scope option narrows it."""
    scope = given(run=run, subtree=subtree or None, agent=agent, tenant=tenant, task_class=task_class, tool=tool, all=everything or None)
    body = given(scope=scope, mode=mode, reason=reason, ttl=ttl, no_fanout=no_fanout or None, dry_run=dry_run or None)
    made, out = client.post(path("orders"), body), output.of(context)
    if dry_run:
        out.value(made, [f"It would contain {made['runs']} open run(s). Nothing was changed."])
        return
    if warning := made.get("warning"):
        out.note(str(warning))
    order, nodes = made["order_id"], len(made["nodes"])
    first = f"Order {order}: {mode} is in force on {nodes} node(s), after {made['held_ms']:g} ms (epoch {made['epoch']})."
    out.value(made, [first, _WAY_OUT.get(_kind(made), f"Release it with: killcord release {order} --reason ...")])


def release(
    context: typer.Context, order: Annotated[str, typer.Argument(help="The order's id.", show_default=False)], reason: Reason
) -> None:
    """Release an order. Leases that it revoked stay revoked; runs that it quarantined stay so until they are resumed or closed."""
    released = client.connect().ask("DELETE", path("orders", order), {"reason": reason})
    stays = [_STAYS[_kind(released)]] if _kind(released) in _STAYS else []
    output.of(context).value(released, [f"Order {released['order_id']} is released (epoch {released['epoch']}).", *stays])


@app.command("list")
def list_orders(
    context: typer.Context,
    run: Annotated[str | None, typer.Option(help="Only orders that match this run.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also released and expired ones.")] = False,
) -> None:
    """List orders, oldest first; without --all only those in force."""
    orders = client.connect().items(path("orders"), run=run)
    found = [one for one in orders if everything or one["state"] not in ("released", "expired")]
    output.of(context).table(found, _ORDERS, found)


def _kind(order: Json) -> str:
    """The mode of an order; ``revoked tool`` if it forbids a tool permanently."""
    mode = str(order["mode"])
    return f"{mode} tool" if mode == "revoked" and "tool" in order["scope"] else mode
