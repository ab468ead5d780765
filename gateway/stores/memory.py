"""GCRA meters in the memory of one process, for one node or for its share of them. A restart forgets them: at most one second's worth of
calls is let through again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.core import limits
from gateway.model.run import Rate
from gateway.ports.rates import Quota, Rates

_KEPT = 100_000


@dataclass(slots=True)
class MemoryRates(Rates):
    """Meters not used for long are forgotten first: they are full by then.

    Of every rate this is the share of one among ``nodes``.
    """

    nodes: int = 1
    _arrivals: OrderedDict[str, float] = field(default_factory=OrderedDict)

    async def take(self, meters: Sequence[tuple[str, Rate]], *, now: float) -> Quota | None:
        """Take one call from every meter, or, if one has none left, from none of them."""
        taken: list[tuple[str, float]] = []
        tightest: Quota | None = None
        for name, declared in meters:
            rate = limits.share(declared, self.nodes)
            arrival, remaining, wait = limits.meter(self._arrivals.get(name, 0.0), rate, now=now)
            if wait > 0:
                return Quota(name, rate, 0, wait)
            taken.append((name, arrival))
            if tightest is None or remaining < tightest.remaining:
                tightest = Quota(name, rate, remaining)
        for name, arrival in taken:
            self._arrivals[name] = arrival
            self._arrivals.move_to_end(name)
        while len(self._arrivals) > _KEPT:
            self._arrivals.popitem(last=False)
        return tightest

    async def check(self) -> None:
        """There is nothing that could be lost."""

    def health(self) -> tuple[bool, str]:
        return True, "memory" if self.nodes == 1 else f"1/{self.nodes} of every rate in memory"

    async def close(self) -> None:
        """There is nothing to release."""
