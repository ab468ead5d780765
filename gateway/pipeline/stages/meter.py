"""Is the call too fast, or has its run taken too many steps? Every call is metered, reads and repetitions too.

Steps are counted in memory, from where the journal left off.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway import errors
from gateway.core import limits
from gateway.model.run import Limits, Rate, Run, TaskClass
from gateway.pipeline.evidence import Metered, Open
from gateway.ports.projections import Registry
from gateway.ports.rates import Quota, Rates


@dataclass(frozen=True, slots=True)
class Meter:
    """``tenant_limits`` gives the limits declared for a tenant, or ``None``."""

    rates: Rates
    steps: StepCounter
    task_classes: Mapping[str, TaskClass]
    tenant_limits: Callable[[str], Limits | None]

    async def __call__(self, opened: Open) -> Metered:
        """Count the call.

        Raises:
            RateLimited: it came too soon; nothing was counted.
            BlastRadius: the steps of the run or of its workflow are used up.
        """
        run = opened.known.run
        task_class = self.task_classes.get(run.task_class)
        quota = await self.rates.take(self._meters(run), now=opened.known.at)
        if quota is not None and quota.wait > 0:
            detail = f"{quota.name} may send {quota.rate} calls."
            raise _with_quota(errors.RateLimited(detail, retry_after=quota.wait, **violated(quota.name)), quota)
        workflow_steps = task_class.limits.steps if task_class else None
        scopes = ((f"run:{run.run_id}", run.limits.steps), (f"workflow:{run.tenant}/{run.workflow_id}", workflow_steps))
        full = await self.steps.step(scopes)
        if full is not None:
            scope, limit = full
            raise _with_quota(errors.BlastRadius(f"{scope} has used its {limit} steps.", **violated(f"{scope} steps")), quota)
        return Metered(opened=opened, quota=quota)

    def _meters(self, run: Run) -> list[tuple[str, Rate]]:
        tenant = self.tenant_limits(run.tenant)
        rates = ((f"run:{run.run_id}", run.limits.rate), (f"tenant:{run.tenant}", None if tenant is None else tenant.rate))
        return [(name, rate) for name, rate in rates if rate is not None]


def violated(*limits: str) -> dict[str, Any]:
    """The problem member that names the limits that refuse a call."""
    return {"violated-policies": list(limits)}


def _with_quota(refusal: errors.Refusal, quota: Quota | None) -> errors.Refusal:
    refusal.fields = quota_headers(quota)
    return refusal


def quota_headers(quota: Quota | None) -> tuple[tuple[bytes, bytes], ...]:
    """``RateLimit`` and ``RateLimit-Policy`` for the tightest rate."""
    if quota is None:
        return ()
    name = quota.name.partition(":")[0]
    policy = f'"{name}";q={quota.rate.count};w={max(1, round(quota.rate.seconds))}'
    rest = f'"{name}";r={quota.remaining};t={limits.retry_after(quota.wait)}'
    return ((b"RateLimit-Policy", policy.encode()), (b"RateLimit", rest.encode()))


_KEPT = 50_000


@dataclass(slots=True)
class Progress:
    """``calls`` numbers a run's calls for their automatic step ids, ``steps`` counts those that were metered; ``last`` is a step id."""

    calls: int
    steps: int
    last: str | None = None


@dataclass(slots=True)
class StepCounter:
    """Steps counted in memory, from the journal's count; idle runs are dropped and looked up again."""

    registry: Registry
    _runs: OrderedDict[str, Progress] = field(default_factory=OrderedDict)

    async def next(self, run: Run) -> Progress:
        """How far the run is with its next call, that one counted; who takes the step sets ``last``."""
        progress = await self._of(f"run:{run.run_id}")
        progress.calls += 1
        return progress

    async def step(self, scopes: tuple[tuple[str, int | None], ...]) -> tuple[str, int] | None:
        """Count one step on every scope, or on none: then returns the scope and limit that refuse it."""
        counted = [(await self._of(scope), scope, limit) for scope, limit in scopes]
        for progress, scope, limit in counted:
            if limit is not None and progress.steps >= limit:
                return scope, limit
        for progress, _, _ in counted:
            progress.steps += 1
        return None

    async def _of(self, scope: str) -> Progress:
        progress = self._runs.get(scope)
        if progress is None:
            steps = (await self.registry.counters(scope)).get("steps", 0)
            progress = self._runs.setdefault(scope, Progress(steps, steps))
            if len(self._runs) > _KEPT:
                self._runs.popitem(last=False)
        return progress
