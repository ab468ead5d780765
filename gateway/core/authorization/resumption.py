"""Resuming a contained run: its next lease generation, with rights that are equal or tighter. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from gateway.core import limits
from gateway.core.authorization import gate
from gateway.core.authorization.admission import TooWide
from gateway.core.codec.record import MODE, Codec, Form, rate
from gateway.model.checkpoint import Checkpoint
from gateway.model.run import Mode, Rate, Run


class Request(Struct, frozen=True, kw_only=True):
    """What a resume asks for; ``None``, and what ``limits`` does not name, is as the run has it.

    ``checkpoint`` is a checkpoint's id, ``start`` or an entry; ``None`` leaves the choice to the gateway. ``limits`` holds model values
    by field name. ``require_approval`` are patterns, as scopes are, of writes that need a person's approval from now on.
    """

    checkpoint: str | None = None
    scopes: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    mode: Mode | None = None
    limits: Mapping[str, object] = field(default_factory=dict)
    require_approval: tuple[str, ...] = ()


def resumed(run: Run, request: Request, checkpoint: Checkpoint, *, epoch: int, expires_at: float) -> Run:
    """The run as it continues from a checkpoint: the orders on it up to ``epoch`` are over for it, its old leases are dead permanently.

    What an earlier resume brought stays: its gates, and the effects that answer their keys. What the run has used stays used: its
    counters continue.

    Raises:
        TooWide: it asks for more than the run has.
    """
    checked(run, request)
    return replace(
        run,
        scopes=run.scopes if request.scopes is None else request.scopes,
        tools=run.tools if request.tools is None else request.tools,
        mode=run.mode if request.mode is None else request.mode,
        limits=limits.inherit(request.limits, run.limits),
        generation=run.generation + 1,
        revoked=run.generation,
        superseded=epoch,
        resumed_from=max(run.resumed_from, checkpoint.seq),
        require_approval=tuple(dict.fromkeys((*run.require_approval, *request.require_approval))),
        expires_at=expires_at,
    )


def checked(run: Run, request: Request) -> None:
    """Raises:
    TooWide: the request asks for more than the run has.
    """
    mode = run.mode if request.mode is None else request.mode
    excess = [f"scopes: {one} is beyond what the run has" for one in gate.beyond(request.scopes or (), run.scopes)]
    excess += [f"tools: {one} is not one of the run's" for one in request.tools or () if run.tools is not None and one not in run.tools]
    excess += [f"mode: {mode.word} is wider than the run's {run.mode.word}"] * (mode < run.mode)
    excess += limits.wider(limits.inherit(request.limits, run.limits), run.limits)
    if excess:
        raise TooWide(excess)


def _limits_written(members: Mapping[str, object]) -> dict[str, object]:
    return {name: str(value) if isinstance(value, Rate) else value for name, value in members.items()}


def _limits_read(members: Mapping[str, Any]) -> dict[str, object]:
    return {name: rate(value) if name == "rate" else value for name, value in members.items()}


REQUEST = Codec(Request, forms={"mode": MODE, "limits": Form(_limits_written, _limits_read)})
"""A request in the journal."""
