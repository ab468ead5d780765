"""The order in which calls do their work on the event loop: so many in each turn of the loop, tenant by tenant."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from gateway.core.round_robin import RoundRobin

PER_TURN = 8
"""Calls that begin in one turn of the event loop: few, so that a turn is short; enough that a turn's own cost does not count."""


@dataclass(slots=True)
class FairQueue:
    """Calls do almost all of their work in the one turn of the loop in which they begin, from the gate to the request's first byte. A
    turn takes ``PER_TURN`` of them. Those that come beyond wait, and the next turns take them, tenant by tenant.

    A place is only the turn itself. A call that waits for its tool, is refused, or is cancelled holds nothing.
    """

    per_turn: int = PER_TURN
    _begun: int = 0
    _scheduled: bool = False
    _waiting: RoundRobin[str, asyncio.Future[None]] = field(default_factory=RoundRobin)

    def enter(self, tenant: str) -> asyncio.Future[None] | None:
        """``None`` if a call of the tenant may begin in this turn of the loop; else what is done when its turn has come."""
        if self._begun < self.per_turn and not self._waiting:
            self._begun += 1
            if not self._scheduled:
                self._schedule()
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.push(tenant, turn)
        return turn

    def queued(self, tenant: str) -> int:
        """How many calls of the tenant wait; one that was cancelled counts until its turn comes."""
        return self._waiting.queued(tenant)

    def __len__(self) -> int:
        return len(self._waiting)

    def _schedule(self) -> None:
        self._scheduled = True
        asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._begun, self._scheduled = 0, False
        while self._begun < self.per_turn and (turn := self._waiting.pop()) is not None:
            if not turn.done():  # cancelled: its client is gone
                turn.set_result(None)
                self._begun += 1
        if self._begun:
            self._schedule()
