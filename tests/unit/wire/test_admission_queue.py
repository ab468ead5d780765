"""Who gets a connection to a tool next."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import UpstreamFailure
from gateway.wire.limits import PoolBounds
from gateway.wire.outbound.pool import AdmissionQueue


def later(seconds: float = 10.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def waiting(queue: AdmissionQueue, tenant: str, log: list[str], name: str) -> asyncio.Task[None]:
    async def wait() -> None:
        await queue.acquire(tenant, later())
        log.append(name)

    return asyncio.get_running_loop().create_task(wait())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_came_first_is_served_first() -> None:
    queue, log = AdmissionQueue(PoolBounds(connections=1, tenant_connections=1)), list[str]()
    assert queue.try_acquire("a")
    tasks = [waiting(queue, tenant, log, f"{tenant}{number}") for number, tenant in enumerate("abab")]
    await settle()
    for tenant in "abab":
        queue.release(tenant if log else "a")
        await settle()
        if len(log) < 4:
            tenant_served = log[-1][0]
            assert queue.used == 1
            assert tenant_served == tenant
    assert log == ["a0", "b1", "a2", "b3"]
    await asyncio.gather(*tasks)


async def test_a_tenant_at_its_bound_keeps_no_other_waiting() -> None:
    queue, log = AdmissionQueue(PoolBounds(connections=3, tenant_connections=2)), list[str]()
    assert queue.try_acquire("a")
    assert queue.try_acquire("a")
    assert not queue.try_acquire("a")
    tasks = [waiting(queue, "a", log, "a")]
    await settle()
    assert queue.try_acquire("b")
    queue.release("b")
    await settle()
    assert log == []
    queue.release("a")
    await asyncio.gather(*tasks)
    assert (queue.used, queue.waiting) == (2, 0)


async def test_who_waits_too_long_leaves_the_queue() -> None:
    queue = AdmissionQueue(PoolBounds(connections=1, tenant_connections=1))
    assert queue.try_acquire("a")
    with pytest.raises(UpstreamFailure) as failure:
        await queue.acquire("a", later(0.01))
    assert (failure.value.sent, failure.value.late) == (False, True)
    assert queue.waiting == 0
    queue.release("a")
    assert queue.used == 0


async def test_who_leaves_when_the_turn_has_just_come_passes_it_on() -> None:
    queue, log = AdmissionQueue(PoolBounds(connections=1, tenant_connections=1)), list[str]()
    assert queue.try_acquire("a")
    first, second = waiting(queue, "a", log, "first"), waiting(queue, "b", log, "second")
    await settle()
    queue.release("a")
    first.cancel()
    await settle()
    assert log == ["second"]
    assert first.cancelled()
    queue.release("b")
    assert (queue.used, queue.waiting) == (0, 0)
    await second


async def test_who_was_cancelled_while_waiting_is_passed_over() -> None:
    queue, log = AdmissionQueue(PoolBounds(connections=1, tenant_connections=1)), list[str]()
    assert queue.try_acquire("a")
    first, second = waiting(queue, "a", log, "first"), waiting(queue, "b", log, "second")
    await settle()
    first.cancel()
    queue.release("a")
    await settle()
    assert log == ["second"]
    assert (queue.used, queue.waiting) == (1, 0)
    await second


async def test_the_queue_is_bounded() -> None:
    queue, log = AdmissionQueue(PoolBounds(connections=1, tenant_connections=1, waiting=1)), list[str]()
    assert queue.try_acquire("a")
    task = waiting(queue, "a", log, "a")
    await settle()
    with pytest.raises(UpstreamFailure) as failure:
        await queue.acquire("b", later())
    assert not failure.value.sent
    queue.release("a")
    await task
