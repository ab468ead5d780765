"""The floor: the gateway's own wire layer as a bare reverse proxy. No lease, no policy, no journal; what a call costs before the line.

``python -m bench.wire_proxy PORT TOOL_PORT``. What it makes is the most that a gateway on this layer can make; the
difference to ``killcord serve`` is the line's.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence

import uvloop

from bench.killcord import TOOL
from gateway.clients.clock import SystemClock
from gateway.core import addresses, problem
from gateway.errors import Refusal
from gateway.model.call import Call, Head, Headers, Outgoing, Reply
from gateway.wire.inbound.server import Server
from gateway.wire.outbound.channel import Origin
from gateway.wire.outbound.pool import Pool


class Floor:
    """Carries every call as it came."""

    def __init__(self, pool: Pool, authority: bytes) -> None:
        self._pool = pool
        self._authority = authority

    async def handle(self, call: Call, commit: Callable[[], None]) -> Reply:
        headers: Headers = ((b"Host", self._authority), *_but(call.headers, b"host", b"content-length"))
        if call.body:
            headers += ((b"Content-Length", str(len(call.body)).encode()),)
        asked = Outgoing(tool=TOOL, tenant="", method=call.method, target=call.target, headers=headers, body=call.body)
        answer = await self._pool.send(asked, lambda: None)
        passed = answer.headers if answer.rest is not None else _but(answer.headers, b"content-length")
        return Reply(status=answer.status, headers=passed, body=answer.body, rest=answer.rest)

    async def preview(self, head: Head) -> Reply | None:
        return None

    def reject(self, refusal: Refusal, headers: Sequence[tuple[bytes, bytes]]) -> Reply:
        return problem.reply(refusal, close=True)


def _but(headers: Headers, *names: bytes) -> Headers:
    return tuple(pair for pair in headers if pair[0].lower() not in names)


async def serve(port: int, tool_port: int) -> None:
    pool = Pool({TOOL: Origin(host="127.0.0.1", port=tool_port)}, allowed=addresses.allowed)
    front = Floor(pool, f"127.0.0.1:{tool_port}".encode())
    server = Server(front, hosts=["localhost", "127.0.0.1"], clock=SystemClock(), spawn=asyncio.get_running_loop().create_task)
    await server.open_tcp("127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
