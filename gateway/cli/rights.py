"""The rights with which a run is taken up again, as options: those of ``resume`` and of ``recover``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import api, runs

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
