"""What leaves for a tool, and how often: never twice by the gateway's own doing, and nothing that the fence stops."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import RunPaused
from gateway.model.call import Outgoing
from gateway.wire.limits import PoolBounds
from tests.support.tool import OK, Tool, Visit, answers, answers_then_closes, drops, is_silent, resets, sometimes
from tests.support.wire import gateway, get, post, until


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
async def test_a_write_that_is_dropped_after_it_was_read_arrives_once(method: str) -> None:
    async with Tool(sometimes(drops, answers(OK))) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(post(b"x", method=method))
        response = await agent.response()
        assert response.status == 502
        assert b'"sent": true' in response.body
        assert len(tool.requests) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET"])
async def test_a_request_that_a_fresh_connection_loses_arrives_once(method: str) -> None:
    async with Tool(sometimes(resets, answers(OK))) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get(method=method))
        assert (await agent.response()).status == 502
        assert len(tool.requests) == 1


async def drops_the_second(visit: Visit) -> None:
    """Answer one request, read another, close."""
    await visit.request()
    visit.send(OK)
    await visit.request()


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_write_on_a_kept_connection_that_dies_arrives_once(method: str) -> None:
    async with Tool(sometimes(drops_the_second, answers(OK))) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get("/erp/first"))
        assert (await agent.response()).status == 200
        agent.send(post(b"x", "/erp/second", method=method))
        assert (await agent.response()).status == 502
        assert [request.split()[1] for request in tool.requests] == [b"/first", b"/second"]


async def test_a_read_on_a_kept_connection_that_dies_is_sent_once_more_on_a_fresh_one() -> None:
    fenced = 0

    def fence() -> None:
        nonlocal fenced
        fenced += 1

    async with Tool(sometimes(drops_the_second, answers(OK))) as tool, gateway(tool) as proxy:
        proxy.front.fence = fence
        agent = await proxy.agent()
        agent.send(get("/erp/first") + get("/erp/second"))
        assert (await agent.response()).status == 200
        assert (await agent.response()).status == 200
        assert [request.split()[1] for request in tool.requests] == [b"/first", b"/second", b"/second"]
        assert len(tool.visits) == 2
        assert fenced == 3


async def test_a_read_is_not_sent_a_third_time() -> None:
    async with Tool(sometimes(drops_the_second, drops, answers(OK))) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get("/erp/first") + get("/erp/second"))
        assert (await agent.response()).status == 200
        assert (await agent.response()).status == 502
        assert len(tool.requests) == 3


async def test_a_kept_connection_that_has_ended_is_found_before_it_is_used() -> None:
    async with Tool(answers_then_closes(OK)) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        for _ in range(20):
            agent.send(post(b"x"))
            assert (await agent.response()).status == 200
        assert len(tool.requests) == 20


async def test_bytes_that_answer_nothing_end_a_kept_connection() -> None:
    async with Tool(sometimes(answers(OK + b"HTTP/1.1 200 OK\r\n"), answers(OK))) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(post(b"x") + post(b"y"))
        assert (await agent.response()).body == b"ok"
        assert (await agent.response()).body == b"ok"
        assert len(tool.visits) == 2


async def test_with_one_connection_and_a_fence_that_closes_no_queued_write_arrives() -> None:
    go_on = asyncio.Event()
    closed = False

    def fence() -> None:
        if closed:
            raise RunPaused

    async def script(visit: Visit) -> None:
        while await visit.request() is not None:
            await go_on.wait()
            visit.send(OK)

    bounds = PoolBounds(connections=1, tenant_connections=1)
    async with Tool(script) as tool, gateway(tool, pool_bounds=bounds) as proxy:
        stopped = 0

        async def write(number: int) -> None:
            nonlocal stopped
            try:
                await proxy.pool.send(request(number), fence)
            except RunPaused:
                stopped += 1

        writes = [asyncio.get_running_loop().create_task(write(number)) for number in range(6)]
        await until(lambda: len(tool.requests) == 1)
        closed = True
        go_on.set()
        await asyncio.wait(writes)
        assert stopped == 5
        assert len(tool.requests) == 1
        closed = False
        await write(6)
        assert [body[-1:] for body in tool.requests] == [b"0", b"6"]
        assert len(tool.visits) == 1


async def test_what_waits_too_long_for_a_connection_was_not_sent() -> None:
    bounds = PoolBounds(connections=1, tenant_connections=1)
    async with Tool(is_silent) as tool, gateway(tool, pool_bounds=bounds, timeout=0.3) as proxy:
        agents = [await proxy.agent() for _ in range(3)]
        for agent in agents:
            agent.send(post(b"x"))
        bodies = [(await agent.response()).body for agent in agents]
        assert sorted(b'"sent": true' in body for body in bodies) in ([False, False, True], [False, True, True])
        assert sum(b'"sent": true' in body for body in bodies) == len(tool.requests)


async def test_a_tool_that_is_not_there_was_sent_nothing() -> None:
    async with Tool() as tool:
        pass
    async with gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(post(b"x"))
        response = await agent.response()
        assert response.status == 502
        assert b'"sent": false' in response.body


async def test_a_tool_that_never_answers_may_have_applied_the_call() -> None:
    async with Tool(is_silent) as tool, gateway(tool, timeout=0.2) as proxy:
        agent = await proxy.agent()
        agent.send(post(b"x"))
        response = await agent.response()
        assert response.status == 504
        assert b'"sent": true' in response.body
        await until(lambda: tool.visits[0].gone.is_set())


async def test_the_bytes_sent_are_the_bytes_decided_on() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(post(b"\x00\xffbody", "/%65rp/%7Euser/a%2cb/x%20y/?q=%7e+a&z", "X-Case: 1", "x-b: 2", "Accept: a, b"))
        assert (await agent.response()).status == 200
        call = proxy.front.calls[0]
        assert call.target == "/~user/a%2Cb/x%20y/?q=%7e+a&z"
        assert call.segments == ("~user", "a,b", "x y", "")
        assert call.query == {"q": "~ a", "z": ""}
        assert tool.raw == (
            b"POST /~user/a%2Cb/x%20y/?q=%7e+a&z HTTP/1.1\r\nHost: tool\r\nX-Case: 1\r\nx-b: 2\r\nAccept: a, b\r\n"
            b"Content-Length: 6\r\n\r\n\x00\xffbody"
        )


async def test_hop_by_hop_fields_and_what_connection_names_stay_at_the_server() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get("/erp/x", "Connection: keep-alive, X-Mine", "X-Mine: 1", "Keep-Alive: 5", "TE: trailers", "Proxy-Authorization: x"))
        assert (await agent.response()).status == 200
        assert tool.raw == b"GET /x HTTP/1.1\r\nHost: tool\r\n\r\n"


def request(number: int) -> Outgoing:
    return Outgoing(
        tool="erp", tenant="acme", method="PUT", target="/x", headers=((b"Host", b"tool"), (b"Content-Length", b"1")), body=b"%d" % number
    )
