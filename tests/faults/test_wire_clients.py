"""What a client may do to the server: come in pieces, wait, leave, ask first, send ahead, and how the server ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from gateway.model.call import Reply
from gateway.wire.limits import Bounds
from tests.support.tool import OK, Script, Tool, Visit, answers, is_silent
from tests.support.wire import gateway, get, post, problem, until


def held_until(go_on: asyncio.Event) -> Script:
    """Answer each request, once ``go_on`` is set."""

    async def script(visit: Visit) -> None:
        while await visit.request() is not None:
            await go_on.wait()
            visit.send(OK)

    return script


async def test_a_read_is_cancelled_at_the_tool_when_its_client_leaves() -> None:
    async with Tool(is_silent) as tool, gateway(tool, timeout=60) as proxy:
        agent = await proxy.agent()
        agent.send(get())
        await until(lambda: tool.requests)
        await agent.close()
        await until(lambda: tool.visits[0].gone.is_set())
        assert proxy.front.ended == ["cancelled"]


async def test_a_committed_write_continues_when_its_client_leaves() -> None:
    go_on = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.request()
        await go_on.wait()
        assert not visit.gone.is_set()
        visit.send(OK)

    async with Tool(script) as tool, gateway(tool, timeout=60) as proxy:
        agent = await proxy.agent()
        agent.send(post(b"x"))
        await until(lambda: tool.requests)
        agent.writer.transport.abort()
        await asyncio.sleep(0.05)
        go_on.set()
        await until(lambda: proxy.front.ended)
        assert proxy.front.ended == ["answered"]
        await until(lambda: not proxy.tasks)


async def test_a_request_is_read_byte_by_byte() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        for byte in get("/erp/x", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\na\r\n0123456789\r\n0\r\nX: y\r\n\r\n":
            agent.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await agent.response()).body == b"ok"
        assert tool.requests[0].endswith(b"Content-Length: 13\r\n\r\nabc0123456789")


async def test_pipelined_requests_are_served_one_after_the_other() -> None:
    running = most = 0

    async def script(visit: Visit) -> None:
        nonlocal running, most
        while (request := await visit.request()) is not None:
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1
            target = request.split()[1]
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))

    async with Tool(script) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(b"".join(get(f"/erp/{number}") for number in range(20)))
        assert [(await agent.response()).body for _ in range(20)] == [b"/%d" % number for number in range(20)]
        assert most == 1


async def test_a_client_that_sends_far_ahead_is_not_read_until_its_turn() -> None:
    go_on = asyncio.Event()
    async with Tool(held_until(go_on)) as tool, gateway(tool, bounds=Bounds(pipelined_bytes=4096)) as proxy:
        agent = await proxy.agent()
        agent.send(get() * 400_000)
        await until(lambda: tool.requests)
        await asyncio.sleep(0.2)
        assert agent.writer.transport.get_write_buffer_size() > 0
        go_on.set()
        for _ in range(100):
            assert (await agent.response()).body == b"ok"


async def test_an_http_1_0_client_gets_a_reply_that_ends_with_its_connection() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"

    async def script(visit: Visit) -> None:
        await visit.request()
        visit.send(chunked)
        await asyncio.sleep(0.05)
        visit.send(b"3\r\ndef\r\n0\r\n\r\n")

    async with Tool(script) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get(version="1.0"))
        response = await agent.response()
        assert response.body == b"abcdef"
        assert response.value(b"Transfer-Encoding") is None
        assert response.value(b"Connection") == b"close"


async def test_an_http_1_0_client_may_keep_its_connection() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        for _ in range(2):
            agent.send(get("/erp/x", "Connection: keep-alive", version="1.0"))
            response = await agent.response()
            assert response.value(b"Connection") == b"keep-alive"


async def test_a_client_that_asks_for_the_end_gets_it() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get("/erp/x", "Connection: close") + get("/erp/never"))
        assert (await agent.response()).value(b"Connection") == b"close"
        assert await agent.rest() == b""
        assert len(tool.requests) == 1


async def test_a_client_that_asks_first_is_reported_to_continue() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get("/erp/x", "Expect: 100-continue", "Content-Length: 3", method="PUT"))
        assert await agent.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert tool.raw == b""
        agent.send(b"abc")
        assert (await agent.response()).body == b"ok"
        assert b"Expect" not in tool.raw


async def test_a_client_that_asks_first_is_refused_before_it_sends() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        proxy.front.turned_down = problem(403, "no")
        agent = await proxy.agent()
        agent.send(get("/erp/x", "Expect: 100-continue", "Content-Length: 3", method="PUT"))
        assert (await agent.response()).status == 403
        assert await agent.rest() == b""
        assert tool.raw == b""


async def test_a_declared_length_over_the_cap_is_refused_at_once_and_the_client_can_read_why() -> None:
    async with Tool() as tool, gateway(tool, bounds=Bounds(body_cap=1000)) as proxy:
        agent = await proxy.agent()
        agent.send(get("/erp/x", "Expect: 100-continue", "Content-Length: 1001", method="PUT"))
        assert (await agent.response()).status == 413
        sender = await proxy.agent()
        sender.send(post(b"x" * 4_000_000))
        assert (await sender.response()).status == 413
        assert tool.raw == b""


async def test_a_slow_head_and_a_slow_body_meet_their_deadlines() -> None:
    bounds = Bounds(head_timeout=0.2, body_timeout=0.2, sweep=0.02)
    for start in (
        b"GET /erp/x HTTP/1.1\r\nHost: loc",
        post(b"abc")[:-1],
        get("/erp/x", "Transfer-Encoding: chunked", method="POST") + b"3\r\na",
    ):
        async with Tool() as tool, gateway(tool, bounds=bounds) as proxy:
            agent = await proxy.agent()
            agent.send(start)
            response = await agent.response()
            assert response.status == 408
            assert b"body-timeout" in response.body
            assert await agent.rest() == b""
            assert tool.raw == b""


async def test_dripping_does_not_put_a_deadline_off() -> None:
    async with Tool() as tool, gateway(tool, bounds=Bounds(head_timeout=0.3, sweep=0.02)) as proxy:
        agent = await proxy.agent()
        agent.send(b"GET /erp/x HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                agent.send(b"X: y\r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.get_running_loop().create_task(drip())
        assert (await agent.response()).status == 408
        dripping.cancel()


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with Tool() as tool, gateway(tool, bounds=Bounds(idle_timeout=0.2, first_byte_timeout=0.2, sweep=0.02)) as proxy:
        fresh, used = await proxy.agent(), await proxy.agent()
        used.send(get())
        assert (await used.response()).status == 200
        assert await fresh.rest() == b""
        assert await used.rest() == b""


async def test_a_request_that_its_client_cuts_short_is_refused() -> None:
    for cut in (get()[:20], post(b"abc")[:-1]):
        async with Tool() as tool, gateway(tool) as proxy:
            agent = await proxy.agent()
            agent.send(cut)
            agent.writer.write_eof()
            assert (await agent.response()).status == 400
            assert tool.raw == b""


async def test_a_connection_without_a_first_byte_is_closed_sooner_than_an_idle_one() -> None:
    bounds = Bounds(first_byte_timeout=0.2, idle_timeout=60.0, sweep=0.02)
    async with Tool() as tool, gateway(tool, bounds=bounds) as proxy:
        silent, used = await proxy.agent(), await proxy.agent()
        used.send(get())
        assert (await used.response()).status == 200
        assert await silent.rest() == b""
        used.send(get())
        assert (await used.response()).status == 200


async def test_at_the_bound_the_longest_silent_connection_is_evicted_for_a_new_one() -> None:
    async with Tool() as tool, gateway(tool, bounds=Bounds(connections=2)) as proxy:
        used, silent = await proxy.agent(), await proxy.agent()
        used.send(get())
        assert (await used.response()).status == 200
        for _ in range(3):
            fresh = await proxy.agent()
            fresh.send(get())
            assert (await fresh.response()).status == 200
            assert await silent.rest() in (b"", b"(reset)")
            silent, used = used, fresh


async def test_half_a_head_and_half_a_body_are_evicted_too() -> None:
    for half in (get()[:20], post(b"abc")[:-1]):
        async with Tool() as tool, gateway(tool, bounds=Bounds(connections=1)) as proxy:
            slow = await proxy.agent()
            slow.send(half)
            await asyncio.sleep(0.05)
            fresh = await proxy.agent()
            fresh.send(get())
            assert (await fresh.response()).status == 200
            assert await slow.rest() in (b"", b"(reset)")


async def test_a_new_connection_is_refused_if_every_other_has_a_call_in_progress() -> None:
    go_on = asyncio.Event()
    async with Tool(held_until(go_on)) as tool, gateway(tool, bounds=Bounds(connections=2)) as proxy:
        agents = [await proxy.agent() for _ in range(2)]
        for agent in agents:
            agent.send(get())
        await until(lambda: len(proxy.front.calls) == 2)
        assert await (await proxy.agent()).rest() in (b"", b"(reset)")
        go_on.set()
        for agent in agents:
            assert (await agent.response()).status == 200
        assert proxy.server.state.connections.refused == 1


async def test_bodies_over_the_common_bound_wait_for_others_to_end() -> None:
    bounds = Bounds(buffered_bytes=60_000, body_cap=50_000, body_timeout=5.0)
    go_on = asyncio.Event()
    async with Tool(held_until(go_on)) as tool, gateway(tool, bounds=bounds) as proxy:
        first, second = await proxy.agent(), await proxy.agent()
        first.send(post(b"x" * 50_000))
        await until(lambda: tool.requests)
        second.send(post(b"y" * 50_000)[:20_000])
        await asyncio.sleep(0.05)
        second.send(post(b"y" * 50_000)[20_000:])
        await asyncio.sleep(0.2)
        assert len(tool.requests) == 1
        go_on.set()
        assert (await first.response()).status == 200
        assert (await second.response()).status == 200


async def test_the_server_drains() -> None:
    go_on = asyncio.Event()
    async with Tool(held_until(go_on)) as tool, gateway(tool) as proxy:
        idle, busy = await proxy.agent(), await proxy.agent()
        busy.send(post(b"x"))
        await until(lambda: tool.requests)
        draining = asyncio.get_running_loop().create_task(proxy.server.drain(10))
        assert await idle.rest() == b""
        with suppress(ConnectionError):
            late = await proxy.agent()
            assert await late.rest() in (b"", b"(reset)")
        go_on.set()
        response = await busy.response()
        assert response.status == 200
        assert response.value(b"Connection") == b"close"
        assert await draining is True


async def test_a_drain_that_runs_out_of_time_reports_it_and_leaves_committed_calls_their_tasks() -> None:
    go_on = asyncio.Event()
    async with Tool(held_until(go_on)) as tool, gateway(tool) as proxy:
        reader, writer = await proxy.agent(), await proxy.agent()
        reader.send(get())
        writer.send(post(b"x"))
        await until(lambda: len(tool.requests) == 2)
        assert await proxy.server.drain(0.1) is False
        await until(lambda: proxy.front.ended == ["cancelled"])
        go_on.set()
        await until(lambda: proxy.front.ended == ["cancelled", "answered"])


async def test_a_fault_of_the_front_closes_the_connection_and_no_other() -> None:
    async with Tool(answers(OK)) as tool, gateway(tool) as proxy:
        agent, other = await proxy.agent(), await proxy.agent()

        def broken() -> None:
            raise ZeroDivisionError

        proxy.front.fence = broken
        agent.send(get())
        assert await agent.rest() in (b"", b"(reset)")
        assert [type(fault) for fault in proxy.faults] == [ZeroDivisionError]
        proxy.front.fence = lambda: None
        other.send(get())
        assert (await other.response()).status == 200


async def test_a_reply_with_a_line_end_in_a_field_is_never_written() -> None:
    async with Tool() as tool, gateway(tool) as proxy:
        proxy.front.turned_down = Reply(status=403, headers=((b"X", b"a\r\nSet-Cookie: b=1"),))
        agent = await proxy.agent()
        agent.send(get("/erp/x", "Expect: 100-continue", "Content-Length: 3", method="PUT"))
        assert await agent.rest() in (b"", b"(reset)")
        assert [type(fault) for fault in proxy.faults] == [ValueError]
