"""Which calls are shed while more come than the gateway can carry: writes first, reads next. Orders are no calls, and never shed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from msgspec import Struct

from gateway.model.call import Effect

INTERVAL = 0.05
"""Seconds from one beat to the next."""
BEATS = 6


@dataclass(slots=True)
class LoopLag:
    """How late the event loop is, measured by beats every ``INTERVAL``.

    ``standing`` is the smallest lag of the last ``BEATS`` beats, in seconds. A single stall of any length (the garbage collector, a slow
    disk) makes one beat late; work that piles up, every beat.
    """

    standing: float = 0.0
    _last: float | None = None
    _lags: deque[float] = field(default_factory=lambda: deque([0.0] * BEATS, maxlen=BEATS))

    def beat(self, now: float) -> None:
        """Note when this beat came, in seconds of a clock that never runs backwards."""
        if self._last is not None:
            self._lags.append(max(0.0, now - self._last - INTERVAL))
            self.standing = min(self._lags)
        self._last = now


class Bound(Struct, frozen=True):
    """``lag``: seconds of standing lag of the event loop; ``queued``: calls of one tenant that wait for their turn."""

    lag: float
    queued: int


BOUNDS = {Effect.WRITE: Bound(lag=0.1, queued=256), Effect.READ: Bound(lag=0.25, queued=512)}


BYSTANDER = 3.0
"""Times as much lag sheds the calls of a tenant that has none waiting while others crowd."""


def reason(effect: Effect, *, lag: float, queued: int, shared: bool = False) -> str | None:
    """Why a call of this effect is shed, ``None`` if it is not. ``lag`` in seconds; ``queued`` calls of its tenant wait before it;
    ``shared``: other tenants call too.
    """
    bound = BOUNDS[effect]
    if lag > bound.lag and (lag > bound.lag * BYSTANDER or queued or not shared):
        return f"The event loop is {lag * 1000:.0f} ms late; above {bound.lag * 1000:.0f} ms, {effect.value}s are refused."
    if queued >= bound.queued:
        return f"{queued} calls of this tenant wait already; from {bound.queued} on, {effect.value}s are refused."
    return None
