"""A tool that keeps documents at whatever paths it is given, numbers what is posted per collection, and answers as a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.ledger import Seen

Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse | None]]


@dataclass(slots=True)
class Shelf:
    """``held`` has version and document by path. ``answer`` may answer a request itself; what it leaves is answered as a shelf does:
    strong ETags, If-Match honoured, ids that begin at 1 in each collection.
    """

    held: dict[str, tuple[int, dict[str, object]]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    answer: Answer | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    def put(self, path: str, **data: object) -> None:
        self.held[path] = (self.held.get(path, (0, {}))[0] + 1, data)

    def get(self, path: str) -> dict[str, object]:
        return self.held[path][1]

    @property
    def writes(self) -> list[Seen]:
        return [one for one in self.seen if one.method not in ("GET", "HEAD")]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(Seen(request.method, request.path_qs, {k.lower(): v for k, v in request.headers.items()}, body))
        told = None if self.answer is None else await self.answer(request, body)
        return self.usual(request, body) if told is None else told

    def usual(self, request: web.Request, body: bytes) -> web.Response:
        path = request.path
        if request.method == "GET":
            found = self.held.get(path)
            if found is not None:
                return self.shown(200, *found)
            items = [data for name, (_, data) in self.held.items() if name.rpartition("/")[0] == path]
            return web.json_response({"items": items}) if items else web.json_response({"error": "not found"}, status=404)
        data = orjson.loads(body) if body else {}
        if request.method == "POST":
            number = self.numbers[path] = self.numbers.get(path, 0) + 1
            path, data = f"{path}/{number}", {"id": str(number), **data}
        version, old = self.held.get(path, (0, {}))
        if (match := request.headers.get("If-Match")) and match != f'"v{version}"':
            return web.json_response({"error": "version"}, status=412)
        if request.method == "DELETE":
            self.held.pop(path, None)
            return web.Response(status=204)
        self.held[path] = (version + 1, {**old, **data} if request.method == "PATCH" else data)
        return self.shown(201 if request.method == "POST" else 200, *self.held[path])

    def shown(self, status: int, version: int, data: dict[str, object]) -> web.Response:
        response = web.json_response(data, status=status, headers={"ETag": f'"v{version}"'})
        for name, value in self.headers:
            response.headers.add(name, value)
        return response


@asynccontextmanager
async def standing(*shelves: Shelf) -> AsyncIterator[None]:
    """The shelves on free ports of loopback."""
    servers = []
    for shelf in shelves:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", shelf.handle)
        server = TestServer(application)
        await server.start_server()
        shelf.port = server.port or 0
        servers.append(server)
    try:
        yield
    finally:
        await asyncio.gather(*(server.close() for server in servers))
