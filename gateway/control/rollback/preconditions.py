"""Where a rollback may begin: on a scope that is contained, back to a place that exists, and nowhere where another is at work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.control.containment.containment import Containment
from gateway.control.rollback.scope import ScopeQuery
from gateway.core.codec.record import position_of
from gateway.model.entry import Position
from gateway.model.order import Scope
from gateway.model.rollback import Rollback
from gateway.model.run import Mode, Run
from gateway.ports.clock import Clock
from gateway.ports.rollback import RollbackRecords


Checkpoints = Callable[[str, str], Awaitable[Position | None]]
"""Where a run's checkpoint stands, by run id and checkpoint id."""


class NotContained(ValueError):
    """A run of the scope is not contained; what it still does would race with what is taken back."""


class WrongRollback(ValueError):
    """It cannot be rolled back, or changed, as asked; the message says why and what would be right."""


class Busy(WrongRollback):
    """Another rollback is at work on part of the scope, or waits for a person: nothing may be taken back twice."""

    def __init__(self, other: Rollback) -> None:
        super().__init__(f"Rollback {other.rollback_id} of run {other.run_id} is {other.status}; wait for its end, or stop it.")


@dataclass(frozen=True, slots=True)
class Preconditions:
    """``stream`` is the journal's: what was done on another node's cannot be gone back to from here."""

    gather: ScopeQuery
    records: RollbackRecords
    containment: Containment
    clock: Clock
    checkpoints: Checkpoints
    stream: str

    async def under_way(self, run: Run, *, subtree: bool) -> Rollback | None:
        """The rollback that takes back what this run did, where one has begun and not ended: its own, or a coordinator's.

        Raises:
            Busy: part of the subtree is being taken back by itself.
        """
        for name in (run.run_id, *run.ancestors):
            for known in await self.records.rollbacks(run=name, limit=_PAGE):
                if not known.status.ended and (known.subtree or name == run.run_id):
                    return known
        for name in (await self.gather.runs(run, subtree=subtree)).keys() - {run.run_id}:
            for known in await self.records.rollbacks(run=name, limit=_PAGE):
                if not known.status.ended:
                    raise Busy(known)
        return None

    async def begun(self, run: Run, *, subtree: bool) -> frozenset[str]:
        """The ids of all rollbacks that ever began in this scope: what was planned before another one did may be done by now."""
        names = {run.run_id, *run.ancestors, *(await self.gather.runs(run, subtree=subtree))}
        return frozenset([one.rollback_id for name in names for one in await self._all(name)])

    async def _all(self, run_id: str) -> list[Rollback]:
        found: list[Rollback] = []
        while page := await self.records.rollbacks(run=run_id, after=found[-1].rollback_id if found else None, limit=_PAGE):
            found += page
        return found

    async def free(self, run: Run, *, subtree: bool) -> None:
        """Raises:
        Busy: a rollback is under way in this scope.
        """
        if (known := await self.under_way(run, subtree=subtree)) is not None:
            raise Busy(known)

    async def contained(self, run: Run, *, subtree: bool) -> None:
        """Raises:
        NotContained: a run of the scope is active.
        """
        now = self.clock.now()
        for one in (await self.gather.runs(run, subtree=subtree)).values():
            held = self.containment.mirror.hold(one, one.generation, None, now=now)
            if held.mode is Mode.ACTIVE and one.closed_at is None and one.revoked < one.generation:
                raise NotContained(f"Run {one.run_id} is active; contain it first (read_only or stricter), then roll it back.")

    async def since(self, run: Run, to: str) -> Position | None:
        """The place to go back to; ``None`` is the start.

        Raises:
            WrongRollback: it is neither ``start`` nor a checkpoint of the run nor an entry of this journal.
        """
        if to == START:
            return None
        if (found := await self.checkpoints(run.run_id, to)) is not None and found.stream == self.stream:
            return found
        named = position_of(to)
        if named is None or named.stream != self.stream:
            raise WrongRollback(f"'to' is {START!r}, the id of a checkpoint of run {run.run_id}, or an entry, not {to!r}.")
        if await self.gather.history.entry(named) is None:
            # After what is yet to come there is nothing to take back, and that must not look like a clean end.
            raise WrongRollback(f"There is no entry {to} in this journal (or not yet); 'to' is the last entry that is to stay.")
        return named

    async def freeze(self, run: Run, rollback_id: str, *, subtree: bool) -> None:
        """What cannot be undone must not set off more."""
        scope = Scope(run=run.run_id, subtree=subtree)
        reason = f"{rollback_id}: an effect that cannot be undone is looked at"
        await self.containment.make(scope, Mode.ACTIVE, reason=reason, by="rollback", no_fanout=True)
