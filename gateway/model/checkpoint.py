"""A checkpoint: a place in a run's journal at which all that it had done was known and verified."""

from __future__ import annotations

from msgspec import Struct

from gateway.model.call import Target
from gateway.model.entry import Position

START = "start"
"""The id of the place before all that a run did."""


class Touched(Struct, frozen=True, gc=False):
    """An object that the run changed: the version that its last effect left (``None``: it is not known), and that effect's outcome."""

    target: Target
    version: str | None
    receipt: Position


class Checkpoint(Struct, frozen=True, kw_only=True, gc=False):
    """Times are Unix seconds. What was begun up to ``at`` is before it; ``None`` is the run's start.

    One that somebody took has an id of its own, and ``state_ref``: where the workflow's state of then is kept. An ``automatic`` one is
    a verified boundary, named by its entry; its time is not kept. ``irreversible`` and ``compensations`` are the outcomes of what was
    completed by then; ``approvals`` and ``tasks`` are the ids of what was waited for when it was taken.
    """

    checkpoint_id: str
    run_id: str
    generation: int
    at: Position | None
    automatic: bool = False
    state_ref: str | None = None
    label: str | None = None
    objects: tuple[Touched, ...] = ()
    irreversible: tuple[Position, ...] = ()
    compensations: tuple[Position, ...] = ()
    approvals: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    tenant: str = ""
    workflow_id: str = ""
    by: str | None = None
    taken_at: float | None = None

    @property
    def seq(self) -> int:
        """The number of the last entry before it."""
        return 0 if self.at is None else self.at.seq
