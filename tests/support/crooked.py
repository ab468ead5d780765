"""Between a gateway and a real OPA: passes everything on, until a twist says what becomes of decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.support.opa import Opa
from tests.support.tool import Visit

Twist = Callable[[Visit, bytes], Awaitable[None]]
"""Gets the connection and OPA's whole answer to a question for a decision."""


class Crooked:
    """A script for ``tests.support.tool.Tool``."""

    def __init__(self, opa: Opa) -> None:
        self.twist: Twist = straight
        self._opa = opa

    async def __call__(self, visit: Visit) -> None:
        while (request := await visit.request()) is not None:
            head, _, body = request.partition(b"\r\n\r\n")
            method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
            status, answer = await asyncio.to_thread(self._opa.ask, method, target, body or None)
            twist = self.twist if target.startswith("/v1/data/") else straight
            await twist(visit, framed(answer, status=status))


def framed(body: bytes, *, status: int = 200, kind: str = "application/json", more: str = "") -> bytes:
    """A whole HTTP answer."""
    return f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


async def straight(visit: Visit, answer: bytes) -> None:
    visit.send(answer)


def instead(other: bytes) -> Twist:
    """Something else than the answer."""

    async def twist(visit: Visit, answer: bytes) -> None:
        visit.send(other)

    return twist


async def cut(visit: Visit, answer: bytes) -> None:
    """The connection ends before the answer does."""
    visit.send(answer[:-5])
    visit.close()


async def dropped(visit: Visit, answer: bytes) -> None:
    visit.close()


async def reset(visit: Visit, answer: bytes) -> None:
    visit.reset()


async def silent(visit: Visit, answer: bytes) -> None:
    """No answer while the other side waits for one."""
    await visit.gone.wait()


async def trickling(visit: Visit, answer: bytes) -> None:
    """All of the answer but its end, byte by byte, for as long as the other side listens."""
    for byte in answer[:-1]:
        visit.send(bytes([byte]))
        await asyncio.sleep(0.002)
    await visit.gone.wait()


async def endless(visit: Visit, answer: bytes) -> None:
    """An answer that does not stop."""
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    while not visit.gone.is_set():
        visit.send(chunk)
        await visit.sent()
        await asyncio.sleep(0)
