"""The one owner of tasks. What runs in the background is named, awaited at the end, and never dies unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field

Log = Callable[..., object]


@dataclass(slots=True)
class Supervisor:
    """Tasks of calls (awaited at shutdown) and of routines (ended at shutdown)."""

    log: Log
    _calls: set[asyncio.Task[None]] = field(default_factory=set)
    _routines: list[asyncio.Task[None]] = field(default_factory=list)

    def spawn(self, call: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run a call's coroutine as a task of its own."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return task

    def every(self, seconds: float, name: str, routine: Callable[[], Awaitable[object]]) -> None:
        """Run a routine periodically; a failure is logged, and the routine runs again."""

        async def turns() -> None:
            while True:
                await asyncio.sleep(seconds)
                try:
                    await routine()
                except Exception as error:
                    self.log("routine-failed", routine=name, error=f"{type(error).__name__}: {error}")

        self._routines.append(asyncio.get_running_loop().create_task(turns(), name=name))

    async def finish(self, grace: float) -> bool:
        """Stop the routines and wait up to ``grace`` seconds for the calls; whether all of them completed."""
        for routine in self._routines:
            routine.cancel()
        await asyncio.gather(*self._routines, return_exceptions=True)
        if not self._calls:
            return True
        _, late = await asyncio.wait(set(self._calls), timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return not late

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log("call-failed", error=f"{type(error).__name__}: {error}")
