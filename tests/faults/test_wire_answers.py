"""What comes back from a tool: framed in any way HTTP knows, streamed, early, malformed, and never with another's bytes."""

from __future__ import annotations

import asyncio

import pytest

from gateway.wire.limits import PoolBounds
from tests.support.tool import OK, Tool, Visit, answers, answers_then_closes, in_pieces, sometimes
from tests.support.wire import gateway, get, post, until

MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "another protocol": b"ICY 200 OK\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "status 700": b"HTTP/1.1 700 OK\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "equal lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "a listed length": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "odd length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded field": b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n",
    "control character": b"HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "cut head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "cut body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    "a head too long, in one piece": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "endless 1xx": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5_000,
    "switch of protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("reply", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_answer_leaves_the_outcome_open_and_its_connection_unused(reply: bytes) -> None:
    async with Tool(sometimes(answers_then_closes(reply), answers(OK))) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(post(b"x"))
        response = await agent.response()
        assert response.status == 502
        assert b'"sent": true' in response.body
        agent.send(post(b"y"))
        assert (await agent.response()).status == 200
        assert len(tool.visits) == 2


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 4\r\n\r\n", b"ab", b"cd"], b"abcd"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", b"2\r\ncd\r\n0\r\nX: trailer\r\n\r\n"], b"abcd"),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n", OK], b"ok"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], b""),
    ],
    ids=["length in pieces", "chunks and a trailer", "1xx first", "empty"],
)
async def test_an_answer_arrives_whole_and_its_connection_is_used_again(pieces: list[bytes], body: bytes) -> None:
    async with Tool(in_pieces(*pieces)) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        for _ in range(2):
            agent.send(get())
            response = await agent.response()
            assert response.status == 200
            assert response.body == body
            assert b"trailer" not in response.head
        assert len(tool.visits) == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_end_with_their_head(status: int) -> None:
    async with Tool(answers(b"HTTP/1.1 %d X\r\nETag: v1\r\n\r\n" % status, OK)) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get())
        response = await agent.response(bodiless=True)
        assert response.status == status
        assert response.value(b"ETag") == b"v1"
        agent.send(get())
        assert (await agent.response()).body == b"ok"
        assert len(tool.visits) == 1


async def test_a_head_answer_keeps_its_length_and_its_connection() -> None:
    async with Tool(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n", OK)) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get(method="HEAD"))
        response = await agent.response(bodiless=True)
        assert response.value(b"Content-Length") == b"12345"
        agent.send(get())
        assert (await agent.response()).body == b"ok"
        assert len(tool.visits) == 1


async def test_a_head_answer_that_sends_a_body_nevertheless_poisons_nothing() -> None:
    async with Tool(answers(OK)) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get(method="HEAD") + get(method="HEAD"))
        for _ in range(2):
            assert (await agent.response(bodiless=True)).status == 200
        assert len(tool.visits) == 2


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
async def test_an_answer_that_ends_with_its_connection_is_whole(head: bytes) -> None:
    async with Tool(answers_then_closes(head + b"all of it")) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        for _ in range(2):
            agent.send(get())
            assert (await agent.response()).body == b"all of it"
        assert len(tool.visits) == 2


@pytest.mark.parametrize("reply", [OK.replace(b"1.1", b"1.0"), OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")])
async def test_a_connection_that_the_tool_will_not_keep_is_not_used_again(reply: bytes) -> None:
    async with Tool(answers(reply)) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get() + get())
        for _ in range(2):
            response = await agent.response()
            assert response.body == b"ok"
            assert response.value(b"Connection") is None
        assert len(tool.visits) == 2


async def test_an_answer_before_the_body_was_read_ends_its_connection() -> None:
    async def script(visit: Visit) -> None:
        await visit.bytes_in(1)
        visit.transport.pause_reading()
        visit.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        await asyncio.sleep(0.1)
        visit.transport.resume_reading()
        await visit.gone.wait()

    async with Tool(sometimes(script, answers(OK))) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(post(b"x" * 1_000_000))
        assert (await agent.response()).body == b"no"
        agent.send(get())
        assert (await agent.response()).body == b"ok"
        assert len(tool.visits) == 2


async def test_a_tool_that_speaks_before_it_is_asked_is_sent_nothing() -> None:
    async def script(visit: Visit) -> None:
        visit.send(OK)
        await visit.gone.wait()

    async with Tool(script) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(post(b"x"))
        await agent.response()
        assert len(tool.visits) == 1
        agent.send(post(b"y"))
        await agent.response()
        # On loopback its word may come a moment after the first request has left; a second never follows it.
        assert len(tool.visits) == 2
        assert b"y" not in bytes(tool.visits[0].raw)


async def test_a_tools_hop_by_hop_fields_stay_away_and_the_rest_passes_untouched() -> None:
    reply = (
        b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nKeep-Alive: x\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
        b"Proxy-Authenticate: x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Name: caf\xe9\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 2\r\n\r\n\x1f\x8b"
    )
    async with Tool(answers(reply)) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get())
        response = await agent.response()
        assert response.body == b"\x1f\x8b"
        assert response.head.split(b"\r\n")[1:-2] == [
            b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
            b"Set-Cookie: a=1",
            b"Set-Cookie: b=2",
            b"X-Name: caf\xe9",
            b"Content-Encoding: gzip",
            b"Content-Length: 2",
        ]


async def test_events_pass_one_by_one_as_they_come() -> None:
    heard = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in (b"data: 1\n\n", b"data: 2\n\n"):
            visit.send(b"%x\r\n%b\r\n" % (len(event), event))
            await heard.wait()
            heard.clear()
        visit.send(b"0\r\n\r\n")

    async with Tool(script) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get())
        assert b"chunked" in await agent.head()
        events = []
        async with asyncio.timeout(10):
            async for chunk in agent.chunks():
                events.append(chunk)
                heard.set()
        assert events == [b"data: 1\n\n", b"data: 2\n\n"]


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc"],
    ids=["chunked", "length"],
)
async def test_a_stream_that_breaks_off_looks_broken_to_the_agent(start: bytes) -> None:
    async with Tool(answers_then_closes(start)) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get())
        await agent.head()
        tail = await agent.rest()
        assert not tail.endswith(b"0\r\n\r\n")
        assert len(tail) < 100


async def test_a_stream_that_falls_silent_is_cut() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await visit.gone.wait()

    async with Tool(script) as tool, gateway(tool, timeout=0.3) as proxy:
        agent = await proxy.agent()
        agent.send(get())
        await agent.head()
        assert not (await agent.rest()).endswith(b"0\r\n\r\n")
        await until(lambda: tool.visits[0].gone.is_set())


async def test_a_slow_reader_slows_the_tool_and_little_is_held_between_them() -> None:
    sent = 0
    total = 64 << 20
    piece = b"x" * (64 << 10)

    async def script(visit: Visit) -> None:
        nonlocal sent
        await visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            visit.send(piece)
            sent += len(piece)
            await visit.sent()
        await visit.gone.wait()

    async with Tool(script) as tool, gateway(tool, pool_bounds=PoolBounds(window_bytes=256 << 10)) as proxy:
        agent = await proxy.agent()
        agent.send(get())
        await agent.head()
        before = -1
        # Nobody reads: the tool comes to a halt once all buffers on the way are full.
        while before != sent:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 24 << 20
        received = 0
        async with asyncio.timeout(30):
            while received < total:
                received += len(await agent.reader.read(1 << 20))
        assert received == total


async def test_an_idle_stream_whose_client_leaves_is_closed_at_the_tool() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await visit.gone.wait()

    async with Tool(script) as tool, gateway(tool, timeout=60) as proxy:
        agent = await proxy.agent()
        agent.send(get())
        await agent.head()
        await agent.close()
        await until(lambda: tool.visits[0].gone.is_set())
        await until(lambda: not proxy.tasks)
