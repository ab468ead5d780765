"""The writing half of a connection to a client: replies, streamed with back-pressure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from gateway.errors import Refusal, UpstreamFailure
from gateway.model.wire import Reply
from gateway.wire.inbound import response
from gateway.wire.inbound.response import ResponseHead


class Writer:
    """Writes to a client that may read slowly, or be gone. ``paused``: the client has a full buffer to read first."""

    __slots__ = ("_transport", "_waiter", "gone", "paused")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._waiter: asyncio.Future[None] | None = None
        self.gone = False
        self.paused = False

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self._wake()

    def lost(self) -> None:
        self.gone = True
        self._wake()

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    async def send(self, reply: Reply, opening: ResponseHead) -> bool:
        """Write a reply to its end and wait until the client has read most of it; whether the connection can go on."""
        try:
            self.write(opening.data)
            whole = await self._stream(reply.rest, opening) if opening.streams and reply.rest is not None else True
        finally:
            if reply.rest is not None:
                await close(reply.rest)
        await self._drained()
        if not whole:
            # The client has to see that the body is not whole: no last chunk, fewer bytes than declared.
            self._transport.abort()
        return whole and opening.keep and not self.gone

    async def _stream(self, rest: AsyncIterator[bytes], opening: ResponseHead) -> bool:
        due = opening.due
        try:
            async for data in rest:
                if due is not None:
                    if len(data) > due:
                        return False
                    due -= len(data)
                self.write(response.chunk(data) if opening.chunked else data)
                await self._drained()
                if self.gone:
                    return False
        except (UpstreamFailure, Refusal):
            return False
        if opening.chunked:
            self.write(response.LAST_CHUNK)
        return not due

    async def _drained(self) -> None:
        if self.paused and not self.gone:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def close(rest: AsyncIterator[bytes]) -> None:
    """End a stream that is no longer wanted; does nothing at its end."""
    if (aclose := getattr(rest, "aclose", None)) is not None:
        await aclose()
