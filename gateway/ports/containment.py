"""Containment orders, as the line asks them."""

from __future__ import annotations

from typing import Protocol

from gateway.core.authorization import gate
from gateway.model.run import Run


class Containment(Protocol):
    """The orders in force, replicated on this node."""

    @property
    def epoch(self) -> int:
        """The newest order's; never goes back, never repeats."""

    @property
    def version(self) -> int:
        """Grows, within this process, with every change of what any run may do: orders, cut or closed runs."""

    def hold(self, run: Run, generation: int, tool: str | None, *, now: float) -> gate.Restriction:
        """What is left of a run for a tool, under a lease of this generation."""

    def hold_recovery(self, run: Run, tool: str, *, since: int, now: float) -> gate.Restriction:
        """What orders made after epoch ``since`` leave a rollback of the run; the run's own do not count."""

    def fresh(self, *, now: float) -> bool:
        """Whether the replica is recent enough to act on."""
