"""What meters promise, held in memory and on a real Valkey: the arithmetic of ``core.limits``, all or none, exact across nodes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import limits
from gateway.model.run import Rate
from gateway.ports.rates import Quota, Rates
from gateway.stores.memory import MemoryRates
from gateway.stores.redis.rates import KEPT
from tests.support import valkey
from tests.support.ports import free_port
from tests.support.valkey import Valkey

Meters = Sequence[tuple[str, Rate]]
Open = Callable[[], AbstractAsyncContextManager[Rates]]
"""Meters that were never used, on the caller's clock."""

NOW = 1_795_000_000.123456
_prefixes = (f"test-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with valkey.serving(tmp_path_factory.mktemp("valkey")) as made:
        yield made


@asynccontextmanager
async def in_memory() -> AsyncIterator[Rates]:
    yield MemoryRates()


@pytest.fixture(scope="module", params=["memory", "redis"])
def fresh(request: pytest.FixtureRequest, server: Valkey) -> Open:
    if request.param == "memory":
        return in_memory
    return lambda: valkey.node(server.server, next(_prefixes), server_time=False)


@pytest.fixture
async def rates(fresh: Open) -> AsyncIterator[Rates]:
    async with fresh() as made:
        yield made


async def passes(rates: Rates, meters: Meters, *, now: float = NOW) -> bool:
    quota = await rates.take(meters, now=now)
    return quota is None or quota.wait == 0


async def test_without_a_rate_every_call_passes(rates: Rates) -> None:
    assert await rates.take([], now=NOW) is None


async def test_a_burst_passes_and_then_one_call_an_interval(rates: Rates) -> None:
    meters = [("run:r1", Rate(5))]
    assert [await passes(rates, meters) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [await passes(rates, meters, now=NOW + 0.2) for _ in range(2)] == [True, False]


async def test_a_refused_call_takes_from_no_meter(rates: Rates) -> None:
    narrow, wide = ("run:r1", Rate(1)), ("tenant:acme", Rate(3))
    assert await passes(rates, [wide, narrow])
    assert [await passes(rates, [wide, narrow]) for _ in range(5)] == [False] * 5
    assert [await passes(rates, [wide]) for _ in range(3)] == [True, True, False]


async def test_the_quota_is_that_of_the_tightest_rate_and_of_the_one_that_refuses(rates: Rates) -> None:
    run, tenant = ("run:r1", Rate(2)), ("tenant:acme", Rate(100))
    assert await rates.take([tenant, run], now=NOW) == Quota(*run, remaining=1)
    await rates.take([tenant, run], now=NOW)
    refused = await rates.take([tenant, run], now=NOW)
    assert refused is not None
    assert (refused.name, refused.remaining) == ("run:r1", 0)
    assert refused.wait == pytest.approx(0.5, abs=1e-5)


async def test_meters_of_any_name_do_not_touch_each_other(rates: Rates) -> None:
    names = ["tenant:a", "tenant:A", "tenant:a ", "tenant:{a}", "tenant:ä", "tenant:", "tenant:a\n"]
    assert [await passes(rates, [(name, Rate(1, 3600.0))]) for name in names] == [True] * len(names)
    assert [await passes(rates, [(name, Rate(1, 3600.0))]) for name in names] == [False] * len(names)


RATES = st.builds(Rate, st.integers(1, 1000) | st.just(999_999_999), st.sampled_from([1.0, 4.0, 60.0, 3600.0]))
CALLS = st.lists(
    st.tuples(st.sets(st.sampled_from(["run:a", "run:b", "tenant:t"]), min_size=1), st.floats(0, 2) | st.just(0.0)), min_size=1, max_size=40
)


class Ideal:
    """All or none, on ``core.limits`` alone."""

    def __init__(self) -> None:
        self.arrivals: dict[str, float] = {}

    def take(self, meters: Meters, now: float) -> Quota:
        moved = {name: limits.meter(self.arrivals.get(name, 0.0), rate, now=now) for name, rate in meters}
        for name, rate in meters:
            if moved[name][2] > 0:
                return Quota(name, rate, 0, moved[name][2])
        self.arrivals.update({name: arrival for name, (arrival, _, _) in moved.items()})
        name, rate = min(meters, key=lambda meter: moved[meter[0]][1])
        return Quota(name, rate, moved[name][1])


@given(declared=st.fixed_dictionaries({"run:a": RATES, "run:b": RATES, "tenant:t": RATES}), calls=CALLS)
@settings(max_examples=60)
def test_every_verdict_is_that_of_the_arithmetic_to_the_last_bit(
    fresh: Open, declared: dict[str, Rate], calls: list[tuple[set[str], float]]
) -> None:
    async def play() -> None:
        ideal, now = Ideal(), NOW
        async with fresh() as rates:
            for names, pause in calls:
                now += pause
                meters = [(name, declared[name]) for name in sorted(names)]
                assert await rates.take(meters, now=now) == ideal.take(meters, now)

    asyncio.run(play())


async def test_two_nodes_that_ask_at_once_let_through_one_burst_between_them(server: Valkey) -> None:
    prefix, meters = next(_prefixes), [("run:r1", Rate(50)), ("tenant:acme", Rate(500))]

    async def calls(rates: Rates) -> int:
        return sum([await passes(rates, meters) for _ in range(10)])

    async with (
        valkey.node(server.server, prefix, server_time=False) as one,
        valkey.node(server.server, prefix, server_time=False) as other,
    ):
        passed = await asyncio.gather(*(calls(rates) for rates in (one, other) for _ in range(16)))
    assert sum(passed) == 50


async def test_nodes_that_never_stop_asking_get_the_rate_and_no_more(server: Valkey) -> None:
    prefix, meters = next(_prefixes), [("run:r1", Rate(100))]
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def calls(rates: Rates) -> int:
        passed = 0
        while loop.time() < begun + 1.5:
            passed += await passes(rates, meters)
        return passed

    async with valkey.node(server.server, prefix) as one, valkey.node(server.server, prefix) as other:
        passed = sum(await asyncio.gather(*(calls(rates) for rates in (one, other) for _ in range(16))))
    assert 100 < passed <= 100 + 100 * (loop.time() - begun)


async def test_clocks_of_nodes_that_are_an_hour_apart_share_one_meter(server: Valkey) -> None:
    prefix, meters = next(_prefixes), [("run:r1", Rate(1, 3600.0))]
    async with valkey.node(server.server, prefix) as behind, valkey.node(server.server, prefix) as ahead:
        assert await passes(behind, meters, now=NOW)
        assert not await passes(ahead, meters, now=NOW + 3600)


async def test_a_server_that_forgot_the_script_is_reported_it_again(server: Valkey) -> None:
    async with valkey.node(server.server, next(_prefixes)) as rates:
        assert await passes(rates, [("run:r1", Rate(5))])
        assert server.ask("SCRIPT", "FLUSH") == "+OK"
        assert await passes(rates, [("run:r1", Rate(5))])
        assert rates.health()[0]


async def test_a_meter_goes_when_it_has_been_full_for_a_minute(server: Valkey) -> None:
    prefix = next(_prefixes)
    async with valkey.node(server.server, prefix) as rates:
        await rates.take([("run:r1", Rate(1, 3600.0)), ("tenant:acme", Rate(500))], now=NOW)
    run, tenant = (int(server.ask("PTTL", f"{{{prefix}}}:{name}").removeprefix(":")) for name in ("run:r1", "tenant:acme"))
    assert 3_500_000 + KEPT < run <= 3_600_000 + KEPT
    assert KEPT - 30_000 < tenant <= KEPT + 1_000


async def test_all_meters_of_a_call_lie_in_one_slot_of_a_cluster(tmp_path: Path) -> None:
    # Its bus is at port + 10000 otherwise, which need not be a port at all.
    with valkey.serving(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as cluster:
        assert cluster.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == "+OK"
        async with valkey.node(cluster.server, "killcord") as rates:
            async with asyncio.timeout(valkey.PATIENT):
                await rates.check()
                while not rates.health()[0]:  # a cluster takes a moment to find itself whole
                    await asyncio.sleep(0.05)
                    await rates.check()
            assert await passes(rates, [("run:r1", Rate(5)), ("tenant:{x}acme", Rate(5))])
