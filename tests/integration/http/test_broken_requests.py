"""What is no HTTP, or none that ends, at the control API: over the runner that serves it, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web

from gateway.http import app
from gateway.http.app import Runner
from gateway.http.server import routing
from tests.support.control_api import Parts

TOKEN = b"kcop_canary-canary-canary-canary"
BEFORE = b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer %b\r\n"


@asynccontextmanager
async def served(parts: Parts) -> AsyncIterator[int]:
    runner = Runner(app.build(parts.services), identify=parts.services.identify)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def answered(port: int, sent: bytes) -> tuple[int, bytes, dict[str, object]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        body = await reader.readexactly(length)
    writer.close()
    return int(head.split(b" ")[1]), head, orjson.loads(body)


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET /v1/runs HTTP/1.1\r\n\r\n",
        b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer " + TOKEN + b"\r\n\r\n",
        b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + TOKEN + b"\x01\r\n\r\n",
        b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + TOKEN * 400 + b"\r\n\r\n",
    ],
    ids=["no HTTP", "no host", "white space before the colon", "a control character", "too long"],
)
async def test_what_is_no_http_is_a_problem_and_nothing_of_it_is_repeated_or_logged(
    parts: Parts, sent: bytes, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(parts) as port:
        status, head, document = await answered(port, sent)
    assert (status, document["code"]) == (400, "malformed-request")
    assert b"Content-Type: application/problem+json" in head
    assert b"Server: killcord" in head
    for told in (str(document), caplog.text, str(parts.logged), "".join(capsys.readouterr())):
        assert "canary" not in told


async def test_a_body_that_says_it_is_too_long_is_not_waited_for(parts: Parts) -> None:
    async with served(parts) as port:
        status, _, document = await answered(port, BEFORE % b"admin-token" + b"Content-Length: 99999999\r\n\r\n{}")
    assert (status, document["code"]) == (413, "body-too-large")


@pytest.mark.parametrize("rest", [b"Content-Length: 10\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"])
async def test_a_body_that_does_not_end_is_waited_for_only_so_long(parts: Parts, rest: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "PATIENCE", 0.05)
    async with served(parts) as port:
        status, _, document = await answered(port, BEFORE % b"admin-token" + rest)
    assert (status, document["code"]) == (408, "body-timeout")
