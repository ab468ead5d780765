"""The rollbacks that are under way in this process: what runs, what was asked to stop, and what has to go on later.

Nothing here is durable. After a crash the next process makes it anew from the journal, by :meth:`Rollbacks.adopt`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from gateway.control.rollback.execution import Execution
from gateway.model.effect import State


@dataclass(slots=True)
class ActiveRollbacks:
    """``stop_requests`` are stops that are not durable yet: the reason, and who asked. ``orphaned`` are rollbacks that nothing executes
    because the journal was down. ``in_flight`` are rollbacks that wait for calls on the wire, with the wire keys of these calls.
    """

    executions: dict[str, Execution] = field(default_factory=dict)
    stop_requests: dict[str, tuple[str, str]] = field(default_factory=dict)
    orphaned: set[str] = field(default_factory=set)
    in_flight: dict[str, frozenset[str]] = field(default_factory=dict)

    def get(self, rollback_id: str) -> Execution | None:
        return self.executions.get(rollback_id)

    def begin(self, execution: Execution) -> None:
        self.executions[execution.rollback.rollback_id] = execution

    def end(self, execution: Execution) -> None:
        """The execution is over; those who wait for its end go on."""
        del self.executions[execution.rollback.rollback_id]
        execution.ended.set()

    def request_stop(self, rollback_id: str, reason: str, by: str) -> None:
        """Send nothing more for a rollback, from now on. This works while the journal does not."""
        self.stop_requests[rollback_id] = (reason, by)
        if (execution := self.get(rollback_id)) is not None:
            execution.stop()

    def stop_all(self) -> None:
        """Send nothing more for any rollback: the process ends."""
        for execution in self.executions.values():
            execution.stop()

    def await_calls(self, execution: Execution) -> None:
        """Go on later if calls of the rollback's scope are still on the wire."""
        calls = [key for key, write in execution.gathered.effects.items() if write.state is State.IN_FLIGHT]
        if calls:
            self.in_flight[execution.rollback.rollback_id] = frozenset(calls)

    def calls_ended(self, live: Collection[str]) -> list[str]:
        """The rollbacks whose calls have all ended; ``live`` are the wire keys that are still on the wire. Each is given once."""
        over = [rollback_id for rollback_id, calls in self.in_flight.items() if calls.isdisjoint(live)]
        for rollback_id in over:
            del self.in_flight[rollback_id]
        return over
