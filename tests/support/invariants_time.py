"""Time that passes only while everybody waits for it: an event loop that goes straight to the next timer, and a clock that reads it.

So a story of minutes takes milliseconds, and the same story takes the same course each time.
"""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Callable
from typing import Any

BEGIN = 1_780_000_000.0
HOUR = 3600.0

_STUCK = 5.0
"""Seconds (real ones) after which nothing will come any more."""


class _Hurrying(selectors.DefaultSelector):
    """Does not sit out a timer: where no thread is at work for the loop, the time is up at once."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0
        self.working: Callable[[], bool] = lambda: False

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout <= 0:
            return list(super().select(timeout))
        if found := super().select(_STUCK if timeout is None or self.working() else 0.001):
            return list(found)
        assert timeout is not None, "everybody waits, and nothing will come"
        assert not self.working(), "the journal's thread does not report"
        self.passed += timeout
        return []


class StoryLoop(asyncio.SelectorEventLoop):
    """``working`` says whether a thread has yet to report; what is handed to an executor is done on the spot."""

    def __init__(self) -> None:
        self._hurrying = _Hurrying()
        super().__init__(self._hurrying)

    def time(self) -> float:
        return self._hurrying.passed

    def busy_while(self, working: Callable[[], bool]) -> None:
        self._hurrying.working = working

    def pass_time(self, seconds: float) -> None:
        self._hurrying.passed += seconds

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class StoryClock:
    """``ports.Clock`` of one life of a gateway. ``ahead`` seconds is its machine's clock set wrong."""

    _minted = itertools.count(1)

    def __init__(self, loop: StoryLoop, ahead: float) -> None:
        self._loop, self._ahead = loop, ahead

    def now(self) -> float:
        return BEGIN + self._ahead + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    def wall_ahead(self) -> float:
        return 0.0

    def mint(self, prefix: str) -> str:
        return f"{prefix}_{int(self.now() * 1000):013d}{next(self._minted):013d}"
