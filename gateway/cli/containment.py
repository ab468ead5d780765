"""``killcord contain``, ``release`` and ``orders``: pull the cord, let go, see what holds."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import api, output

app = typer.Typer(help="Containment orders; alone: those that stand.", invoke_without_command=True)

Json = dict[str, Any]
_COLUMNS = ("ORDER", "EPOCH", "SCOPE", "MODE", "REASON", "BY", "SINCE", "STATE")


_STAYS = {
    "quarantined": "What it held stays held until it is resumed or closed: killcord resume RUN --reason ...",
    "revoked": "Leases that it cut stay cut; a resume gives a run a new one: killcord resume RUN --reason ...",
    "revoked tool": "The tool stays taken from the runs that it held: open new runs for new work.",
}
_WAY_OUT = {
    "quarantined": "What it holds stays held after a release, until it is resumed or closed: killcord resume RUN --reason ...",
    "revoked": "Its leases stay cut after a release; a resume gives a run a new one: killcord resume RUN --reason ...",
    "revoked tool": "The tool stays taken from the runs that it holds, also after a release: open new runs for new work.",
}
"""What a release of an order of this mode does not undo: told when it is released, and when it is made."""


def contain(
    context: typer.Context,
    mode: Annotated[
        str, typer.Option(help="read_only, paused, quarantined or revoked; or no_fanout, for no new workers.", show_default=False)
    ],
    reason: Annotated[str, typer.Option(help="Why; it stands in the journal.", show_default=False)],
    run: Annotated[str | None, typer.Option(help="Hold this run.")] = None,
    subtree: Annotated[bool, typer.Option("--subtree", help="And all that it started, also what it starts later.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Hold the runs of this tenant.")] = None,
    agent: Annotated[str | None, typer.Option(help="Hold the runs of this agent.")] = None,
    task_class: Annotated[str | None, typer.Option("--task-class", help="Hold the runs of this class.")] = None,
    tool: Annotated[str | None, typer.Option(help="Hold calls to this tool only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Hold everything.")] = False,
    no_fanout: Annotated[bool, typer.Option("--no-fanout", help="And no new workers.")] = False,
    ttl: Annotated[str | None, typer.Option(help="End by itself after this time, such as 15m (read_only, paused and no_fanout).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many open runs it would hold.")] = False,
) -> None:
    """Contain: hold all that the scope matches. What is given narrows it; --all stands alone."""
    scope = api.given(
        run=run, subtree=subtree or None, agent=agent, tenant=tenant, task_class=task_class, tool=tool, all=everything or None
    )
    body = api.given(scope=scope, mode=mode, reason=reason, ttl=ttl, no_fanout=no_fanout or None, dry_run=dry_run or None)
    made = api.of_environment().post("/v1/orders", body)
    out = output.of(context)
    if dry_run:
        out.value(made, [f"It would hold {made['runs']} open run(s). Nothing was changed."])
        return
    if warning := made.get("warning"):
        out.tell(str(warning))
    nodes = len(made["nodes"])
    out.value(
        made,
        [
            f"Order {made['order_id']}: {mode} holds on {nodes} node(s), after {made['held_ms']:g} ms (epoch {made['epoch']}).",
            _WAY_OUT.get(_kind(made), f"Release it with: killcord release {made['order_id']} --reason ..."),
        ],
    )


def release(
    context: typer.Context,
    order: Annotated[str, typer.Argument(help="The order's id.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; it stands in the journal.", show_default=False)],
) -> None:
    """Release an order. Leases that it cut stay cut; runs that it quarantined stay so until they are resumed or closed."""
    released = api.of_environment().delete(f"/v1/orders/{api.part(order)}", {"reason": reason})
    stays = [_STAYS[_kind(released)]] if _kind(released) in _STAYS else []
    output.of(context).value(released, [f"Order {released['order_id']} is released (epoch {released['epoch']}).", *stays])


@app.callback()
def orders(context: typer.Context) -> None:
    """Containment orders; alone: those that stand."""
    if context.invoked_subcommand is None:
        list_orders(context)


@app.command("list")
def list_orders(
    context: typer.Context,
    run: Annotated[str | None, typer.Option(help="Those that match this run.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Released ones too.")] = False,
) -> None:
    """List orders, oldest first; without --all those that were not released and have not ended."""
    found = [one for one in api.of_environment().all("/v1/orders", run=run) if everything or one["state"] not in ("released", "expired")]
    output.of(context).table(found, _COLUMNS, (_row(one) for one in found))


def _kind(order: Json) -> str:
    """The mode of an order; of a tool that is taken away for good, that."""
    mode = str(order["mode"])
    return f"{mode} tool" if mode == "revoked" and "tool" in order["scope"] else mode


def _row(one: Json) -> tuple[object, ...]:
    state = f"until {one['expires_at']}" if one["state"] == "standing" and one["expires_at"] else one["state"]
    flags = " no_fanout" if one["no_fanout"] else ""
    mode = "no_fanout" if one["mode"] == "active" else one["mode"] + flags
    return (one["order_id"], one["epoch"], one["scope"], mode, one["reason"], one["by"], one["created_at"], state)
