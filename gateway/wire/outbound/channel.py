"""One connection to a tool: kept between exchanges, and never trusted without a look."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import cast

from gateway.wire.limits import PoolBounds
from gateway.wire.outbound.exchange import Exchange


class Channel(asyncio.Protocol):
    """Carries one exchange at a time. ``released`` is told of each exchange's end, ``lost`` of the connection's own."""

    def __init__(self, bounds: PoolBounds, released: Callable[[Channel, bool], None], lost: Callable[[Channel], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._bounds = bounds
        self._released = released
        self._lost = lost
        self._exchange: Exchange | None = None
        self._free_since = 0.0
        self._long = False
        self._transport: asyncio.Transport
        self._poll = select.poll()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    # --- what the loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._free_since = self._loop.time()
        self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLPRI | select.POLLRDHUP)

    def data_received(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.feed(data)
        else:
            # Bytes that answer nothing: whatever comes next on this connection cannot be trusted.
            self._transport.abort()

    def eof_received(self) -> bool:
        if self._exchange is not None:
            self._exchange.lost(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._exchange is not None:
            self._exchange.lost(exc or ConnectionResetError())
        self.closed.set_result(None)
        self._lost(self)

    # --- what the pool calls ---

    def fit(self) -> bool:
        """Whether a request can be written now: open, not kept too long, nothing to read on it, not even an end (one system call)."""
        return not self._transport.is_closing() and self._loop.time() - self._free_since < self._bounds.kept_for and not self._poll.poll(0)

    def begin(self, data: bytes, method: str, *, timeout: float, deadline: float) -> Exchange:
        """Write a whole request, in this very step of the event loop, and read its answer."""
        self._exchange = Exchange(self, method, timeout=timeout, deadline=deadline, bounds=self._bounds)
        self._long = len(data) > self._bounds.sure_read
        self._transport.write(data)
        return self._exchange

    def abort(self) -> None:
        self._transport.abort()

    # --- what its exchange calls ---

    @property
    def maybe_unread(self) -> bool:
        """Whether the tool may have answered without having read all of the request."""
        return self._long or self._transport.get_write_buffer_size() > 0

    def pause(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def release(self, *, reusable: bool) -> None:
        self._exchange = None
        self._free_since = self._loop.time()
        self._released(self, reusable)
