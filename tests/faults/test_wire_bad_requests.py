"""Bad input is refused at the server: a problem, the connection closed, and zero bytes at the tool."""

from __future__ import annotations

import gzip

import pytest

from tests.support.bad_requests import CORPUS
from tests.support.tool import Tool
from tests.support.wire import gateway, get, post


@pytest.mark.parametrize("request_bytes", CORPUS.values(), ids=CORPUS.keys())
async def test_a_bad_request_is_refused_and_nothing_reaches_the_tool(request_bytes: bytes) -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(request_bytes)
        response = await agent.response()
        assert 400 <= response.status < 600
        assert response.value(b"Content-Type") == b"application/problem+json"
        assert response.value(b"Connection") == b"close"
        assert await agent.rest() == b""
        assert tool.raw == b""
        assert not tool.visits
        assert proxy.front.calls == []


async def test_what_is_refused_behind_a_good_request_leaves_the_good_one_alone() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get("/erp/a") + get("/erp/../b") + get("/erp/c"))
        assert (await agent.response()).status == 200
        assert (await agent.response()).status == 400
        assert await agent.rest() == b""
        assert len(tool.requests) == 1


async def test_the_versions_and_codings_that_are_not_implemented_report_it() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        for request, status in [
            (b"GET /erp/x HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
            (get("/erp/x", "Transfer-Encoding: gzip, chunked", method="POST"), 501),
            (get("/erp/x", method="BREW"), 501),
        ]:
            agent = await proxy.agent()
            agent.send(request)
            assert (await agent.response()).status == status


async def test_the_sender_of_a_refused_request_can_be_reported_from_its_headers() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get("/erp/x", "Authorization: Bearer abc", "X-Forwarded-For: 1.2.3.4"))
        assert (await agent.response()).status == 400
        _, headers = proxy.front.refusals[0]
        assert (b"Authorization", b"Bearer abc") in headers


async def test_a_compressed_bomb_is_too_large() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(post(gzip.compress(b'{"a": "' + b"x" * (64 << 20) + b'"}'), "/erp/x", "Content-Encoding: gzip"))
        assert (await agent.response()).status == 413
        assert tool.raw == b""


async def test_a_compressed_body_continues_as_sent_and_is_looked_into() -> None:
    body = gzip.compress(b'{"amount": 7}')
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(post(body, "/erp/x", "Content-Encoding: gzip", "Content-Type: application/json"))
        assert (await agent.response()).status == 200
        assert tool.requests[0].endswith(body)
        assert proxy.front.calls[0].args == {"amount": 7}


async def test_a_flood_of_tiny_chunks_is_too_large() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get("/erp/x", "Transfer-Encoding: chunked", method="POST") + b"1\r\nx\r\n" * 20_000)
        assert (await agent.response()).status == 413
        assert tool.raw == b""
