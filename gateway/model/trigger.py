"""A detected fact about a run, the response that policy gives it, and the incident that gathers both.

An incident is what was detected about one generation of a run for one cause, and what was done about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from gateway.model.run import Mode, Scope

LAYERS = {
    "policy": "policy",
    "verify": "verification",
    "anomaly": "behaviour",
    "uncertain": "uncertainty",
    "blast": "blast radius",
    "recoverable": "recoverable",
}
"""The layer of detection, by the first word of a trigger's name."""


class Trigger(Struct, frozen=True, kw_only=True, gc=False):
    """``count`` of ``threshold`` occurrences were seen when it fired; ``at`` is the event's time, Unix seconds.

    ``evidence`` are the positions (``stream/seq``) of the entries that it was seen in, oldest first. ``facts`` are JSON
    values that go with its kind, never an argument of a call.
    """

    name: str
    at: float
    count: int = 1
    threshold: int = 1
    evidence: tuple[str, ...] = ()
    effect: str | None = None
    severity: str | None = None
    tool: str | None = None
    action: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def layer(self) -> str:
        return LAYERS[self.name.partition(".")[0]]


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


class PastResponse(Struct, frozen=True, gc=False):
    """A trigger before, by its name, and what was done about it; ``at`` is Unix seconds."""

    name: str
    at: float
    action: Measure


class RollbackState(StrEnum):
    """The state of an incident's rollback; ``NONE`` if its response asks for none."""

    NONE = "none"
    DUE = "due"
    RUNNING = "running"
    NEEDS_OPERATOR = "needs_operator"
    CLEAN = "clean"
    RESIDUE = "residue"
    STOPPED = "stopped"


class Incident(Struct, frozen=True, kw_only=True, gc=False):
    """Times are Unix seconds. ``triggers`` counts those of its cause, ``evidence`` are positions, the first and the latest of them.

    ``action`` and ``verdict`` are the latest response's; ``orders`` those made for it, oldest first. ``closed_at`` is when the run was
    resumed or given up. ``recovery`` is the request for its recovery, as JSON: who, why, and with which permissions.
    """

    incident_id: str
    run_id: str
    workflow_id: str
    tenant: str
    agent_id: str
    task_class: str
    generation: int
    cause: str
    opened_at: float
    updated_at: float
    triggers: int = 1
    evidence: tuple[str, ...] = ()
    action: Measure
    verdict: Verdict
    why: str
    orders: tuple[str, ...] = ()
    rollback: RollbackState = RollbackState.NONE
    rollback_id: str | None = None
    closed_at: float | None = None
    recovery: Mapping[str, Any] | None = None
