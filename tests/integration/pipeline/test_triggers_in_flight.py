"""Calls that are on their way while another of their run sets something off: none of them is sent after the offending reply."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gateway.model.call import Reply
from gateway.model.run import Mode
from tests.support.rig import Rig, code, header
from tests.support.triggering import ELSEWHERE, REFUNDS, agent, moody

TRIALS = [300, pytest.param(10_000, marks=pytest.mark.soak)]
FOLLOWING = 4


@pytest.mark.parametrize("trials", TRIALS)
async def test_after_the_reply_of_a_write_across_the_boundary_no_write_of_its_run_arrives(tmp_path: Path, trials: int) -> None:
    chance = random.Random(5)
    async with moody(tmp_path) as made:
        for number in range(trials):
            await _trial(made, chance, number)
            made.ledger.seen.clear()
            made.ledger.objects.clear()


async def _trial(made: Rig, chance: random.Random, number: int) -> None:
    """One write across the boundary among others of its run, some before it, some right behind it, some once its reply is there."""
    bad = await agent(made)

    async def refund(name: str) -> Reply:
        return await made.call(bad.opened.lease, "POST", REFUNDS, {"amount": 1, "name": name})

    before = [asyncio.ensure_future(refund(f"before-{number}-{one}")) for one in range(chance.randrange(FOLLOWING))]
    for _ in range(chance.randrange(12)):
        await asyncio.sleep(0)
    offending = asyncio.ensure_future(made.call(bad.opened.lease, "PATCH", ELSEWHERE, {"status": "paid"}))
    behind = [asyncio.ensure_future(refund(f"behind-{number}-{one}")) for one in range(chance.randrange(FOLLOWING))]
    reply = await offending
    arrived = len(made.ledger.writes)
    assert (code(reply), header(reply, "Killcord-Mode"), bad.mode()) == ("tenant-boundary", "revoked", Mode.REVOKED)
    after = await asyncio.gather(*(refund(f"after-{number}-{one}") for one in range(FOLLOWING)))
    others = await asyncio.gather(*before, *behind)
    # What was on the wire when the order came had left before; the tool may hear it a moment later, and its agent hears the truth.
    sent = [one for one in others if one.status == 201]
    assert {code(one) for one in after} == {"lease-revoked"}
    assert {code(one) for one in others if one.status != 201} <= {"lease-revoked"}
    assert len(made.ledger.writes) == len(sent)
    assert not [one for one in made.ledger.writes[arrived:] if b"after-" in one.body]


async def test_the_one_write_that_a_burst_waits_for_is_not_stopped_by_its_repeats(tmp_path: Path) -> None:
    """Thirty calls under one key at once: one is carried out, the others are told so, and the spike is told once it was."""
    async with moody(tmp_path) as made:
        bursting = await agent(made)
        made.ledger.hold = asyncio.Event()
        lease = bursting.opened.lease
        calls = [asyncio.ensure_future(made.call(lease, "POST", REFUNDS, {"amount": 1}, Idempotency_Key="mine")) for _ in range(30)]
        async with asyncio.timeout(20):
            while sum(one.done() for one in calls) < 29:
                await asyncio.sleep(0.005)
        assert bursting.mode() is Mode.ACTIVE
        made.ledger.hold.set()
        replies = await asyncio.gather(*calls)
        assert sorted(one.status for one in replies) == [201] + [409] * 29
        assert len(made.ledger.writes) == 1
        assert bursting.mode() is Mode.PAUSED
        (told,) = [one for one in replies if one.status == 201]
        assert header(told, "Killcord-Mode") == "paused"
        assert [one.cause for one in await bursting.incidents()] == ["anomaly.retry-spike"]
