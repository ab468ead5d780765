"""The reply to a write that streams while the tool works: relayed as it comes, and read to its end without an agent too.

The tool's work may hang on its connection: an agent that goes away, or is cut off, must not end it half way.
"""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.errors import UpstreamFailure
from gateway.model.call import Answer
from gateway.pipeline.answers import discard

WINDOW = 256 * 1024
"""Bytes that wait for a slow agent, before the tool has to wait too."""

DRAINED = 900.0
"""Seconds for which a stream that nobody listens to any more is read on."""


class Relay:
    """One stream. Iterating it gives the agent the bytes; ``drain`` reads them from the tool, in another task.

    The agent gets the end only once ``end`` says how the stream ended. ``drained``: nothing more comes from the tool.
    """

    def __init__(self, answer: Answer) -> None:
        assert answer.rest is not None
        self._answer, self._rest = answer, answer.rest
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._news, self._room, self._left = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()
        self._complete: bool | None = None
        self.drained = False
        self._bound: asyncio.Timeout | None = None

    async def drain(self) -> bool:
        """Read the stream to its end; whether it came to one."""
        try:
            async with asyncio.timeout(None) as self._bound:
                if self._left.is_set():
                    self.leave()
                async for chunk in self._rest:
                    await self._room.wait()
                    if not self._left.is_set():
                        self._take(chunk)
        except (UpstreamFailure, TimeoutError):
            return False
        finally:
            self.drained, self._bound = True, None
            await discard(self._answer)
        return True

    def end(self, *, complete: bool) -> None:
        """Let the agent see the end: of a complete reply, or of a broken one."""
        self._complete = complete
        self._news.set()

    def leave(self) -> None:
        """Nobody listens any more: what comes is thrown away, for a while."""
        self._left.set()
        self._waiting.clear()
        self._room.set()
        if self._bound is not None and self._bound.when() is None:
            self._bound.reschedule(asyncio.get_running_loop().time() + DRAINED)

    def __aiter__(self) -> Relay:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes.

        Raises:
            UpstreamFailure: the stream did not come to its end.
        """
        while not self._waiting:
            if self._complete is True:
                raise StopAsyncIteration
            if self._complete is False:
                raise UpstreamFailure("the tool's stream did not come to its end", sent=True)
            self._news.clear()
            await self._news.wait()
        chunk = self._waiting.popleft()
        self._size -= len(chunk)
        if self._size < WINDOW:
            self._room.set()
        return chunk

    async def aclose(self) -> None:
        self.leave()

    def _take(self, chunk: bytes) -> None:
        self._waiting.append(chunk)
        self._size += len(chunk)
        if self._size >= WINDOW:
            self._room.clear()
        self._news.set()
