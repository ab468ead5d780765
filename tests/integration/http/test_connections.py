"""The control API's connections: silent ones end, and never keep an operator out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from gateway.http import app
from gateway.http.app import Runner
from gateway.http.server.connection import Bounds
from tests.support.control_api import Parts

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin-token\r\n\r\n"
"""A request of an operator."""
LONG = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n%s\r\n" * 50
"""Requests whose answers do not fit into the buffers of a connection that nobody reads."""
TOKEN = b"Authorization: Bearer admin-token\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Served:
    """A control API and the clients that were connected to it."""

    runner: Runner
    clients: list[Streams] = field(default_factory=list)

    async def opened(self, sent: bytes = b"") -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.runner.addresses[0][1])
        self.clients.append((reader, writer))
        writer.write(sent)
        return reader, writer


@asynccontextmanager
async def served(parts: Parts, bounds: Bounds) -> AsyncIterator[Served]:
    made = Served(Runner(app.build(parts.services), identify=parts.services.identify, bounds=bounds))
    await made.runner.setup()
    try:
        await web.TCPSite(made.runner, "127.0.0.1", 0).start()
        yield made
    finally:
        for _, writer in made.clients:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        await made.runner.cleanup()


async def answered(streams: Streams, sent: bytes = b"") -> bool:
    streams[1].write(sent)
    async with asyncio.timeout(10):
        head = await streams[0].readuntil(b"\r\n\r\n")
        await streams[0].readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
    return head.startswith(b"HTTP/1.1 200 ")


async def ended(streams: Streams) -> bool:
    async with asyncio.timeout(10):
        try:
            return await streams[0].read() == b""
        except ConnectionError:
            return True


async def test_a_silent_connection_and_half_a_head_end_by_their_deadlines_and_an_idle_one_stays(parts: Parts) -> None:
    bounds = Bounds(first_byte_timeout=0.1, head_timeout=0.2)
    async with served(parts, bounds) as api:
        used = await api.opened(HEALTH)
        assert await answered(used)
        assert await ended(await api.opened())
        assert await ended(await api.opened(HEALTH[:20]))
        assert await answered(used, HEALTH)
        assert len(api.runner.connections) == 1


async def test_a_head_that_comes_drop_by_drop_does_not_move_its_deadline(parts: Parts) -> None:
    async with served(parts, Bounds(head_timeout=0.3)) as api:
        slow = await api.opened()
        for drop in HEALTH[:-2]:
            slow[1].write(bytes([drop]))
            await asyncio.sleep(0.05)
            if slow[0].at_eof():
                break
        assert await ended(slow)


async def test_at_the_bound_an_operator_takes_the_place_of_a_silent_connection(parts: Parts) -> None:
    async with served(parts, Bounds(connections=3)) as api:
        used = await api.opened(HEALTH)
        assert await answered(used)
        crowd = [await api.opened(sent) for sent in (b"", HEALTH[:20])]
        await asyncio.sleep(0.05)
        assert await answered(await api.opened(), HEALTH)
        assert await ended(crowd[0])
        assert await answered(used, HEALTH)
        assert api.runner.connections.evicted == 1
        assert len(api.runner.connections) == 3


async def test_requests_without_a_token_keep_no_place_from_an_operator(parts: Parts) -> None:
    async with served(parts, Bounds(connections=3)) as api:
        crowd = [await api.opened(HEALTH.replace(b"admin-token", b"unknown")) for _ in range(3)]
        assert all([await answered(one) for one in crowd])
        silent = await api.opened()
        assert await answered(await api.opened(), HEALTH)
        assert not silent[0].at_eof(), "who has sent nothing yet may be an operator"
        assert await ended(crowd[0])


@pytest.mark.parametrize("token", [b"", TOKEN], ids=["without a token", "with a token"])
async def test_answers_that_nobody_reads_keep_no_place_from_an_operator(parts: Parts, token: bytes) -> None:
    async with served(parts, Bounds(connections=3)) as api:
        crowd = [await api.opened(LONG.replace(b"%s", token)) for _ in range(3)]
        async with asyncio.timeout(10):
            while sum(one.writing_paused for one in api.runner.connections) < 3:
                await asyncio.sleep(0.01)
        assert await answered(await api.opened(), HEALTH)
        assert len(crowd) == len(api.runner.connections) == 3


async def test_a_client_that_stops_reading_is_closed_in_the_end_and_a_slow_one_is_not(parts: Parts) -> None:
    async with served(parts, Bounds(unread_timeout=0.5)) as api:
        await api.opened(LONG.replace(b"%s", TOKEN))
        slow = await api.opened(LONG.replace(b"%s", TOKEN))
        async with asyncio.timeout(20):
            for _ in range(50):
                assert await answered(slow)
                await asyncio.sleep(0.02)
            while len(api.runner.connections) > 1:
                await asyncio.sleep(0.01)
        assert await answered(slow, HEALTH)


async def test_streams_keep_no_place_from_an_operator(parts: Parts) -> None:
    async with served(parts, Bounds(connections=3)) as api:
        follow = HEALTH.replace(b"/healthz", b"/v1/journal/follow")
        crowd = [await api.opened(follow) for _ in range(3)]
        async with asyncio.timeout(10):
            for reader, _ in crowd:
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert await answered(await api.opened(), HEALTH)
