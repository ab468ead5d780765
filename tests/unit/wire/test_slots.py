"""Turns at a tool's connections."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import UpstreamFailure
from gateway.wire.limits import PoolBounds
from gateway.wire.outbound.admission_queue import AdmissionQueue


def later(seconds: float = 10.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def waiting(slots: AdmissionQueue, tenant: str, log: list[str], name: str) -> asyncio.Task[None]:
    async def wait() -> None:
        await slots.wait(tenant, later())
        log.append(name)

    return asyncio.get_running_loop().create_task(wait())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_came_first_is_served_first() -> None:
    slots, log = AdmissionQueue(PoolBounds(connections=1, tenant_connections=1)), list[str]()
    assert slots.take("a")
    tasks = [waiting(slots, tenant, log, f"{tenant}{number}") for number, tenant in enumerate("abab")]
    await settle()
    for tenant in "abab":
        slots.give(tenant if log else "a")
        await settle()
        if len(log) < 4:
            slots_tenant = log[-1][0]
            assert slots.used == 1
            assert slots_tenant == tenant
    assert log == ["a0", "b1", "a2", "b3"]
    await asyncio.gather(*tasks)


async def test_a_tenant_at_its_bound_keeps_no_other_waiting() -> None:
    slots, log = AdmissionQueue(PoolBounds(connections=3, tenant_connections=2)), list[str]()
    assert slots.take("a")
    assert slots.take("a")
    assert not slots.take("a")
    tasks = [waiting(slots, "a", log, "a")]
    await settle()
    assert slots.take("b")
    slots.give("b")
    await settle()
    assert log == []
    slots.give("a")
    await asyncio.gather(*tasks)
    assert (slots.used, slots.waiting) == (2, 0)


async def test_who_waits_too_long_leaves_the_queue() -> None:
    slots = AdmissionQueue(PoolBounds(connections=1, tenant_connections=1))
    assert slots.take("a")
    with pytest.raises(UpstreamFailure) as failure:
        await slots.wait("a", later(0.01))
    assert (failure.value.sent, failure.value.late) == (False, True)
    assert slots.waiting == 0
    slots.give("a")
    assert slots.used == 0


async def test_who_leaves_when_the_turn_has_just_come_passes_it_on() -> None:
    slots, log = AdmissionQueue(PoolBounds(connections=1, tenant_connections=1)), list[str]()
    assert slots.take("a")
    first, second = waiting(slots, "a", log, "first"), waiting(slots, "b", log, "second")
    await settle()
    slots.give("a")
    first.cancel()
    await settle()
    assert log == ["second"]
    assert first.cancelled()
    slots.give("b")
    assert (slots.used, slots.waiting) == (0, 0)
    await second


async def test_who_was_cancelled_while_waiting_is_passed_over() -> None:
    slots, log = AdmissionQueue(PoolBounds(connections=1, tenant_connections=1)), list[str]()
    assert slots.take("a")
    first, second = waiting(slots, "a", log, "first"), waiting(slots, "b", log, "second")
    await settle()
    first.cancel()
    slots.give("a")
    await settle()
    assert log == ["second"]
    assert (slots.used, slots.waiting) == (1, 0)
    await second


async def test_the_queue_is_bounded() -> None:
    slots, log = AdmissionQueue(PoolBounds(connections=1, tenant_connections=1, waiting=1)), list[str]()
    assert slots.take("a")
    task = waiting(slots, "a", log, "a")
    await settle()
    with pytest.raises(UpstreamFailure) as failure:
        await slots.wait("b", later())
    assert not failure.value.sent
    slots.give("a")
    await task
