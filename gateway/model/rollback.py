"""A rollback: which runs, back to where, who drives it, and what came of it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class RollbackStatus(StrEnum):
    """``CLEAN``, ``RESIDUE`` and ``STOPPED`` are final; ``NEEDS_OPERATOR`` continues after a person's action."""

    RUNNING = "running"
    NEEDS_OPERATOR = "needs_operator"
    CLEAN = "clean"
    RESIDUE = "residue"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        return self in (RollbackStatus.CLEAN, RollbackStatus.RESIDUE, RollbackStatus.STOPPED)


class Rollback(Struct, frozen=True, kw_only=True, gc=False):
    """Times are Unix seconds. ``to`` is ``start``, a checkpoint's id or an entry; ``since`` the seq after which effects are compensated.

    ``epoch`` is the newest order's when it began: those before it do not stop it. ``owner`` drives it, and ``owner_epoch``
    grows with every change of hands: what an earlier owner still tries is refused. ``plan_ref`` names the sealed plan.
    ``residue`` are sentences for a person: what could not be, or was not, compensated.
    """

    rollback_id: str
    run_id: str
    subtree: bool
    tenant: str
    workflow_id: str
    generation: int
    to: str
    since: int
    reason: str
    by: str
    status: RollbackStatus
    epoch: int
    owner: str
    owner_epoch: int
    plan_ref: str
    nodes: int
    started_at: float
    updated_at: float
    ended_at: float | None = None
    incident_id: str | None = None
    residue: tuple[str, ...] = ()
