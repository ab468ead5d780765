"""A tool on raw sockets that records every byte it gets and follows a script: honest, slow, broken or hostile."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Self, cast

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
DEADLINE = 60.0


class Visit(asyncio.Protocol):
    """One connection to the tool. ``raw`` is all it brought, ``gone`` is set once the other side has ended it."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._taken = 0
        self._news = asyncio.Event()
        self.raw = bytearray()
        self.gone = asyncio.Event()
        self.transport: asyncio.Transport
        self._writable = asyncio.Event()
        self._writable.set()
        self._task: asyncio.Task[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._tool.visits.append(self)
        self._task = asyncio.get_running_loop().create_task(self._follow())

    def data_received(self, data: bytes) -> None:
        self.raw += data
        self._news.set()

    def eof_received(self) -> bool:
        self.gone.set()
        self._news.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self._news.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def request(self) -> bytes | None:
        """The next whole request (by Content-Length), ``None`` if the other side ends before."""
        while (whole := self._whole()) is None:
            if self.gone.is_set():
                return None
            self._news.clear()
            await self._news.wait()
        self._taken += len(whole)
        self._tool.requests.append(whole)
        return whole

    async def bytes_in(self, count: int) -> None:
        """Wait until this many bytes have come in."""
        while len(self.raw) < count:
            self._news.clear()
            await self._news.wait()

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    async def sent(self) -> None:
        """Wait while the other side does not read."""
        await self._writable.wait()

    def close(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        """End the connection by RST."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.transport.abort()

    def end(self) -> None:
        self._task.cancel()
        self.transport.abort()

    def _whole(self) -> bytes | None:
        pending = bytes(self.raw[self._taken :])
        end = pending.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _LENGTH.search(pending[: end + 2])
        size = end + 4 + (int(length[1]) if length else 0)
        return pending[:size] if len(pending) >= size else None

    async def _follow(self) -> None:
        await self._tool.script(self)
        self.transport.close()


Script = Callable[[Visit], Awaitable[None]]


class Tool:
    """Listens on a free port (or a Unix socket) while entered; ``visits`` and ``requests`` are what came, in order."""

    def __init__(
        self, script: Script | None = None, *, host: str = "127.0.0.1", unix: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.script = script or answers(OK)
        self.host = host
        self.unix = unix
        self.tls = tls
        self.port = 0
        self.visits: list[Visit] = []
        self.requests: list[bytes] = []
        self._server: asyncio.Server

    @property
    def raw(self) -> bytes:
        """All bytes of all connections."""
        return b"".join(bytes(visit.raw) for visit in self.visits)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if self.unix is not None:
            self._server = await loop.create_unix_server(lambda: Visit(self), self.unix)
        else:
            self._server = await loop.create_server(lambda: Visit(self), self.host, 0, ssl=self.tls)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for visit in self.visits:
            visit.end()
        await asyncio.sleep(0.01)


def answers(*replies: bytes) -> Script:
    """Answer each request of a connection with the next of ``replies``, and with the last one from then on."""

    async def script(visit: Visit) -> None:
        count = 0
        while await visit.request() is not None:
            visit.send(replies[min(count, len(replies) - 1)])
            count += 1

    return script


def answers_then_closes(reply: bytes) -> Script:
    """Answer one request and close."""

    async def script(visit: Visit) -> None:
        if await visit.request() is not None:
            visit.send(reply)

    return script


def in_pieces(*pieces: bytes, pause: float = 0.02) -> Script:
    """Answer each request piece by piece."""

    async def script(visit: Visit) -> None:
        while await visit.request() is not None:
            for piece in pieces:
                visit.send(piece)
                await asyncio.sleep(pause)

    return script


async def drops(visit: Visit) -> None:
    """Read one request, then close without an answer."""
    await visit.request()


async def resets(visit: Visit) -> None:
    """Read one request, then reset the connection."""
    await visit.request()
    visit.reset()


async def is_silent(visit: Visit) -> None:
    """Read, and never answer."""
    await visit.request()
    await visit.gone.wait()


def sometimes(*scripts: Script) -> Callable[[Visit], Awaitable[None]]:
    """Follow the next script on each new connection, the last one from then on."""
    count = 0

    async def script(visit: Visit) -> None:
        nonlocal count
        chosen = scripts[min(count, len(scripts) - 1)]
        count += 1
        await chosen(visit)

    return script
