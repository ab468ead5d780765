"""ports.Clock: this machine's time and randomness.

Random bytes from the operating system, fetched many at a time: each fetch gives the interpreter lock away.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
"""Two characters for each 10 bits."""

JUMP = 60.0
"""Seconds between the process's time and the wall clock. A larger difference is reported, and the process keeps its time."""

SLEW = 0.0005
"""Seconds per second by which the process slews its time to a smaller difference, as NTP daemons do."""


def _elapsing() -> Callable[[], float]:
    """Seconds that no setting of the wall clock moves; with CLOCK_BOOTTIME they include the time for which the machine was suspended."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    if boottime is None:
        return time.monotonic
    return functools.partial(time.clock_gettime, boottime)


class SystemClock:
    """Belongs to one thread. ``now`` is the wall clock at the start plus what has elapsed since: setting the wall clock moves no deadline.

    ``wall`` gives Unix seconds, ``elapsed`` seconds since any moment.
    """

    def __init__(self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] | None = None) -> None:
        self._wall = wall
        self._elapsed = elapsed or _elapsing()
        self._compared = self._elapsed()
        self._began = wall() - self._compared
        self._millis = 0
        self._prefix = ""
        self._random = 0
        self._chance = RandomBytes()

    def now(self) -> float:
        return self._began + self._elapsed()

    def monotonic(self) -> float:
        return time.monotonic()

    def wall_ahead(self) -> float:
        """Seconds by which the wall clock is ahead of the process's time, less what was slewed since the last comparison.

        Called about once a second. A difference beyond ``JUMP`` is left as it is.
        """
        elapsed = self._elapsed()
        passed, self._compared = elapsed - self._compared, elapsed
        difference = self._wall() - (self._began + elapsed)
        if abs(difference) > JUMP:
            return difference
        most = max(0.0, passed) * SLEW
        step = min(most, max(-most, difference))
        self._began += step
        return difference - step

    def mint(self, prefix: str) -> str:
        """``<prefix>_<ULID>``: 48 bits of milliseconds, then 80 random bits that go up by one within a millisecond."""
        millis = int(self.now() * 1000)
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
