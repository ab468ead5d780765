"""ports.Clock: this machine's time and randomness."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.clients.chance import Chance
from gateway.ports import Clock

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
"""Two characters for each 10 bits."""


class SystemClock:
    """Belongs to one thread. Time that a correction set back stands still until it has caught up."""

    def __init__(self) -> None:
        self._now = 0.0
        self._millis = 0
        self._prefix = ""
        self._random = 0
        self._chance = Chance()

    def now(self) -> float:
        now = time.time()
        if now > self._now:
            self._now = now
        return self._now

    def monotonic(self) -> float:
        return time.monotonic()

    def mint(self, prefix: str) -> str:
        """``<prefix>_<ULID>``: 48 bits of milliseconds, then 80 random bits that go up by one within a millisecond."""
        millis = time.time_ns() // 1_000_000
        if millis > self._millis:
            self._millis = millis
            self._prefix = _coded(millis, 50)
            self._random = int.from_bytes(self._chance.take(10)) >> 1  # the upper half stays free to count up in
        else:
            self._random += 1
        return f"{prefix}_{self._prefix}{_coded(self._random, 80)}"


def _coded(number: int, bits: int) -> str:
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(bits - 10, -10, -10)])


if TYPE_CHECKING:
    _port: type[Clock] = SystemClock
