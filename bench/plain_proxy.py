"""The yardstick: a reverse proxy as aiohttp gives it, streaming both ways, with no logic at all.

``python -m bench.plain_proxy PORT TOOL_PORT LOOP``, on the loop ``uvloop`` or ``asyncio``. A PATCH is read before and after, as
a write with snapshot and verification is, so that it makes the same three calls to the tool; nothing is compared or kept.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"})


class Proxy:
    def __init__(self, session: aiohttp.ClientSession, origin: str) -> None:
        self._session = session
        self._origin = origin

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        url = self._origin + request.raw_path
        around = request.method == "PATCH"
        if around:
            await self._look(url)
        reply = await self._passed(request, url)
        if around:
            await self._look(url)
        await reply.write_eof()
        return reply

    async def _passed(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
        body = request.content if request.can_read_body else None
        async with self._session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP]
            reply = web.StreamResponse(status=answer.status, headers=dict(kept))
            await reply.prepare(request)
            async for chunk in answer.content.iter_any():
                await reply.write(chunk)
        return reply

    async def _look(self, url: str) -> None:
        async with self._session.get(url) as answer:
            await answer.read()


async def serve(port: int, tool_port: int) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        proxy = Proxy(session, f"http://127.0.0.1:{tool_port}")
        runner = web.ServerRunner(web.Server(proxy.handle))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    run = asyncio.run if sys.argv[3] == "asyncio" else uvloop.run
    run(serve(int(sys.argv[1]), int(sys.argv[2])))
