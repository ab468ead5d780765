"""Free places go to tenants in turn, in order within a tenant, and none is lost by a call that is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.pipeline import fair_queue
from gateway.pipeline.fair_queue import FairQueue


class Calls:
    """Calls at a queue, by name; ``entered`` are those that got their place, in order."""

    def __init__(self, places: int) -> None:
        self.queue = shared(places)
        self.entered: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        """Each name is its tenant's letter and a number."""
        for name in names:
            self.tasks[name] = asyncio.get_running_loop().create_task(self._enter(name))
        await turns()

    async def leave(self, count: int = 1) -> None:
        for _ in range(count):
            self.queue.leave()
            await turns()

    async def _enter(self, name: str) -> None:
        await self.queue.enter(name[0])
        self.entered.append(name)


def shared(places: int) -> FairQueue:
    """A queue that two tenants use: the bound holds."""
    queue = FairQueue(places)
    for flow in ("y", "z"):
        with pytest.raises(StopIteration) as entered:
            queue.enter(flow).__await__().__next__()
        if entered.value.value:
            queue.leave()
    return queue


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_calls_below_the_bound_do_not_wait() -> None:
    queue = shared(2)
    for _ in range(2):
        with pytest.raises(StopIteration):
            queue.enter("a").__await__().__next__()  # not even a turn of the event loop


async def test_a_tenant_with_one_call_does_not_wait_behind_the_many_of_another() -> None:
    calls = Calls(places=1)
    await calls.come("a1", "a2", "a3", "a4", "b1", "c1", "b2")
    assert calls.entered == ["a1"]
    await calls.leave(6)
    assert calls.entered == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]
    assert len(calls.queue) == 0


async def test_no_more_calls_are_in_than_there_are_places() -> None:
    calls = Calls(places=3)
    await calls.come(*(f"a{number}" for number in range(10)))
    assert len(calls.entered) == 3
    assert calls.queue.queued("a") == 7
    await calls.leave(2)
    assert len(calls.entered) == 5


async def test_a_place_that_nobody_waits_for_is_free_again() -> None:
    calls = Calls(places=1)
    await calls.come("a1")
    await calls.leave()
    await calls.come("b1")
    assert calls.entered == ["a1", "b1"]


async def test_a_call_that_is_cancelled_while_it_waits_is_passed_over() -> None:
    calls = Calls(places=1)
    await calls.come("a1", "b1", "c1")
    calls.tasks["b1"].cancel()
    await turns()
    await calls.leave()
    assert calls.entered == ["a1", "c1"]


@pytest.mark.parametrize("first", ["cancelled", "given its place"])
async def test_a_call_that_is_cancelled_as_it_gets_its_place_gives_it_on(first: str) -> None:
    calls = Calls(places=1)
    await calls.come("a1", "b1", "c1")
    both: list[Callable[[], object]] = [calls.queue.leave, calls.tasks["b1"].cancel]
    for one in both if first == "given its place" else reversed(both):
        one()
    await turns()
    assert calls.entered == ["a1", "c1"]
    await calls.leave()
    await calls.come("d1")
    assert calls.entered == ["a1", "c1", "d1"]


async def test_a_tenant_that_is_alone_waits_for_nobody() -> None:
    queue = FairQueue(1)
    for _ in range(50):
        assert not await asyncio.wait_for(queue.enter("a"), 5)
    assert len(queue) == 0


async def test_a_second_tenant_does_not_wait_for_the_crowd_that_came_before_it_and_then_takes_turns() -> None:
    calls = Calls(places=2)
    calls.queue = FairQueue(2)
    await calls.come(*(f"a{number}" for number in range(6)))
    assert len(calls.entered) == 6, "alone"
    await calls.come("b1", "a6", "a7", "a8", "b2")
    assert calls.entered[6:] == ["b1", "a6"], "as many as there are places"
    await calls.leave(3)
    assert calls.entered[8:] == ["a7", "b2", "a8"]


async def test_a_tenant_that_is_alone_again_waits_for_nobody_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_queue, "ALONE", 0.05)
    calls = Calls(places=1)
    await calls.come("a1", "a2", "a3", "a4")
    assert calls.entered == ["a1"]
    await asyncio.sleep(0.1)
    await calls.leave()
    assert calls.entered == ["a1", "a2", "a3", "a4"]


async def test_after_every_call_has_left_all_places_are_free() -> None:
    queue = shared(2)

    async def call(tenant: str) -> None:
        placed = await queue.enter(tenant)
        try:
            await asyncio.sleep(0)
        finally:
            if placed:
                queue.leave()

    work: list[Awaitable[None]] = [call("ab"[number % 2]) for number in range(20)]
    tasks = [asyncio.ensure_future(one) for one in work]
    await asyncio.sleep(0)
    for one in tasks[3:9]:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (queue._used, len(queue)) == (0, 0)
