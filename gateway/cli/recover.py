"""``killcord recover``: drive an incident to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gateway.cli import api, output, runs

Json = dict[str, Any]

POLLED = 0.2
_MOVING = ("contain", "compensate", "compensating", "resume")
"""Stages at which nothing is asked of a person."""


def recover(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="The incident.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; it stands in the journal.", show_default=False)],
    checkpoint: Annotated[str | None, typer.Option(help="Where to take the run up; else the latest sound checkpoint.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="A scope that it keeps, such as 'erp:invoice.*'; again for more.")] = None,
    tool: Annotated[list[str] | None, typer.Option(help="A tool that it keeps; again for more.")] = None,
    mode: Annotated[str | None, typer.Option(help="A mode of its own from now on, such as read_only.")] = None,
    limit: Annotated[list[str] | None, typer.Option(help="A tighter limit, such as writes=10 or amount.refund=100.")] = None,
    require_approval: Annotated[
        list[str] | None, typer.Option("--require-approval", help="Writes that a person has to approve, such as 'erp:refund.*'.")
    ] = None,
) -> None:
    """Contain, take back, look again, take up with tighter rights; shows each stage, and exits 1 where a person has to decide."""
    body = api.given(
        checkpoint=checkpoint,
        scopes=scope or None,
        tools=tool or None,
        mode=mode,
        limits=runs.limits(limit or []) or None,
        require_approval=require_approval or None,
        reason=reason,
    )
    gateway, path = api.of_environment(), f"/v1/incidents/{api.part(incident)}"
    found = gateway.post(f"{path}/recover", body)
    told = ""
    while True:
        now = found["recovery"]
        if (line := f"{now['stage'].replace('_', ' ')}: {now['why']}") != told:
            output.of(context).tell(line)
            told = line
        if now["stage"] not in _MOVING:
            break
        time.sleep(POLLED)
        found = gateway.get(path)
    output.of(context).value(found, _lines(found))
    if found["recovery"]["stage"] == "waits":
        raise typer.Exit(1)


def _lines(found: Json) -> Iterator[str]:
    now = found["recovery"]
    yield f"incident    {found['incident_id']}: {now['stage'].replace('_', ' ')}"
    yield f"checkpoint  {now['checkpoint'] or '-'}"
    if now["stage"] == "resumed":
        yield f"lease       killcord run renew {found['run_id']}"
