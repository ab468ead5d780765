"""The tool as a process of its own: ``python -m tests.support.toolmodel_served PORT``.

``PUT /slow`` says for how many seconds each write is under way; ``GET /log`` tells what was applied, in order.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict, dataclass, field

from aiohttp import web

from gateway.model.call import Outgoing
from tests.support.toolmodel import Tool


@dataclass(slots=True)
class Served:
    tool: Tool = field(default_factory=Tool)
    slow: float = 0.0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.method != "GET" and self.slow:
            await asyncio.sleep(self.slow)
        headers = tuple((name.encode(), value.encode()) for name, value in request.headers.items())
        sent = Outgoing(tool="model", tenant="", method=request.method, target=request.path_qs, headers=headers, body=body)
        answer = await self.tool.send(sent, lambda: None)
        if request.method != "GET" and self.slow:
            await asyncio.sleep(self.slow)
        told = {name.decode(): value.decode() for name, value in answer.headers}
        return web.Response(status=answer.status, headers=told, body=answer.body)

    async def be_slow(self, request: web.Request) -> web.StreamResponse:
        self.slow = float(await request.json())
        return web.json_response({})

    async def log(self, _: web.Request) -> web.StreamResponse:
        return web.json_response([asdict(one) for one in self.tool.log])


def application() -> web.Application:
    served = Served()
    found = web.Application()
    found.router.add_put("/slow", served.be_slow)
    found.router.add_get("/log", served.log)
    found.router.add_route("*", "/v1/{path:.*}", served.answer)
    return found


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
