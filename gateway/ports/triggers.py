"""The monitor of triggers, as the line uses it."""

from __future__ import annotations

from typing import Protocol

from gateway.model.run import Run
from gateway.model.trigger import Response, Trigger


class TriggerMonitor(Protocol):
    """Sees every entry; what a call sets off is answered before its reply leaves."""

    def begin_call(self, run: Run, steps: int) -> None:
        """A call of the run is about to begin; it has taken ``steps`` so far. Called before any entry of that call."""

    async def answered(self, run_id: str) -> bool:
        """Wait until every trigger that the run's entries fired has a response; whether there was any."""


class Responses(Protocol):
    async def about(self, run: Run, generation: int, trigger: Trigger) -> Response:
        """Policy's answer to an error that may be recoverable; journaled, and never an incident.

        Raises:
            JournalUnavailable: it cannot be journaled.
        """
