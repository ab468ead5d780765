"""The load generator: a closed loop on keep-alive connections. A process of its own, so that its work never counts as anyone else's.

``python -m bench.load`` reads a :class:`Job` as JSON from standard input and writes :class:`~bench.figures.Measured` as JSON.
Every status is checked, and every field that is demanded: one wrong answer fails the whole run, for a fast refusal is no speed.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import cast

import httptools
import uvloop

from bench import children
from bench.figures import Measured

OBJECTS = 50
"""So many objects each connection goes round: no two calls on the wire meet on one."""

EXPECTED = {"read": 200, "write": 201, "change": 200}
SILENCE = 30.0
FEWEST = 20
"""Calls that a stretch has at the least, however short it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """``warm`` and ``seconds`` of load (and at least ``warm_calls`` before it counts); ``pids`` are charged for the CPU they use.

    ``call`` is ``read`` (GET), ``write`` (POST, creates) or ``change`` (PATCH). Calls take turns with the ``leases``.
    ``demanded`` are reply fields, in lower case, and what they have to say.
    """

    port: int
    call: str
    connections: int
    warm: float
    seconds: float
    prefix: str = ""
    tenant: str = "acme"
    leases: tuple[str, ...] = ()
    demanded: Mapping[str, str] = field(default_factory=dict)
    warm_calls: int = 0
    pids: tuple[int, ...] = ()


class WrongAnswer(Exception):
    """An answer is not the one that a working tool gives."""


def requests(job: Job, connection: int, nonce: str) -> Iterator[bytes]:
    """The requests of one connection. No body comes twice: a repeated write would be answered from the journal."""
    number = 0
    while True:
        turn = connection + number * job.connections
        lease = f"Authorization: Bearer {job.leases[turn % len(job.leases)]}\r\n" if job.leases else ""
        yield _request(job, f"inv-{nonce}-{connection}-{number % OBJECTS}", f"{nonce}-{turn}", lease).encode()
        number += 1


def _request(job: Job, id_: str, unique: str, lease: str) -> str:
    end = f"HTTP/1.1\r\nHost: localhost\r\n{lease}"
    tenant = f"{job.prefix}/v1/tenants/{job.tenant}"
    if job.call == "read":
        return f"GET {tenant}/invoices/{id_} {end}\r\n"
    line = f"POST {tenant}/refunds" if job.call == "write" else f"PATCH {tenant}/invoices/{id_}"
    body = f'{{"amount":1,"n":"{unique}"}}'
    return f"{line} {end}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"


class Load:
    """One stretch of load over all connections: warm first, then measured, then ended."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.over = False
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._latencies = array("d")
        self._made = 0
        self._measuring = False
        self._open = job.connections
        self._began = self._ended = self._cpu = 0.0

    def answered(self, latency: float) -> None:
        self._made += 1
        if self._measuring:
            self._latencies.append(latency)

    def wrong(self, why: str) -> None:
        self.over = True
        if not self.finished.done():
            self.finished.set_exception(WrongAnswer(why))

    def left(self) -> None:
        """A connection has ended, as requested."""
        self._open -= 1
        if not self._open and not self.finished.done():
            self.finished.set_result(None)

    async def run(self) -> Measured:
        """Carry the job out.

        Raises:
            WrongAnswer: a status or field is not the one expected, a connection was lost, or nothing came for long.
        """
        loop = asyncio.get_running_loop()
        nonce = f"{time.time_ns():x}"
        for number in range(self.job.connections):
            connection = functools.partial(Connection, self, requests(self.job, number, nonce))
            await loop.create_connection(connection, "127.0.0.1", self.job.port)
        await self._last(self.job.warm, self.job.warm_calls)
        self._cpu, self._began, self._measuring = children.cpu_seconds(self.job.pids), time.perf_counter(), True
        await self._last(self.job.seconds, FEWEST)
        self._measuring, self._ended = False, time.perf_counter()
        self._cpu = children.cpu_seconds(self.job.pids) - self._cpu
        self.over = True
        async with asyncio.timeout(SILENCE):
            await self.finished
        return self._measured()

    async def _last(self, seconds: float, calls: int) -> None:
        """Continue for this time, and until this many calls were answered."""
        enough = self._made + calls
        await asyncio.wait([self.finished], timeout=seconds)
        deadline = time.monotonic() + SILENCE
        while self._made < enough and not self.finished.done():
            before = self._made
            await asyncio.wait([self.finished], timeout=0.05)
            if self._made > before:
                deadline = time.monotonic() + SILENCE
            elif time.monotonic() > deadline:
                self.wrong(f"nothing was answered for {SILENCE:g} s")

    def _measured(self) -> Measured:
        ordered = sorted(self._latencies)
        count = len(ordered)
        return Measured(
            calls=count,
            per_second=count / (self._ended - self._began),
            p50=ordered[count // 2],
            p99=ordered[min(count - 1, count * 99 // 100)],
            cpu=self._cpu / count,
        )


class Connection(asyncio.Protocol):
    """Sends a request, reads its whole answer, checks it, sends the next."""

    def __init__(self, load: Load, calls: Iterator[bytes]) -> None:
        self._load = load
        self._calls = calls
        self._parser = httptools.HttpResponseParser(self)
        self._expected = EXPECTED[load.job.call]
        self._demanded = load.job.demanded
        self._received: dict[str, str] = {}
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._load.wrong(f"the answer is not HTTP: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._demanded:
            self._received[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        if self._parser.get_status_code() != self._expected:
            self._load.wrong(f"{self._load.job.call} got {self._parser.get_status_code()}: {body[:500]!r}")

    def on_message_complete(self) -> None:
        self._load.answered(time.perf_counter() - self._sent)
        status = self._parser.get_status_code()
        wrong = {name: self._received.get(name) for name, value in self._demanded.items() if self._received.get(name) != value}
        if status != self._expected or wrong:
            self._load.wrong(f"{self._load.job.call} got {status}, expected {self._expected}; {wrong or ''}")
        self._received.clear()
        if self._load.over:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if self._load.over:
            self._load.left()
        else:
            self._load.wrong(f"a connection was lost: {error}")

    def _send(self) -> None:
        request = next(self._calls)
        self._sent = time.perf_counter()
        self._transport.write(request)


async def _carried_out(job: Job) -> Measured:
    return await Load(job).run()


def main() -> int:
    job = Job(**json.load(sys.stdin))
    try:
        measured = uvloop.run(_carried_out(job))
    except (WrongAnswer, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    json.dump(asdict(measured), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
