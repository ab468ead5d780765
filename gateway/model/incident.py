"""An incident: what was detected about one generation of a run for one cause, and what was done about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from gateway.model.response import Measure, Verdict


class RollbackState(StrEnum):
    """Where an incident's rollback stands; ``NONE`` where its response asks for none."""

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
