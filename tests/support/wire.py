"""The wire layer on real sockets with the smallest front that forwards, and an agent that writes raw bytes."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from gateway.core import addresses
from gateway.errors import MalformedRequest, Refusal, UpstreamFailure
from gateway.model.call import Call, Head, Outgoing, Reply
from gateway.wire.inbound.server import Server
from gateway.wire.limits import Bounds, PoolBounds
from gateway.wire.outbound.channel import Origin
from gateway.wire.outbound.pool import Pool
from tests.support.tool import Tool

DEADLINE = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


class WallClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def mint(self, prefix: str) -> str:
        return prefix


async def until(condition: Callable[[], object], *, within: float = DEADLINE) -> None:
    """Wait for a condition, with a deadline that only a broken promise reaches."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Forwarder:
    """A front that forwards every call as it is; all but reads are committed. ``fence`` can be replaced."""

    pool: Pool
    timeout: float = 5.0
    calls: list[Call] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    refusals: list[tuple[Refusal, Sequence[tuple[bytes, bytes]]]] = field(default_factory=list)
    fence: Callable[[], None] = lambda: None
    turned_down: Reply | None = None

    async def handle(self, call: Call, commit: Callable[[], None]) -> Reply:
        self.calls.append(call)
        reads = call.method in ("GET", "HEAD", "OPTIONS")
        if not reads:
            commit()
        try:
            answer = await self.pool.send(outgoing(call, retriable=reads, timeout=self.timeout), self.fence)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        except UpstreamFailure as failure:
            self.ended.append("failed")
            return problem(504 if failure.late else 502, failure.detail, sent=failure.sent)
        self.ended.append("answered")
        return Reply(status=answer.status, headers=answer.headers, body=answer.body, rest=answer.rest)

    async def preview(self, head: Head) -> Reply | None:
        return self.turned_down

    def reject(self, refusal: Refusal, headers: Sequence[tuple[bytes, bytes]]) -> Reply:
        self.refusals.append((refusal, headers))
        statuses = {"body-too-large": 413, "body-timeout": 408}
        status = refusal.status if isinstance(refusal, MalformedRequest) else statuses[refusal.code]
        return problem(status, refusal.detail, code=refusal.code)


def outgoing(call: Call, *, retriable: bool, timeout: float) -> Outgoing:
    length = ((b"Content-Length", b"%d" % len(call.body)),) if call.body else ()
    return Outgoing(
        tool=call.tool,
        tenant="acme",
        method=call.method,
        target=call.target,
        headers=((b"Host", b"tool"), *call.headers, *length),
        body=call.body,
        timeout=timeout,
        retriable=retriable,
    )


def problem(status: int, detail: str, **members: object) -> Reply:
    return Reply(
        status=status,
        headers=((b"Content-Type", b"application/problem+json"),),
        body=json.dumps({"detail": detail, **members}).encode(),
    )


@dataclass
class Gateway:
    """A server in front of a pool, for the tool ``erp``. ``faults`` are what its tasks raised."""

    port: int
    server: Server
    pool: Pool
    front: Forwarder
    tasks: set[asyncio.Task[None]]
    faults: list[BaseException]
    agents: list[Agent] = field(default_factory=list)

    async def agent(self) -> Agent:
        self.agents.append(Agent(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.agents[-1]


@asynccontextmanager
async def gateway(
    tool: Tool, *, bounds: Bounds | None = None, pool_bounds: PoolBounds | None = None, timeout: float = 5.0
) -> AsyncIterator[Gateway]:
    origin = Origin(host=tool.host, port=tool.port, unix=tool.unix)
    pool = Pool({"erp": origin}, allowed=addresses.allowed, bounds=pool_bounds)
    front = Forwarder(pool, timeout=timeout)
    tasks: set[asyncio.Task[None]] = set()
    faults: list[BaseException] = []

    def finished(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            faults.append(fault)

    def spawn(work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(finished)
        return task

    server = Server(front, hosts=["localhost", "127.0.0.1", "::1"], clock=WallClock(), spawn=spawn, bounds=bounds)
    _, port = await server.open_tcp("127.0.0.1", 0)
    made = Gateway(port, server, pool, front, tasks, faults)
    try:
        yield made
    finally:
        await server.drain(0.0)
        for agent in made.agents:
            await agent.close()
        await pool.close()
        if tasks:
            await asyncio.wait(tasks)


@dataclass
class Response:
    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head[9:12])

    def value(self, name: bytes) -> bytes | None:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b": ")
            if key.lower() == name.lower():
                return value
        return None


class Agent:
    """A client of the server that writes what it is told, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def response(self, *, bodiless: bool = False) -> Response:
        """One response, by its framing."""
        head = await self.head()
        async with asyncio.timeout(DEADLINE):
            if bodiless:
                return Response(head, b"")
            if length := _LENGTH.search(head):
                return Response(head, await self.reader.readexactly(int(length[1])))
            if b"transfer-encoding: chunked" in head.lower():
                return Response(head, b"".join([chunk async for chunk in self.chunks()]))
            return Response(head, await self.reader.read())

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.reader.readline(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        assert await self.reader.readexactly(2) == b"\r\n"

    async def rest(self) -> bytes:
        """All bytes until the gateway ends the connection."""
        async with asyncio.timeout(DEADLINE):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b"(reset)"

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def get(path: str = "/erp/x", *lines: str, version: str = "1.1", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: localhost", *lines, "", ""]).encode("latin-1")


def post(body: bytes, path: str = "/erp/x", *lines: str, method: str = "POST") -> bytes:
    return get(path, *lines, f"Content-Length: {len(body)}", method=method) + body
