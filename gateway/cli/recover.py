"""``killcord recover``: drive an incident to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gateway.cli import api, output, resume

Json = dict[str, Any]

POLLED = 0.2
_MOVING = ("contain", "compensate", "compensating", "resume")
"""Stages at which nothing is asked of a person."""


def recover(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="The incident.", show_default=False)],
    reason: resume.Reason,
    checkpoint: resume.Checkpoint = None,
    scope: resume.Scopes = None,
    tool: resume.Tools = None,
    mode: resume.Mode = None,
    limit: resume.Limits = None,
    require_approval: resume.Gates = None,
) -> None:
    """Contain, take back, look again, take up with tighter rights; shows each stage, and exits 1 where a person has to decide."""
    body = resume.asked(reason, checkpoint, scope, tool, mode, limit, require_approval)
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
    if now["flow"]:
        yield f"flow        {', '.join(f'{step} {state}' for step, state in now['flow'].items())}"
    if now["caution"] is not None:
        yield f"caution     {now['caution']}"
    for one in now["waits_for"]:
        yield f"waits for   {one['what']} {one['id'] or ''}".rstrip() + f": {one['how']}"
    if now["stage"] == "resumed":
        yield f"lease       killcord runs renew {found['run_id']}"
