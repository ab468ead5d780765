"""Random bytes from the operating system, fetched many at a time: each fetch gives the interpreter lock away."""

from __future__ import annotations

import os

_FETCHED = 4096


class Chance:
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
