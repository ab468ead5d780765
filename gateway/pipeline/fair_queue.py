"""A bounded resource of the process, taken in turn by tenants: one with ten times as many calls is served no more often."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

from gateway.core.round_robin import RoundRobin

ALONE = 60.0
"""Seconds."""


@dataclass(slots=True)
class FairQueue:
    """``places`` calls are in at once. A call beyond waits with those of its flow, first in, first out; free places go to flows in turn.

    A flow is what shares equally: a tenant's calls. While there was only one for ``ALONE`` seconds, nobody has to wait for it: its calls
    need no place, and the bound does not hold.
    """

    places: int
    _used: int = 0
    _flow: Hashable = None
    _shared_until: float = 0.0
    _waiting: RoundRobin[Hashable, asyncio.Future[None]] = field(default_factory=RoundRobin)

    async def enter(self, flow: Hashable) -> bool:
        """Wait for the flow's turn; whether that took a place, which needs one ``leave``."""
        loop = asyncio.get_running_loop()
        if flow != self._flow:
            if self._flow is not None:
                self._shared_until = loop.time() + ALONE
            self._flow = flow
        if not self._waiting:
            if loop.time() > self._shared_until:
                return False
            if self._used < self.places:
                self._used += 1
                return True
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.push(flow, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given a place in the same turn of the event loop
                self.leave()
            raise
        return True

    def leave(self) -> None:
        """Give the place to the next flow's call; one that was cancelled while it waited is passed over."""
        self._used -= 1
        while self._open() and (turn := self._waiting.pop()) is not None:
            if not turn.done():
                turn.set_result(None)
                self._used += 1

    def _open(self) -> bool:
        return self._used < self.places or asyncio.get_running_loop().time() > self._shared_until

    def shared(self) -> bool:
        """Whether more than one flow was there in the last ``ALONE`` seconds."""
        return asyncio.get_running_loop().time() <= self._shared_until

    def queued(self, flow: Hashable) -> int:
        """How many calls of the flow wait; one that was cancelled counts until its turn comes."""
        return self._waiting.queued(flow)

    def __len__(self) -> int:
        return len(self._waiting)
