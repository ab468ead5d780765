"""What a gateway that was restarted makes of what it had answered, and of what a person had decided since."""

from __future__ import annotations

from pathlib import Path

from gateway.model.run import Mode
from tests.support.triggering import Agent, agent, moody, tool


async def test_a_restart_does_not_contain_again_what_a_person_has_released(tmp_path: Path) -> None:
    async with moody(tmp_path) as made:
        bad = await agent(made)
        tool(made).answers = {"data": {"id": "inv_1"}}
        for _ in range(7):  # of which the last were alike, and told of no more
            await bad.read()
        (incident,) = await bad.incidents()
        await made.gateway.containment.release(incident.orders[0], reason="a person looked", by="ops")
        assert bad.mode() is Mode.ACTIVE
        ledger, opened = made.ledger, bad.opened
    async with moody(tmp_path, ledger=ledger) as made:
        again = Agent(made, opened)
        await made.gateway.catch_up()
        await made.gateway.sentinel.idle()
        assert again.mode() is Mode.ACTIVE
        await again.read()
        assert again.mode() is Mode.READ_ONLY
        assert len(await again.incidents()) == 1


async def test_the_steps_that_were_told_of_are_not_told_of_again(tmp_path: Path) -> None:
    async with moody(tmp_path) as made:
        busy = await agent(made, limits={"steps": 60})
        for _ in range(50):
            await busy.read()
        (incident,) = await busy.incidents()
        await made.gateway.containment.release(incident.orders[0], reason="a person looked", by="ops")
        ledger, opened = made.ledger, busy.opened
    async with moody(tmp_path, ledger=ledger) as made:
        again = Agent(made, opened)
        await made.gateway.catch_up()
        await made.gateway.sentinel.idle()
        await again.read()
        assert again.mode() is Mode.ACTIVE


async def test_what_was_answered_is_not_answered_again(tmp_path: Path) -> None:
    async with moody(tmp_path) as made:
        bad = await agent(made)
        tool(made).answers = {"data": {"id": "inv_1"}}
        await bad.read()
        ledger, opened = made.ledger, bad.opened
    async with moody(tmp_path, ledger=ledger) as made:
        assert await made.gateway.catch_up() == 0
        again = Agent(made, opened)
        assert (again.mode(), len(await again.incidents()), len(await again.responses())) == (Mode.READ_ONLY, 1, 1)


async def test_what_was_counted_before_a_restart_counts_on(tmp_path: Path) -> None:
    async with moody(tmp_path) as made:
        bad = await agent(made)
        for number in range(6):
            await bad.update("paid", key=f"before-{number}")
        ledger, opened = made.ledger, bad.opened
    async with moody(tmp_path, ledger=ledger) as made:
        assert await made.gateway.catch_up() == 0
        again = Agent(made, opened)
        for number in range(3):
            assert (await again.update("paid", key=f"after-{number}")).status == 200
        await again.update("paid", key="after-3")
        assert again.mode() is Mode.READ_ONLY
        assert [one.cause for one in await again.incidents()] == ["anomaly.loop"]
