"""A small honest HTTP API to stand behind the gateway: versioned objects, and switches for what tools do on bad days.

Objects live under ``/v1/tenants/{tenant}/{kind}/{id}`` with a strong ETag, honour If-Match, and are not deduplicated by key.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

Name = tuple[str, str, str]


@dataclass(slots=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Ledger:
    """The tool's state and its switches; every count says how many of the next writes are meant."""

    objects: dict[Name, tuple[int, dict[str, object]]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    drop_after_apply: int = 0
    drop_before_apply: int = 0
    ignore: int = 0
    fail_after_apply: int = 0
    refuse: int = 0
    refuse_as: int = 422
    busy_reads: bool = False
    without_etag: bool = False
    keeps_key: bool = False
    """Each object holds the key that its last write was sent with."""
    down: bool = False
    hold: asyncio.Event | None = None
    next_id: str | None = None
    counter: int = 0

    def put(self, tenant: str, kind: str, key: str, **data: object) -> None:
        version = self.objects.get((tenant, kind, key), (0, {}))[0]
        self.objects[tenant, kind, key] = (version + 1, data)

    def get(self, tenant: str, kind: str, key: str) -> dict[str, object]:
        return self.objects[tenant, kind, key][1]

    def count(self, kind: str) -> int:
        return sum(name[1] == kind for name in self.objects)

    @property
    def writes(self) -> list[Seen]:
        return [one for one in self.seen if one.method not in ("GET", "HEAD")]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(Seen(request.method, request.path_qs, {k.lower(): v for k, v in request.headers.items()}, body))
        if self.hold is not None:
            await self.hold.wait()
        if self.down:
            return web.json_response({"error": "down"}, status=503)
        _, _, _, tenant, kind, *rest = request.path.split("/")
        data = orjson.loads(body) if body else {}
        if request.method in ("GET", "HEAD"):
            if self.busy_reads:
                return web.json_response({"error": "busy"}, status=429)
            return self._read(tenant, kind, rest)
        if self._counted("drop_before_apply"):
            return self._dropped(request)
        if self._counted("refuse"):
            return web.json_response({"error": "no"}, status=self.refuse_as)
        return self._written(request, tenant, kind, rest, data)

    def _read(self, tenant: str, kind: str, rest: list[str]) -> web.Response:
        if not rest:
            items = [{"id": name[2], **data} for name, (_, data) in self.objects.items() if name[:2] == (tenant, kind)]
            return web.json_response({"data": items})
        found = self.objects.get((tenant, kind, rest[0]))
        return web.json_response({"error": "not found"}, status=404) if found is None else self._shown(200, found[1], found[0])

    def _written(self, request: web.Request, tenant: str, kind: str, rest: list[str], data: dict[str, object]) -> web.StreamResponse:
        if not rest:
            self.counter += 1
            rest = [f"{kind}-{self.counter}"]
        name = (tenant, kind, rest[0])
        version, old = self.objects.get(name, (0, {}))
        match = request.headers.get("If-Match")
        if (match and match != f'"v{version}"') or (request.headers.get("If-None-Match") == "*" and name in self.objects):
            return web.json_response({"error": "version"}, status=412)
        if self.keeps_key and data:
            data = {**data, "sent_with": request.headers.get("Idempotency-Key")}
        if self._counted("ignore"):
            return self._shown(200, old, version)
        if request.method == "DELETE":
            self.objects.pop(name, None)
        else:
            self.objects[name] = (version + 1, {**old, **data} if request.method == "PATCH" else data)
        if self._counted("drop_after_apply"):
            return self._dropped(request)
        if self._counted("fail_after_apply"):
            return web.json_response({"error": "applied, and yet"}, status=500)
        if request.method == "DELETE":
            return web.json_response({"data": {"id": rest[0], "deleted": True}})
        claimed, self.next_id = self.next_id or rest[0], None
        shown = {"id": claimed, **data} if request.method == "POST" else self.objects[name][1]
        return self._shown(201 if request.method == "POST" else 200, shown, version + 1)

    def _shown(self, status: int, data: dict[str, object], version: int) -> web.Response:
        headers = {"Killcord-Mode": "made-up", "Idempotent-Replayed": "true"}
        if not self.without_etag:
            headers["ETag"] = f'"v{version}"'
        return web.json_response({"data": data}, status=status, headers=headers)

    def _counted(self, switch: str) -> bool:
        left: int = getattr(self, switch)
        setattr(self, switch, max(0, left - 1))
        return left > 0

    @staticmethod
    def _dropped(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


async def serve(ledger: Ledger) -> TestServer:
    """The ledger on a free port of loopback."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", ledger.answer)
    server = TestServer(application)
    await server.start_server()
    return server
