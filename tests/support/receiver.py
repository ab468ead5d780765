"""A receiver of webhooks: a real HTTP server that keeps what it was sent and answers as it is told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

SECRET = "a-secret-canary-of-more-than-24-characters"


@dataclass(frozen=True, slots=True)
class Received:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found

    def signed_with(self, key: bytes) -> bool:
        """By the words of Standard Webhooks, not by the gateway's code."""
        content = ".".join([self.headers["webhook-id"], self.headers["webhook-timestamp"], self.body.decode()])
        wanted = base64.standard_b64encode(hmac.digest(key, content.encode(), hashlib.sha256)).decode()
        return f"v1,{wanted}" in self.headers["webhook-signature"].split(" ")


@dataclass(slots=True)
class Receiver:
    """``answers`` are given first, then 204; a status below 0 is a connection cut off, 0 is silence."""

    port: int = 0
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    always: int = 204
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [one.event for one in self.received]

    async def take(self, request: web.Request) -> web.Response:
        self.received.append(Received(request.path_qs, dict(request.headers), await request.read()))
        status, headers = self.answers.pop(0) if self.answers else (self.always, {})
        if status == 0:
            await self.ending.wait()
        if status <= 0 and request.transport is not None:
            request.transport.abort()
        return web.Response(status=max(status, 204), headers=headers)


@asynccontextmanager
async def receiving(
    *answers: int | tuple[int, dict[str, str]], always: int = 204, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    receiver = Receiver(always=always, answers=[(one, {}) if isinstance(one, int) else one for one in answers])
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        receiver.ending.set()
        await runner.cleanup()
