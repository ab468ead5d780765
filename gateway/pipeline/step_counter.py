"""How far each run has come: its steps so far, and the last of them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.model.run import Run
from gateway.ports.projections import Registry

_KEPT = 50_000


@dataclass(slots=True)
class _Progress:
    """``calls`` numbers the calls for their automatic step ids, ``steps`` counts those that were metered."""

    calls: int
    steps: int
    last: str | None = None


class Progress(NamedTuple):
    """The number of a call among its run's, how many steps were metered before it, and the id of the last of them."""

    ordinal: int
    steps: int
    last: str | None


@dataclass(slots=True)
class StepCounter:
    """Steps counted in memory, from where the journal left off; a run not heard of for long is forgotten and looked up anew."""

    registry: Registry
    _runs: OrderedDict[str, _Progress] = field(default_factory=OrderedDict)

    async def next(self, run: Run) -> Progress:
        """How far the run is with its next call."""
        progress = await self._of(f"run:{run.run_id}")
        progress.calls += 1
        return Progress(progress.calls, progress.steps, progress.last)

    def stepped(self, run_id: str, step_id: str) -> None:
        self._runs[f"run:{run_id}"].last = step_id

    async def step(self, scopes: tuple[tuple[str, int | None], ...]) -> tuple[str, int] | None:
        """Count one step on every scope, or on none: then the scope and limit that stand against it."""
        counted = [(await self._of(scope), scope, limit) for scope, limit in scopes]
        for progress, scope, limit in counted:
            if limit is not None and progress.steps >= limit:
                return scope, limit
        for progress, _, _ in counted:
            progress.steps += 1
        return None

    async def _of(self, scope: str) -> _Progress:
        progress = self._runs.get(scope)
        if progress is None:
            steps = (await self.registry.counters(scope)).get("steps", 0)
            progress = self._runs.setdefault(scope, _Progress(steps, steps))
            if len(self._runs) > _KEPT:
                self._runs.popitem(last=False)
        return progress
