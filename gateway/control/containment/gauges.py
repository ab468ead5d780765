"""How much is in force and how much waits: numbers from the store and from the orders, which a restart does not change.

Open runs by mode take a look at every open run, so they are counted in the background, and the more runs there are the less often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.control.containment.containment import OrderReplica
from gateway.control.containment.scope_lookup import ScopeLookup, holds
from gateway.core.authorization import gate
from gateway.model.run import Mode, Order
from gateway.ports.clock import Clock
from gateway.ports.open_work import OpenCounts, OpenWork
from gateway.ports.projections import Registry

_REST = 50.0
"""How many times as long as a count of the runs took, the next one waits: the counts take at most a fiftieth of the time."""
_LEAST = 5.0
"""Seconds that it waits at least."""


@dataclass(slots=True)
class Gauges:
    """``refresh`` before reading ``orders`` and ``work``; ``tick`` keeps ``runs``, which is empty until the first count after a start."""

    replica: OrderReplica
    scopes: ScopeLookup
    registry: Registry
    open_work: OpenWork
    clock: Clock
    orders: Mapping[str, int] = field(default_factory=dict)
    runs: Mapping[str, int] = field(default_factory=dict)
    work: OpenCounts | None = None
    _due: float = 0.0

    async def refresh(self) -> None:
        """Count the orders in force, and what waits for a person.

        Raises:
            JournalUnavailable: the journal cannot be read.
        """
        self.work = None
        modes = Counter(_label(order) for order in await self.standing())
        self.orders = {label: modes[label] for label in (*(mode.label for mode in Mode if mode is not Mode.ACTIVE), "no_fanout")}
        self.work = await self.open_work.counts(self.clock.now())

    async def standing(self) -> list[Order]:
        """The orders in force, by id: neither released nor expired, nor superseded by a resume of the run that they name."""
        now, found = self.clock.now(), []
        for order in self.replica.standing.all():
            named = None if order.scope.run is None else await self.registry.run(order.scope.run)
            if gate.condition(order, named, now=now) == "standing":
                found.append(order)
        return sorted(found, key=lambda one: one.order_id)

    async def held_by(self, orders: list[Order]) -> dict[str, int]:
        """How many open runs each of these orders holds. Lets others work in between."""
        counts = {order.order_id: 0 for order in orders}
        if not orders:
            return counts
        async for one in self.scopes.open_runs(whole=True):
            run, now = one.run, self.clock.now()
            assert run is not None
            for order in orders:
                matched = gate.matches(order, run) and gate.standing(order, run, now=now)
                if matched and holds(order, run):
                    counts[order.order_id] += 1
        return counts

    async def tick(self) -> None:
        """Count the open runs by mode, if it is time."""
        began = self.clock.monotonic()
        if began < self._due:
            return
        found = Counter(dict.fromkeys((mode.label for mode in Mode), 0))
        async for one in self.scopes.open_runs(whole=True):
            assert one.run is not None
            found[self.replica.hold(one.run, one.run.generation, None, now=self.clock.now()).mode.label] += 1
        self.runs = found
        self._due = began + max(_LEAST, _REST * (self.clock.monotonic() - began))


def _label(order: Order) -> str:
    return "no_fanout" if order.mode is Mode.ACTIVE else order.mode.label
