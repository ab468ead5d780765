"""Replies that are still streaming: the lease and the orders are asked again with every chunk, at every order and every second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from gateway.errors import Refusal
from gateway.model.wire import Answer
from gateway.pipeline.tool import discard


@dataclass(frozen=True, slots=True)
class Streams:
    _live: dict[asyncio.Task[object], Callable[[], None]] = field(default_factory=dict)

    async def guarded(self, answer: Answer, fence: Callable[[], None]) -> AsyncIterator[bytes]:
        """The rest of an answer, cut off (and the tool's stream closed) as soon as the fence closes."""
        assert answer.rest is not None
        reader = asyncio.current_task()
        assert reader is not None
        self._live[reader] = fence
        try:
            async for chunk in answer.rest:
                fence()
                yield chunk
        finally:
            self._live.pop(reader, None)
            await discard(answer)

    def recheck(self) -> int:
        """Cut every stream whose fence has closed; says how many."""
        cut = [reader for reader, fence in self._live.items() if _closed(fence)]
        for reader in cut:
            reader.cancel()
        return len(cut)

    async def expire(self) -> None:
        """The turn of a clock: leases end without any order."""
        self.recheck()


def _closed(fence: Callable[[], None]) -> bool:
    try:
        fence()
    except Refusal:
        return True
    return False
