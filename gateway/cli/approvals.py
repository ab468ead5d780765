"""``killcord approvals``: what agents and rollbacks wait for a person to say yes or no to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gateway.cli import api, output

Json = dict[str, Any]

app = typer.Typer(help="Approvals; alone: those that are pending.", invoke_without_command=True)

_COLUMNS = ("APPROVAL", "STATUS", "KIND", "RUN", "TENANT", "ACTION", "TARGET", "EXPIRES", "WHY")

Id = Annotated[str, typer.Argument(help="The approval's id.", show_default=False)]
Why = Annotated[str, typer.Option(help="Why; it stands in the journal, and the agent is told of a no.", show_default=False)]


@app.callback()
def approvals(context: typer.Context) -> None:
    """Approvals; alone: those that are pending."""
    if context.invoked_subcommand is None:
        list_approvals(context)


@app.command("list")
def list_approvals(
    context: typer.Context,
    run: Annotated[str | None, typer.Option(help="Those of this run.")] = None,
    status: Annotated[str | None, typer.Option(help="pending, granted, denied, used, void or expired.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever their status.")] = False,
) -> None:
    """List approvals; without --all and --status those that are pending."""
    wanted = status or (None if everything else "pending")
    found = list(api.of_environment().all("/v1/approvals", run=run, status=wanted))
    output.of(context).table(found, _COLUMNS, (_row(one) for one in found))


@app.command("show")
def show(context: typer.Context, approval: Id) -> None:
    """Show one approval; with a token that may decide, the request as it would be sent."""
    found = api.of_environment().get(f"/v1/approvals/{api.part(approval)}")
    output.of(context).value(found, _lines(found))


@app.command("approve")
def approve(context: typer.Context, approval: Id, reason: Why) -> None:
    """Say yes, once: the same call sent again is carried out, if policy still allows it and its target is as it was shown."""
    _decide(context, approval, "approve", reason)


@app.command("deny")
def deny(context: typer.Context, approval: Id, reason: Why) -> None:
    """Say no: the same call is refused for as long as the run is not resumed."""
    _decide(context, approval, "deny", reason)


def _decide(context: typer.Context, approval: str, decision: str, reason: str) -> None:
    decided = api.of_environment().post(f"/v1/approvals/{api.part(approval)}", {"decision": decision, "reason": reason})
    output.of(context).value(decided, [f"Approval {decided['approval_id']} is {decided['status']}."])


def _row(one: Json) -> tuple[object, ...]:
    names = ("approval_id", "status", "kind", "run_id", "tenant", "action")
    return (*(one[name] for name in names), _target(one), one["expires_at"], one["summary"])


def _lines(one: Json) -> Iterator[str]:
    yield f"approval  {one['approval_id']} ({one['status']})"
    yield f"of        {one['kind']} by run {one['run_id']} of {one['agent_id']}, tenant {one['tenant']}, generation {one['generation']}"
    yield f"action    {one['tool']}:{one['action']} on {_target(one)}"
    yield f"version   {_version(one)}"
    if one["rollback_id"] is not None:
        yield f"rollback  {one['rollback_id']}, node {one['node_id']}"
    yield f"why       {one['summary']}"
    yield from (f"reason    {reason['code']}: {reason['message']}" for reason in one["reasons"])
    yield f"arguments {one['args_digest']}"
    yield f"asked     {one['requested_at']}, good until {one['expires_at'] or 'it is decided'}"
    if one["decided_at"] is not None:
        yield f"decided   {one['decided_at']} by {one['decided_by']}: {one['reason']}"
    if one["used_at"] is not None:
        yield f"used      {one['used_at']}" + (f" by {one['used_by']}" if one["used_by"] else "")
    if (request := one.get("request")) is not None:
        yield from _request(request)


def _request(request: Json) -> Iterator[str]:
    yield from ("", f"{request['method']} {request['path']}")
    yield from (f"{name}: {value}" for name, value in request["headers"].items())
    yield from (f"{name}: (not shown)" for name in request["withheld"])
    if request["body"] is not None:
        yield from ("", json.dumps(request["body"], indent=2, ensure_ascii=False))
    elif "raw" in request:
        yield from ("", f"(not JSON; in base64) {request['raw']}")
    if "instead" in request:
        yield from ("", "where that comes too late, instead:")
        yield from _request(request["instead"])


def _target(one: Json) -> str:
    named = one["target"]
    return f"{named['system']}:{named['type']}:{named['id'] or '(new)'}"


def _version(one: Json) -> str:
    if one["existed"] is None:
        return "not looked at"
    return (one["version"] or "there, and without one") if one["existed"] else "absent"
