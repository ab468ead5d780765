"""What follows on a trigger, as policy has it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from gateway.model.order import Scope
from gateway.model.run import Mode


class Measure(StrEnum):
    """What is done about a trigger: the first three leave the run as it is, the others are orders."""

    NONE = "none"
    RETRY = "retry"
    FALLBACK = "fallback"
    NO_FANOUT = "no_fanout"
    READ_ONLY = "read_only"
    PAUSE = "pause"
    QUARANTINE = "quarantine"
    REVOKE = "revoke"

    @property
    def mode(self) -> Mode | None:
        """The mode of the order that carries it out, ``None`` if none does; ``ACTIVE`` for ``NO_FANOUT``, whose flag does the rest."""
        return _MODES.get(self)


_MODES = {
    Measure.NO_FANOUT: Mode.ACTIVE,
    Measure.READ_ONLY: Mode.READ_ONLY,
    Measure.PAUSE: Mode.PAUSED,
    Measure.QUARANTINE: Mode.QUARANTINED,
    Measure.REVOKE: Mode.REVOKED,
}


class Verdict(StrEnum):
    """Whether this is still a recoverable workflow."""

    RECOVERABLE = "recoverable"
    CONTAINMENT = "containment"


class Response(Struct, frozen=True, kw_only=True, gc=False):
    """``scope`` is the order's, ``None`` for the run alone. ``rollback`` stands only beside a mode that a rollback can start under."""

    action: Measure
    rollback: bool
    verdict: Verdict
    why: str
    scope: Scope | None = None


class Earlier(Struct, frozen=True, gc=False):
    """A trigger before, by its name, and what was done about it; ``at`` is Unix seconds."""

    name: str
    at: float
    action: Measure
