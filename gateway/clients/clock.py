"""ports.Clock: this machine's time and randomness.

Random bytes from the operating system, fetched many at a time: each fetch gives the interpreter lock away.
"""

from __future__ import annotations

import os
import time

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
        self._chance = RandomBytes()

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


_FETCHED = 4096


class RandomBytes:
    """Belongs to one thread; no byte is given out twice. A forked child must make its own."""

    def __init__(self) -> None:
        self._bytes = b""
        self._used = 0

    def take(self, count: int) -> bytes:
        """``count`` bytes, at most 4096."""
        if self._used + count > len(self._bytes):
            self._bytes, self._used = os.urandom(_FETCHED), 0
        taken = self._bytes[self._used : self._used + count]
        self._used += count
        return taken
