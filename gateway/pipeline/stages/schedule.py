"""Now, later, or not at all? Under overload writes are shed first, reads next; what is taken waits for its tenant's turn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from gateway import errors
from gateway.core import overload
from gateway.core.overload import LoopLag
from gateway.model.call import Effect
from gateway.pipeline.evidence import Classified
from gateway.pipeline.fair_queue import FairQueue
from gateway.ports.clock import Clock

RETRY_AFTER = 1.0
"""Seconds."""
PER_TURN = 8
"""Calls that begin in one turn of the event loop: few, so that a turn is short; enough that a turn's own cost does not count."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A call works on the event loop in the one turn in which it begins, from the gate to the first byte that the tool gets. So its place
    is free in the next turn. A call that waits for its tool, is refused, or is cancelled holds none.

    ``beat`` is a routine of the supervisor, every ``overload.INTERVAL``. Compensations do not pass here: they are an operator's work."""

    clock: Clock
    queue: FairQueue = field(default_factory=lambda: FairQueue(PER_TURN))
    lag: LoopLag = field(default_factory=LoopLag)

    async def __call__(self, classified: Classified) -> Classified:
        """The call as it came, when its turn has come.

        Raises:
            Overloaded: the gateway has more to do than it can, or the tenant has.
        """
        tenant = classified.known.run.tenant
        queued, shared = self.queue.queued(tenant), self.queue.shared()
        why = overload.reason(classified.action.effect, lag=self.lag.standing, queued=queued, shared=shared)
        if why is not None:
            raise errors.Overloaded(why, retry_after=RETRY_AFTER)
        if await self.queue.enter(tenant):
            asyncio.get_running_loop().call_soon(self.queue.leave)
        return classified

    async def beat(self) -> None:
        """Measure how late the event loop is."""
        self.lag.beat(self.clock.monotonic())

    def health(self) -> tuple[bool, str]:
        """Whether any call passes, and the load."""
        lag = self.lag.standing
        carrying = overload.reason(Effect.READ, lag=lag, queued=0) is None
        return carrying, f"loop lag {lag * 1000:.0f} ms, {len(self.queue)} calls wait for their turn"
