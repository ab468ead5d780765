"""What a write charges, to whose budgets, and whether it would pass a limit of one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway import errors
from gateway.core import limits
from gateway.model.effect import Charge, Violation
from gateway.model.run import Limits, Run, TaskClass
from gateway.pipeline.evidence import Action
from gateway.pipeline.stages import meter
from gateway.ports.projections import Registry


@dataclass(frozen=True, slots=True)
class Budgets:
    """``tenant_limits`` gives the limits declared for a tenant, or ``None``."""

    registry: Registry
    task_classes: Mapping[str, TaskClass]
    tenant_limits: Callable[[str], Limits | None]

    async def charges(self, run: Run, action: Action) -> tuple[Charge, ...]:
        """What a write of this run charges, to every budget that counts it.

        Raises:
            BlastRadius: a limited cost is not stated by the call.
        """
        ancestors = [one for name in run.ancestors if (one := await self.registry.run(name)) is not None]
        budgets = limits.budgets(run, ancestors, self.task_classes.get(run.task_class), self.tenant_limits(run.tenant))
        missing = limits.unpriced(budgets, action.cost)
        if missing is not None:
            raise errors.BlastRadius(
                f"{action.name} has a limit on {missing}, and the call does not state it as a plain number.",
                hint="Send the field that the adapter's cost names, as a non-negative number.",
                missing_amount=missing,
                **meter.violated(missing),
            )
        return limits.charges(budgets, action.cost, action.target)

    async def check(self, run: Run, action: Action) -> None:
        """Look whether a limit would refuse a write now. Nothing is reserved: the journal decides when the write is sent.

        Raises:
            BlastRadius: a limit would refuse it.
        """
        if violations := await self.registry.over(await self.charges(run, action)):
            raise exceeded(violations)


def exceeded(violations: Sequence[Violation]) -> errors.BlastRadius:
    """The agent's error for the limits that a write would pass (at least one)."""
    named = [f"{one.scope} {one.name}" for one in violations]
    first = violations[0]
    limit, used, asked = (limits.in_units(first.name, value) for value in (first.limit, first.used, first.asked))
    detail = f"{first.scope} may use {limit} of {first.name}, has used {used}, and the call needs {asked} more."
    return errors.BlastRadius(detail, **meter.violated(*named))
