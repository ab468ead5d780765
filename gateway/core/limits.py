"""Rates and blast radius, as arithmetic.

A rate is a GCRA meter: one number, the theoretical arrival time, moves forward by one interval a call; a call that
would move it more than the burst ahead of now came too soon. Blast radius is a list of charges, all taken or none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from gateway.model.call import Cost, Target
from gateway.model.effect import Charge
from gateway.model.run import Limits, RaisedLimit, Rate, Run, SpentLimit, TaskClass

MILLION = 1_000_000
_NONE = Limits()

ROUNDING = 2e-6
"""Seconds: a double holds Unix time to a fifth of a microsecond, and sums of intervals are off by a little more."""


def meter(arrival: float, rate: Rate, *, now: float) -> tuple[float, int, float]:
    """One call against a meter: its new arrival time, how many more fit at once, and how long to wait (0: the call passes).

    A call that has to wait leaves the arrival time as it was. Times are in seconds on one clock.
    """
    interval = rate.seconds / rate.count
    burst = max(1, int(rate.per_second))
    moved = max(arrival, now) + interval
    earliest = moved - interval * burst
    if now < earliest - ROUNDING:
        return arrival, 0, earliest - now
    return moved, min(burst - 1, int(max(0.0, now - earliest + ROUNDING) / interval)), 0.0


def share(rate: Rate, nodes: int) -> Rate:
    """A rate split evenly: what one of ``nodes`` may let through without asking the others."""
    return Rate(rate.count, rate.seconds * nodes)


def of_tenant(declared: Mapping[str, Limits], tenant: str) -> Limits | None:
    """The limits declared for a tenant: its own, or those under ``*`` for every tenant without its own."""
    return declared.get(tenant, declared.get("*"))


def budgets(
    run: Run, ancestors: Iterable[Run], task_class: TaskClass | None, tenant_limits: Limits | None
) -> tuple[tuple[str, Limits], ...]:
    """Whose budgets a write of this run is charged to: the run, each ancestor, the workflow, and the totals that were declared."""
    scopes = [(f"run:{run.run_id}", run.limits)]
    scopes += [(f"run:{ancestor.run_id}", ancestor.limits) for ancestor in ancestors]
    scopes.append((f"workflow:{run.tenant}/{run.workflow_id}", task_class.limits if task_class else _NONE))
    if task_class is not None and task_class.total is not None:
        scopes.append((f"class:{task_class.name}", task_class.total))
    if tenant_limits is not None:
        scopes.append((f"tenant:{run.tenant}", tenant_limits))
    return tuple(scopes)


def charges(scopes: Iterable[tuple[str, Limits]], cost: Cost, target: Target) -> tuple[Charge, ...]:
    """What one write charges to each budget."""
    tenant = target.tenant or ""
    charged: list[Charge] = []
    for scope, limits in scopes:
        charged.append(Charge(scope, "writes", 1, limits.writes))
        charged.append(Charge(scope, "tenants", 1, limits.tenants, member=tenant))
        charged.append(Charge(scope, "systems", 1, limits.systems, member=target.tool or target.system))
        if cost.records:
            charged.append(Charge(scope, "records", cost.records, limits.records))
        charged += [Charge(scope, f"amount:{name}", amount, limits.amount.get(name)) for name, amount in cost.amounts.items()]
    return tuple(charged)


def unpriced(scopes: Iterable[tuple[str, Limits]], cost: Cost) -> str | None:
    """The name of a limited cost that the call does not state: a limit needs a number."""
    for _, limits in scopes:
        for name in cost.unpriced:
            limited = limits.records if name == "records" else limits.amount.get(name.removeprefix("amount:"))
            if limited is not None:
                return name
    return None


def wider(asked: Limits, ceiling: Limits) -> list[str]:
    """Where ``asked`` goes beyond ``ceiling``, one line each; empty when it is equal or tighter everywhere."""
    found: list[str] = []
    if ceiling.rate is not None and (asked.rate is None or asked.rate.per_second > ceiling.rate.per_second):
        found.append(f"limits.rate: {asked.rate or 'none'} is wider than {ceiling.rate}")
    for name in ("steps", "writes", "records", "tenants", "systems"):
        found += _over(f"limits.{name}", getattr(asked, name), getattr(ceiling, name))
    for name, most in ceiling.amount.items():
        found += _over(f"limits.amount.{name}", asked.amount.get(name), most)
    return found


def raised(present: Limits, wanted: Mapping[str, object]) -> tuple[Limits, list[RaisedLimit]]:
    """Limits with what is ``wanted`` in place of those present, and which of them became another; both hold model values by field name."""
    new = inherit(wanted, present)
    pairs = [(name, getattr(present, name), getattr(new, name)) for name in ("rate", "steps", "writes", "records", "tenants", "systems")]
    changed = [RaisedLimit(name, _text(was), _text(now)) for name, was, now in pairs if was != now]
    for name, most in new.amount.items():
        if (was := present.amount.get(name)) != most:
            shown = [_text(None if one is None else in_units(f"amount:{name}", one)) for one in (was, most)]
            changed.append(RaisedLimit(f"amount.{name}", *shown))
    return new, changed


def spent(scope: str, limits: Limits, used: Mapping[str, int], *, steps: bool) -> list[SpentLimit]:
    """The limits that have nothing left; ``used`` is by counter's name. Tenants and systems in use are not refused, so only 0 counts."""
    limited = {"writes": limits.writes, "records": limits.records, "steps": limits.steps if steps else None}
    limited |= {f"amount:{name}": most for name, most in limits.amount.items()}
    limited |= {name: most for name, most in (("tenants", limits.tenants), ("systems", limits.systems)) if most == 0}
    return [SpentLimit(scope, name, most, now) for name, most in limited.items() if most is not None and (now := used.get(name, 0)) >= most]


def in_units(name: str, value: int) -> str:
    """A number as users write it, to the last digit: an amount is counted in millionths."""
    if not name.startswith("amount:"):
        return str(value)
    whole, part = divmod(value, MILLION)
    return f"{whole}.{part:06}".rstrip("0").removesuffix(".")


def inherit(asked: Mapping[str, object], ceiling: Limits) -> Limits:
    """Limits with what was asked in place of the ceiling's own; ``asked`` holds model values by field name."""
    amount = {**ceiling.amount, **asked.get("amount", {})}  # type: ignore[dict-item]
    return replace(ceiling, **{**asked, "amount": amount})


def retry_after(wait: float) -> int:
    """Whole seconds to wait, at least one."""
    return max(1, math.ceil(wait))


def _text(value: object) -> str:
    return "none" if value is None else str(value)


def _over(name: str, asked: int | None, ceiling: int | None) -> list[str]:
    if ceiling is None or (asked is not None and asked <= ceiling):
        return []
    return [f"{name}: {'none' if asked is None else asked} is wider than {ceiling}"]
