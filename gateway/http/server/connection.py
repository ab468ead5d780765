"""The control API's connections: their bound and deadlines, and the server that makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from msgspec import Struct

from gateway.core import addresses
from gateway.core.connection_table import ConnectionTable, Waiting
from gateway.http.server import guard, problem
from gateway.http.server.operators import Operator

PAUSE = 0.005
"""Seconds between two requests without an operator's token."""
STREAMS = frozenset({"/v1/journal/follow"})


class Bounds(Struct, frozen=True, kw_only=True):
    """Of the control API's server; times are seconds, ``head_timeout`` runs from the first byte of a head, ``unread_timeout`` from when a
    client stops reading an answer.
    """

    connections: int = 256
    first_byte_timeout: float = 5.0
    head_timeout: float = 10.0
    idle_timeout: float = 75.0
    unread_timeout: float = 30.0


class Connection(web.RequestHandler):
    """One client's connection. At the bound those are closed first whose last request had no token, then those that have sent none yet."""

    __slots__ = ("_begun", "_deadline", "_server", "_unread", "_waiting", "_working")

    def __init__(self, server: Server, **more: Any) -> None:
        super().__init__(server, **more)
        self._server = server
        self._waiting: Waiting | None = Waiting.SILENT
        self._begun = False  # whether a part of the next head has come
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._working: Waiting | None = None  # what it counts as while a request is answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._server.table.admit(self, addresses.peer(transport.get_extra_info("peername"))):
            self._end_after(self._server.bounds.first_byte_timeout)
        else:
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
        if self._unread is not None:
            self._unread.cancel()
        self._server.table.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._waiting is not None and not self._begun:
            self._begun = True
            self._end_after(self._server.bounds.head_timeout)
        super().data_received(data)

    def pause_writing(self) -> None:
        """The client does not read as fast as answers are written: it may be closed for a newcomer, and is in the end."""
        super().pause_writing()
        if self._waiting in (None, Waiting.STREAM):
            self._wait_for(Waiting.UNREAD)
        self._unread = asyncio.get_running_loop().call_later(self._server.bounds.unread_timeout, self.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._waiting is Waiting.UNREAD:
            self._wait_for(self._working)
        if self._unread is not None:
            self._unread.cancel()

    def abort(self) -> None:
        """End it at once."""
        if self.transport is not None:
            self.transport.abort()

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        self._disarm()
        # What is not HTTP comes here too, with an empty plain dict for its headers.
        known = bool(request.headers) and guard.identified(request, self._server.identify)
        self._working = (Waiting.STREAM if request.path in STREAMS else None) if known else Waiting.STRANGER
        self._wait_for(self._working)
        if not known:
            await self._server.next_turn()
        try:
            return await super()._handle_request(request, start_time, request_handler)
        finally:
            self._begun = False
            self._wait_for(Waiting.IDLE if known else Waiting.STRANGER)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Nothing that came is repeated, in the answer or in a log: a broken request may still hold a token."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("the answer has already begun")
        answer = problem.answer(problem.MalformedRequest() if status < 500 else problem.Internal())
        answer.headers.update(guard.HEADERS)
        answer.force_close()
        return answer

    def _wait_for(self, awaited: Waiting | None) -> None:
        self._server.table.waits(self, self._waiting, awaited)
        self._waiting = awaited

    def _end_after(self, seconds: float) -> None:
        self._disarm()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.force_close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(web.Server):
    """Makes a connection of ours for each client. No bound per peer: operators may all come through one address."""

    def configure(self, bounds: Bounds, table: ConnectionTable[Connection], identify: Callable[[str], Operator | None]) -> None:
        self.bounds, self.table, self.identify = bounds, table, identify
        self._strangers = asyncio.Lock()

    async def next_turn(self) -> None:
        """Wait until a request without an operator's token may be answered: some take milliseconds, and orders come between them."""
        async with self._strangers:
            await asyncio.sleep(PAUSE)

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)
