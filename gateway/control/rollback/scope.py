"""What a rollback covers, and whether it may begin: the scope is contained, the place exists, and no other rollback is at work there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

from msgspec import Struct

from gateway.control.containment.containment import Containment
from gateway.core.adapter.catalog import Undo
from gateway.core.codec.record import position_of
from gateway.core.rollback import plan
from gateway.model.effect import State, Write
from gateway.model.entries import ReadEntry
from gateway.model.entry import Kind, Position
from gateway.model.rollback import START, Node, Plan, Rollback, Step
from gateway.model.run import Mode, Run, Scope
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Query
from gateway.ports.projections import Registry, Writes
from gateway.ports.rollback import RollbackRecords

_PAGE = 1000
PATIENCE = 15.0
"""Seconds for which calls that are on the wire are waited for, before their outcome counts as unknown."""


class RollbackScope(Struct, frozen=True):
    """``runs`` and ``effects`` (wire key to write) of the scope; compensations are among them: they tell which version they left."""

    plan: Plan
    runs: Mapping[str, Run]
    effects: Mapping[str, Write]

    def effects_of(self, node: Node) -> list[Write]:
        """A node's own, oldest first."""
        return [self.effects[key] for key in node.effects]


Checkpoints = Callable[[str, str], Awaitable[Position | None]]
"""Where a run's checkpoint stands, by run id and checkpoint id."""


class NotContained(ValueError):
    """A run of the scope is not contained; what it still does would race with what is undone."""


class WrongRollback(ValueError):
    """It cannot be rolled back, or changed, as asked; the message says why and what would be right."""


class Busy(WrongRollback):
    """Another rollback is at work on part of the scope, or waits for a person: nothing may be undone twice."""

    def __init__(self, other: Rollback) -> None:
        super().__init__(f"Rollback {other.rollback_id} of run {other.run_id} is {other.status}; wait for its end, or stop it.")


class RollbackPlanner(Struct, frozen=True):
    """What a rollback covers, and whether it may begin there.

    ``undos`` are the catalogs', by tool and action; ``live`` the wire keys of writes that this process is carrying. ``stream`` is the
    journal's: what was done on another node's cannot be gone back to from here.
    """

    registry: Registry
    writes: Writes
    history: History
    records: RollbackRecords
    containment: Containment
    checkpoints: Checkpoints
    stream: str
    clock: Clock
    undos: Mapping[tuple[str, str], Undo]
    live: Collection[str]

    async def runs(self, run: Run, *, subtree: bool) -> dict[str, Run]:
        """The run and, with ``subtree``, all its descendants."""
        found, pending = {run.run_id: run}, [run.run_id] if subtree else []
        while pending:
            children = {child.run_id: child for child in await self.registry.runs(parent=pending.pop(), limit=None)}
            found |= children
            pending += children
        return found

    async def __call__(self, run: Run, *, subtree: bool, since: Position | None, wait: bool = True) -> RollbackScope:
        """Gather and plan. With ``wait``, calls of the scope that are on the wire end first, so that their outcome is known."""
        runs = await self.runs(run, subtree=subtree)
        effects = await self._settled(runs, wait=wait)
        parents = await self._parents(runs)
        # A large plan takes a while, and calls of other runs do not wait for it.
        planned = await asyncio.to_thread(plan.plan, effects, self.undos, parents=parents, now=self.clock.now(), since=since)
        return RollbackScope(planned, runs, {write.wire_key: write for write in effects})

    async def _settled(self, runs: Mapping[str, Run], *, wait: bool) -> list[Write]:
        deadline = self.clock.monotonic() + (PATIENCE if wait else 0.0)
        while True:
            effects = [write for name in runs for write in await self.writes.of_run(name)]
            flying = any(write.state is State.IN_FLIGHT and write.wire_key in self.live for write in effects)
            if not flying or self.clock.monotonic() >= deadline:
                return sorted(effects, key=lambda write: (write.at, write.intent.seq))
            await asyncio.sleep(0.02)

    async def _parents(self, runs: Mapping[str, Run]) -> dict[Step, Step]:
        """The parents that steps without an effect named: reads lead from one write to another."""
        found: dict[Step, Step] = {}
        for run_id in runs:
            after: str | None = None
            while page := await self.history.entries(Query(run=run_id, kind=Kind.READ, after=after, limit=_PAGE)):
                for entry in page:
                    if isinstance(entry, ReadEntry) and entry.parent_named and entry.step_id and entry.parent_step_id:
                        found[run_id, entry.step_id] = (run_id, entry.parent_step_id)
                after = str(page[-1].position)
        return found

    async def under_way(self, run: Run, *, subtree: bool) -> Rollback | None:
        """The rollback that undoes what this run did, if one has begun and not ended: its own, or a coordinator's.

        Raises:
            Busy: a part of the subtree has its own active rollback.
        """
        for name in (run.run_id, *run.ancestors):
            for known in await self.records.rollbacks(run=name, limit=None):
                if not known.status.ended and (known.subtree or name == run.run_id):
                    return known
        for name in (await self.runs(run, subtree=subtree)).keys() - {run.run_id}:
            for known in await self.records.rollbacks(run=name, limit=None):
                if not known.status.ended:
                    raise Busy(known)
        return None

    async def begun(self, run: Run, *, subtree: bool) -> frozenset[str]:
        """The ids of all rollbacks that ever began in this scope: what was planned before another one did may be done by now."""
        names = {run.run_id, *run.ancestors, *(await self.runs(run, subtree=subtree))}
        return frozenset([one.rollback_id for name in names for one in await self.records.rollbacks(run=name, limit=None)])

    async def contained(self, run: Run, *, subtree: bool) -> None:
        """Raises:
        NotContained: a run of the scope is active.
        """
        now = self.clock.now()
        for one in (await self.runs(run, subtree=subtree)).values():
            held = self.containment.replica.hold(one, one.generation, None, now=now)
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
        if await self.history.entry(named) is None:
            # Nothing follows an entry that does not exist yet, and an empty plan must not look like a clean end.
            raise WrongRollback(f"There is no entry {to} in this journal (or not yet); 'to' is the last entry to keep.")
        return named

    async def freeze(self, run: Run, rollback_id: str, *, subtree: bool) -> None:
        """Keep the scope from starting runs: an effect that cannot be undone must not trigger more."""
        scope = Scope(run=run.run_id, subtree=subtree)
        reason = f"{rollback_id}: a person reviews an effect that cannot be undone"
        await self.containment.make(scope, Mode.ACTIVE, reason=reason, by="rollback", no_fanout=True)
