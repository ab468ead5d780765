"""``killcord resume``: take a contained run up again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gateway.cli import api, output, runs

Json = dict[str, Any]


def resume(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="The run.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; it stands in the journal.", show_default=False)],
    checkpoint: Annotated[
        str | None,
        typer.Option(help="A checkpoint's id, an entry STREAM/SEQ, or start; else the latest sound one is chosen."),
    ] = None,
    scope: Annotated[list[str] | None, typer.Option(help="A scope that it keeps, such as 'erp:invoice.*'; again for more.")] = None,
    tool: Annotated[list[str] | None, typer.Option(help="A tool that it keeps; again for more.")] = None,
    mode: Annotated[str | None, typer.Option(help="A mode of its own from now on, such as read_only.")] = None,
    limit: Annotated[list[str] | None, typer.Option(help="A tighter limit, such as writes=10 or amount.refund=100.")] = None,
    require_approval: Annotated[
        list[str] | None, typer.Option("--require-approval", help="Writes that a person has to approve, such as 'erp:refund.*'.")
    ] = None,
) -> None:
    """Take a contained run up again, with a new lease and equal or tighter rights. Nothing from before the checkpoint is done twice."""
    body = api.given(
        checkpoint=checkpoint,
        scopes=scope or None,
        tools=tool or None,
        mode=mode,
        limits=runs.limits(limit or []) or None,
        require_approval=require_approval or None,
        reason=reason,
    )
    resumed = api.of_environment().post(f"/v1/runs/{api.part(run)}/resume", body)
    output.of(context).value(resumed, _lines(resumed))


def _lines(resumed: Json) -> Iterator[str]:
    one = resumed["run"]
    yield f"Run {one['run_id']} goes on from {resumed['checkpoint']['checkpoint_id']} ({one['mode']}, generation {one['generation']})."
    if resumed["state_ref"] is not None:
        yield f"state      {resumed['state_ref']}"
    yield f"expires    {resumed['expires_at']}"
    yield f"lease      {resumed['lease']}"
