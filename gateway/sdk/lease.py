"""A run's lease, kept alive as it is used: nothing runs beside the workflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.sdk import operations
from gateway.sdk.operations import Talk
from gateway.sdk.values import Grant, Lost, Problem, Superseded

_USED = 2 / 3
"""The share of a lease's life after which the next use renews it."""


@dataclass(slots=True)
class Keep:
    """``clock`` counts seconds; ``since`` is when the present lease was asked for, so that it is never thought younger than it is."""

    grant: Grant
    since: float
    clock: Callable[[], float]
    ttl: float | str | None = None

    @property
    def run_id(self) -> str:
        return str(self.grant.run["run_id"])

    @property
    def generation(self) -> int:
        return int(self.grant.run["generation"])

    @property
    def is_due(self) -> bool:
        return self.clock() - self.since >= self.grant.life * _USED

    def lease(self) -> Talk[str]:
        """The lease, renewed where that is due.

        A lease that cannot be renewed is used for as long as it lives, and the next use tries again: what stands against the run is
        told by the call itself.

        Raises:
            Problem, Lost: it could not be renewed, and lives no more.
            Superseded: the run was resumed meanwhile.
        """
        if self.is_due:
            asked_at = self.clock()
            try:
                grant = yield from operations.renewed(self.run_id, self.ttl)
            except (Problem, Lost):
                if self.clock() - self.since >= self.grant.life:
                    raise
            else:
                self._take(grant, asked_at)
        return self.grant.lease

    def _take(self, grant: Grant, since: float) -> None:
        # A lease of a later generation would let a workflow go on that does not know what was taken back.
        if grant.run["generation"] != self.generation:
            raise Superseded(f"Run {self.run_id} was resumed: open it again and go on from the state that its resumption names.")
        self.grant, self.since = grant, since


def step(lease: str, name: str, *, parent: str | None = None, key: str | None = None, confidence: float | None = None) -> dict[str, str]:
    """The headers of a tool call that is the step of this name."""
    headers = {"Authorization": f"Bearer {lease}", "Killcord-Step": name}
    sure = None if confidence is None else f"{confidence:g}"
    more = {"Killcord-Parent-Step": parent, "Idempotency-Key": key, "Killcord-Confidence": sure}
    return headers | {name: value for name, value in more.items() if value is not None}
