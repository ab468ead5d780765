"""The rate store is killed, stopped, demoted or talks nonsense: calls are refused or held to a share, and never let through unmetered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from aiohttp import ClientSession, web

from gateway import errors
from gateway.app import servers
from gateway.model.run import Rate
from gateway.ports.rates import Rates, Server
from gateway.stores.memory import MemoryRates
from gateway.stores.redis.rates import RedisRates
from tests.support import rig, valkey
from tests.support.valkey import PATIENT, Valkey

RATE = Rate(80)
METERS = [("run:r1", RATE)]
CALLERS = 16
NODES = 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    with valkey.serving(tmp_path) as made:
        yield made


@pytest.fixture
async def denying(server: Valkey) -> AsyncIterator[RedisRates]:
    async with valkey.node(server.server, "killcord") as rates:
        yield rates


@pytest.fixture
async def sharing(server: Valkey) -> AsyncIterator[RedisRates]:
    async with valkey.node(server.server, "killcord", fallback=MemoryRates(NODES)) as rates:
        yield rates


@dataclass(slots=True)
class Load:
    """Callers that never stop asking: when each call that passed had asked, and how many were refused because nobody could be asked."""

    passed: list[float] = field(default_factory=list)
    denied: int = 0

    async def call(self, rates: Rates) -> None:
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time()
            try:
                quota = await rates.take(METERS, now=asked)
            except errors.RateLimited:
                self.denied += 1
            else:
                assert quota is not None
                if quota.wait == 0:
                    self.passed.append(asked)
            await asyncio.sleep(0.001)

    def since(self, moment: float) -> int:
        return sum(asked > moment for asked in self.passed)


@asynccontextmanager
async def under(rates: Rates) -> AsyncIterator[Load]:
    load = Load()
    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(load.call(rates)) for _ in range(CALLERS)]
        await until(lambda: len(load.passed) > RATE.count)
        yield load
        for caller in callers:
            caller.cancel()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT):
        while not holds():
            await asyncio.sleep(0.01)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_killed_under_load_it_refuses_every_call_until_it_is_back(server: Valkey, denying: RedisRates) -> None:
    begun = now()
    async with under(denying) as load:
        server.kill()
        killed = now()
        await until(lambda: load.denied > 500)
        assert load.since(killed) == 0
        assert not denying.health()[0]
        server.start()
        await until(lambda: load.since(killed) > RATE.count)
        ended = now()
    assert denying.health()[0]
    # It came back empty: one burst more than the rate, and no more than that.
    assert len(load.passed) <= 2 * RATE.count + RATE.per_second * (ended - begun) + CALLERS


async def test_killed_under_load_each_node_continues_its_share(server: Valkey, sharing: RedisRates) -> None:
    async with under(sharing) as load:
        server.kill()
        killed = now()
        share = RATE.per_second / NODES
        await until(lambda: load.since(killed) > 2 * share)
        assert load.since(killed) <= share + share * (now() - killed)
        assert sharing.health()[0]
        assert "1/4 of every rate" in sharing.health()[1]
        server.start()
        await until(lambda: sharing.health()[1] == f"redis at {sharing.place}")
    assert load.denied == 0


async def test_a_replica_that_takes_over_empty_costs_one_burst(server: Valkey, denying: RedisRates) -> None:
    begun = now()
    async with under(denying) as load:
        assert server.ask("FLUSHALL") == "+OK"
        passed = len(load.passed)
        await until(lambda: len(load.passed) > passed + RATE.count)
        ended = now()
    assert len(load.passed) <= 2 * RATE.count + RATE.per_second * (ended - begun) + CALLERS


async def test_a_demoted_server_takes_no_more_calls(server: Valkey, denying: RedisRates) -> None:
    await denying.take(METERS, now=0.0)
    assert server.ask("REPLICAOF", "127.0.0.1", "1") == "+OK"
    with pytest.raises(errors.RateLimited):
        await denying.take(METERS, now=0.0)
    assert "ReadOnlyError" in denying.health()[1]
    assert server.ask("REPLICAOF", "NO", "ONE") == "+OK"
    await denying.check()
    assert denying.health()[0]


async def test_a_server_that_stands_still_costs_a_call_its_deadline_and_the_others_nothing(server: Valkey) -> None:
    async with valkey.node(server.server, "killcord", timeout=0.2) as rates:
        await until_answering(rates)
        server.pause()
        begun = now()
        results = [await refused(rates) for _ in range(200)]
        # Each by itself would have made it forty seconds.
        assert now() - begun < PATIENT
        assert all(results)
        assert "within 0.2 s" in rates.health()[1] or "Timeout" in rates.health()[1]
        server.resume()
        async with asyncio.timeout(PATIENT):
            while await refused(rates):
                await asyncio.sleep(0.05)


async def test_a_call_that_is_given_up_leaves_no_answer_for_the_next_one(server: Valkey, denying: RedisRates) -> None:
    """A connection whose answer is still under way must not be used again: the next call would read what was meant for this one."""
    await denying.check()
    server.pause()
    given_up = asyncio.ensure_future(denying.take([("run:other", Rate(1, 3600.0))], now=0.0))
    await asyncio.sleep(0.05)
    given_up.cancel()
    server.resume()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    quota = await denying.take(METERS, now=0.0)
    assert quota is not None
    assert (quota.remaining, quota.wait) == (RATE.count - 1, 0.0)


@pytest.mark.parametrize(
    "answer",
    [
        b"+OK\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"*0\r\n",
        b"*3\r\n:9\r\n:1\r\n$1\r\n0\r\n",
        b"-ERR no\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
    ],
)
async def test_an_answer_that_is_invalid_lets_nothing_through(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer and await reader.read(65_536):
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with valkey.node(Server(host="127.0.0.1", port=port), "killcord", timeout=2.0) as rates:
            assert await refused(rates)
            assert not rates.health()[0]


async def test_a_wrong_password_is_reported_and_never_shown(tmp_path: Path) -> None:
    with valkey.serving(tmp_path, password="s3cret-canary") as locked:
        async with valkey.node(locked.server, "killcord") as rates:
            assert not await refused(rates)
            assert "s3cret-canary" not in rates.health()[1] + repr(locked.server)
        wrong = Server(host="127.0.0.1", port=locked.port, password="wr0ng-canary")
        async with valkey.node(wrong, "killcord") as rates:
            assert await refused(rates)
            assert "WRONGPASS" in rates.health()[1].upper() or "password" in rates.health()[1]
            assert "wr0ng-canary" not in rates.health()[1] + repr(rates)


async def test_the_line_forwards_nothing_while_the_store_is_lost(server: Valkey, tmp_path: Path) -> None:
    settings = f'rates: {{store: redis, url: "redis://127.0.0.1:{server.port}/0", timeout: 5s}}'
    async with rig.assembled(tmp_path, extra=settings) as made:
        made.ledger.put("acme", "invoices", "i1", status="open")
        opened = await made.open()
        read = ("GET", "/v1/tenants/acme/invoices/i1")
        assert (await made.call(opened.lease, *read)).status == 200
        server.kill()
        seen = len(made.ledger.seen)
        for call in (read, ("DELETE", "/v1/tenants/acme/invoices/i1")):
            reply = await made.call(opened.lease, *call)
            assert (reply.status, rig.code(reply), rig.header(reply, "Retry-After")) == (429, "rate-limited", "1")
            assert orjson.loads(reply.body)["retryable"] is True
        assert len(made.ledger.seen) == seen
        status, parts = await ready(made)
        assert (status, parts["rates"]) == (503, {"ok": False, "detail": made.gateway.resources.rates.health()[1]})
        server.start()
        await until_answering(made.gateway.resources.rates)
        assert (await made.call(opened.lease, *read)).status == 200
        assert (await ready(made))[0] == 200


async def test_a_gateway_starts_without_its_store_and_is_ready_when_that_is_there(server: Valkey, tmp_path: Path) -> None:
    server.kill()
    settings = f'rates: {{store: redis, url: "redis://127.0.0.1:{server.port}", timeout: 5s}}'
    async with rig.assembled(tmp_path, extra=settings) as made:
        assert (await ready(made))[0] == 503
        server.start()
        await until_answering(made.gateway.resources.rates)
        assert (await ready(made))[0] == 200


async def ready(made: rig.Rig) -> tuple[int, dict[str, object]]:
    """What ``/readyz`` says, parts by name."""
    runner = servers.control_api(made.gateway, lambda _: None, "all", lambda *_, **__: None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/readyz") as answer:
            parts: dict[str, object] = await answer.json(content_type=None)
            return answer.status, parts
    finally:
        await runner.cleanup()


async def refused(rates: Rates) -> bool:
    """Whether nobody could be asked."""
    try:
        await rates.take([("run:r2", Rate(1_000_000))], now=0.0)
    except errors.RateLimited:
        return True
    return False


async def until_answering(rates: Rates) -> None:
    async with asyncio.timeout(PATIENT):
        await rates.check()
        while not rates.health()[0]:
            await asyncio.sleep(0.01)
            await rates.check()
