"""``killcord resume``: take a contained run up again.

The rights with which a run is taken up again, as options: those of ``resume`` and of ``recover``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gateway.cli import api, output, runs

Json = dict[str, Any]


def resume(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="The run.", show_default=False)],
    reason: Reason,
    checkpoint: Checkpoint = None,
    scope: Scopes = None,
    tool: Tools = None,
    mode: Mode = None,
    limit: Limits = None,
    require_approval: Gates = None,
) -> None:
    """Take a contained run up again, with a new lease and equal or tighter rights. Nothing from before the checkpoint is done twice."""
    body = asked(reason, checkpoint, scope, tool, mode, limit, require_approval)
    resumed = api.of_environment().post(f"/v1/runs/{api.part(run)}/resume", body)
    output.of(context).value(resumed, _lines(resumed))


def _lines(resumed: Json) -> Iterator[str]:
    one = resumed["run"]
    yield f"Run {one['run_id']} goes on from {resumed['checkpoint']['checkpoint_id']} ({one['mode']}, generation {one['generation']})."
    if resumed["state_ref"] is not None:
        yield f"state      {resumed['state_ref']}"
    yield f"expires    {resumed['expires_at']}"
    yield f"lease      {resumed['lease']}"


Reason = Annotated[str, typer.Option(help="Why; it stands in the journal.", show_default=False)]
Checkpoint = Annotated[
    str | None, typer.Option(help="A checkpoint's id, an entry STREAM/SEQ, or start; else the latest sound one is chosen.")
]
Scopes = Annotated[list[str] | None, typer.Option("--scope", help="A scope that it keeps, such as 'erp:invoice.*'; again for more.")]
Tools = Annotated[list[str] | None, typer.Option("--tool", help="A tool that it keeps; again for more.")]
Mode = Annotated[str | None, typer.Option(help="A mode of its own from now on, such as read_only.")]
Limits = Annotated[list[str] | None, typer.Option("--limit", help="A tighter limit, such as writes=10 or amount.refund=100.")]
Gates = Annotated[list[str] | None, typer.Option("--require-approval", help="Writes that a person has to approve, such as 'erp:refund.*'.")]


def asked(
    reason: str,
    checkpoint: str | None,
    scopes: list[str] | None,
    tools: list[str] | None,
    mode: str | None,
    limits: list[str] | None,
    require_approval: list[str] | None,
) -> dict[str, Any]:
    """The body that asks for these rights."""
    return api.given(
        checkpoint=checkpoint,
        scopes=scopes or None,
        tools=tools or None,
        mode=mode,
        limits=runs.limits(limits or []) or None,
        require_approval=require_approval or None,
        reason=reason,
    )
