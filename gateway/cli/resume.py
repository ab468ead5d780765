"""``killcord resume``: take a contained run up again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gateway.cli import api, output, rights

Json = dict[str, Any]


def resume(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="The run.", show_default=False)],
    reason: rights.Reason,
    checkpoint: rights.Checkpoint = None,
    scope: rights.Scopes = None,
    tool: rights.Tools = None,
    mode: rights.Mode = None,
    limit: rights.Limits = None,
    require_approval: rights.Gates = None,
) -> None:
    """Take a contained run up again, with a new lease and equal or tighter rights. Nothing from before the checkpoint is done twice."""
    body = rights.asked(reason, checkpoint, scope, tool, mode, limit, require_approval)
    resumed = api.of_environment().post(f"/v1/runs/{api.part(run)}/resume", body)
    output.of(context).value(resumed, _lines(resumed))


def _lines(resumed: Json) -> Iterator[str]:
    one = resumed["run"]
    yield f"Run {one['run_id']} goes on from {resumed['checkpoint']['checkpoint_id']} ({one['mode']}, generation {one['generation']})."
    if resumed["state_ref"] is not None:
        yield f"state      {resumed['state_ref']}"
    yield f"expires    {resumed['expires_at']}"
    yield f"lease      {resumed['lease']}"
