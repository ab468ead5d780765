"""Turns at one tool's connections: first come, first served, bounded in all and for each tenant."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque

from gateway.errors import UpstreamFailure
from gateway.wire.limits import PoolBounds

Turn = tuple[int, "asyncio.Future[None]"]


class AdmissionQueue:
    """Counts the connections in use. A tenant at its own bound waits without keeping others from theirs."""

    __slots__ = ("_bounds", "_number", "_queues", "_used", "_used_by", "_waiting")

    def __init__(self, bounds: PoolBounds) -> None:
        self._bounds = bounds
        self._used = 0
        self._used_by: defaultdict[str, int] = defaultdict(int)
        self._queues: dict[str, deque[Turn]] = {}
        self._waiting = 0
        self._number = itertools.count()

    @property
    def used(self) -> int:
        return self._used

    @property
    def waiting(self) -> int:
        return self._waiting

    def take(self, tenant: str) -> bool:
        """Take a slot if one is free for this tenant. (None is free while someone waits who could have it.)"""
        if not self._free(tenant):
            return False
        self._used += 1
        self._used_by[tenant] += 1
        return True

    async def wait(self, tenant: str, deadline: float) -> None:
        """Take a slot when this caller's turn has come; ``deadline`` is in the loop's time.

        Raises:
            UpstreamFailure: the turn did not come in time, or too many wait already; nothing was sent.
        """
        if self._waiting >= self._bounds.waiting:
            raise UpstreamFailure("too many calls wait for a connection to the tool", sent=False)
        loop = asyncio.get_running_loop()
        granted: asyncio.Future[None] = loop.create_future()
        turn = (next(self._number), granted)
        self._queues.setdefault(tenant, deque()).append(turn)
        self._waiting += 1
        timer = loop.call_at(deadline, _expire, granted)
        try:
            await granted
        except BaseException:
            self._leave(tenant, turn)
            raise
        finally:
            timer.cancel()

    def give(self, tenant: str) -> None:
        """Give a slot back; whoever has waited longest and may have it gets it."""
        self._used -= 1
        self._used_by[tenant] -= 1
        if not self._used_by[tenant]:
            del self._used_by[tenant]
        if self._waiting:
            self._grant()

    def _free(self, tenant: str) -> bool:
        return self._used < self._bounds.connections and self._used_by.get(tenant, 0) < self._bounds.tenant_connections

    def _grant(self) -> None:
        eligible = [(queue[0], tenant) for tenant, queue in self._queues.items() if self._free(tenant)]
        if not eligible:
            return
        (_, granted), tenant = min(eligible, key=lambda waiting: waiting[0][0])
        self._drop(tenant, self._queues[tenant][0])
        # One that has just expired or was cancelled has not left yet; its place goes to the next.
        if granted.done():
            self._grant()
        else:
            self.take(tenant)
            granted.set_result(None)

    def _leave(self, tenant: str, turn: Turn) -> None:
        if turn in self._queues.get(tenant, ()):
            self._drop(tenant, turn)
        elif turn[1].done() and not turn[1].cancelled() and turn[1].exception() is None:
            # Cancelled after the turn had come, before it could be used.
            self.give(tenant)

    def _drop(self, tenant: str, turn: Turn) -> None:
        queue = self._queues[tenant]
        queue.remove(turn)
        self._waiting -= 1
        if not queue:
            del self._queues[tenant]


def _expire(granted: asyncio.Future[None]) -> None:
    if not granted.done():
        granted.set_exception(UpstreamFailure("no connection to the tool became free in time", sent=False, late=True))
