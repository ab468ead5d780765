"""What there is to undo: the effects of a run or of a coordinator with all its descendants, and what is known of them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import orjson
from msgspec import Struct

from gateway.core.adapter.catalog import Undo
from gateway.core.rollback import plan
from gateway.model.effect import State, Write
from gateway.model.entry import Kind, Position
from gateway.model.plan import Plan, Step
from gateway.model.run import Run
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Query
from gateway.ports.projections import Registry, Writes

_PAGE = 1000
PATIENCE = 15.0
"""Seconds for which calls that are on the wire are waited for, before their outcome counts as unknown."""


class Gathered(Struct, frozen=True):
    """``runs`` and ``effects`` (wire key to write) of the scope; compensations are among them: they tell which version they left."""

    plan: Plan
    runs: Mapping[str, Run]
    effects: Mapping[str, Write]


class ScopeQuery(Struct, frozen=True):
    """``undos`` are the catalogs', by tool and action; ``live`` the wire keys of writes that this process is carrying."""

    registry: Registry
    writes: Writes
    history: History
    clock: Clock
    undos: Mapping[tuple[str, str], Undo]
    live: Collection[str]

    async def runs(self, run: Run, *, subtree: bool) -> dict[str, Run]:
        """The run and, with ``subtree``, all its descendants."""
        found, pending = {run.run_id: run}, [run.run_id] if subtree else []
        while pending:
            parent, after = pending.pop(), None
            while page := await self.registry.runs(parent=parent, after=after, limit=_PAGE):
                found |= {child.run_id: child for child in page}
                pending += [child.run_id for child in page]
                after = page[-1].run_id
        return found

    async def __call__(self, run: Run, *, subtree: bool, since: Position | None, wait: bool = True) -> Gathered:
        """Gather and plan. With ``wait``, calls of the scope that are on the wire end first, so that their outcome is known."""
        runs = await self.runs(run, subtree=subtree)
        effects = await self._settled(runs, wait=wait)
        parents = await self._parents(runs)
        # A large plan takes a while, and calls of other runs do not wait for it.
        planned = await asyncio.to_thread(plan.plan, effects, self.undos, parents=parents, now=self.clock.now(), since=since)
        return Gathered(planned, runs, {write.wire_key: write for write in effects})

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
                for line in page:
                    if b'"parent_named":true' in line:
                        entry = orjson.loads(line)
                        found[run_id, entry["step_id"]] = (run_id, entry["parent_step_id"])
                last = orjson.loads(page[-1])
                after = f"{last['stream']}/{last['seq']}"
        return found
