"""What a gateway that was restarted makes of what it had answered, and of what a person had decided since."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from gateway import errors
from gateway.control.review.findings import Finding
from gateway.core.authorization import admission
from gateway.core.incident.recovery import Stage
from gateway.model.entries import Entry
from gateway.model.entry import Kind, Position, Sealed
from gateway.model.run import Mode
from gateway.model.trigger import RollbackState
from gateway.ports.journal import Journal
from tests.support.ledger import Ledger
from tests.support.rig import Rig, until_async
from tests.support.triggering import Agent, agent, moody, tool

CRITICAL = Finding(kind="sum-off", severity="critical", evidence={"object": "invoice:inv_1"}, by="verifier")


async def test_a_restart_does_not_contain_again_what_a_person_has_released(tmp_path: Path) -> None:
    async with moody(tmp_path) as made:
        bad = await agent(made)
        tool(made).answers = {"data": {"id": "inv_1"}}
        for _ in range(7):  # of which the last were alike, and told of no more
            await bad.read()
        (incident,) = await bad.incidents()
        await made.gateway.control.containment.release(incident.orders[0], reason="a person looked", by="ops")
        assert bad.mode() is Mode.ACTIVE
        ledger, opened = made.ledger, bad.opened
    async with moody(tmp_path, ledger=ledger) as made:
        again = Agent(made, opened)
        await made.gateway.catch_up()
        await made.gateway.control.monitor.idle()
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
        await made.gateway.control.containment.release(incident.orders[0], reason="a person looked", by="ops")
        ledger, opened = made.ledger, busy.opened
    async with moody(tmp_path, ledger=ledger) as made:
        again = Agent(made, opened)
        await made.gateway.catch_up()
        await made.gateway.control.monitor.idle()
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


# --- findings --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Without:
    """A journal that takes no entry of some kinds any more: to anyone who writes one, the process is gone there."""

    journal: Journal
    kinds: frozenset[Kind]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)

    def post(self, entry: Entry, blobs: Sequence[Sealed] = ()) -> Position:
        self._refuse(entry)
        return self.journal.post(entry, blobs)

    async def append(self, entry: Entry, blobs: Sequence[Sealed] = ()) -> Position:
        self._refuse(entry)
        return await self.journal.append(entry, blobs)

    def _refuse(self, entry: Entry) -> None:
        if entry.kind in self.kinds:
            raise errors.JournalUnavailable("the process is gone")


async def cut_off(folder: Path, *kinds: Kind, before: Callable[[Agent], Any] | None = None) -> tuple[Ledger, Agent]:
    """A gateway that is gone once a finding was durable, before it could write an entry of these kinds; the run is closed then."""
    async with moody(folder) as made:
        bad = await agent(made)
        await bad.update("void")
        if before is not None:
            await before(bad)
        whole = made.gateway.control.journal.journal
        made.gateway.control.journal.journal = Without(whole, frozenset(kinds))
        await made.gateway.findings.report(bad.opened.run, CRITICAL)
        made.gateway.control.journal.journal = whole
        await made.gateway.control.runs.close(bad.run_id, by="test", reason="done")
        return made.ledger, bad


async def come_up(made: Rig) -> int:
    """As ``killcord serve`` begins; says how many triggers it answered."""
    answered = await made.gateway.catch_up()
    await made.gateway.control.monitor.idle()
    await made.gateway.recovery.catch_up()
    return answered


async def test_a_finding_that_nobody_answered_is_answered_though_its_run_was_closed_since_and_only_once(tmp_path: Path) -> None:
    for name, kinds in {"nothing": (Kind.TRIGGER, Kind.ORDER, Kind.RESPONSE), "the order": (Kind.RESPONSE,)}.items():
        folder = tmp_path / name
        ledger, bad = await cut_off(folder, *kinds)
        async with moody(folder, ledger=ledger) as made:
            again = Agent(made, bad.opened)
            assert await again.incidents() == [], name
            assert await come_up(made) == 1
            await until_async(partial(is_over, again))
            (incident,) = await again.incidents()
            assert (incident.cause, incident.triggers, incident.rollback) == ("verify.finding", 1, RollbackState.CLEAN)
            assert ledger.get("acme", "invoices", "inv_1")["status"] == "open"
            assert incident.closed_at is None, "nobody took note of it yet"
        async with moody(folder, ledger=ledger) as made:
            again = Agent(made, bad.opened)
            assert await come_up(made) == 0
            (incident,) = await again.incidents()
            assert incident.triggers == 1
            orders = [one for one in await made.journal(bad.run_id, "order") if one["change"] == "made"]
            assert [one["order"]["order_id"] for one in orders] == list(incident.orders)
            assert len(await again.responses()) == 1
            assert len(await made.gateway.resources.store.rollbacks.rollbacks(run=bad.run_id)) == 1


async def is_over(bad: Agent) -> bool:
    found = await bad.incidents()
    return bool(found) and found[0].rollback is RollbackState.CLEAN


async def test_anyone_who_takes_note_of_an_incident_about_a_closed_run_closes_it(tmp_path: Path) -> None:
    ledger, bad = await cut_off(tmp_path, Kind.RESPONSE)
    async with moody(tmp_path, ledger=ledger) as made:
        again = Agent(made, bad.opened)
        await come_up(made)
        await until_async(lambda: is_over(again))
        (incident,) = await again.incidents()
        _, now = await made.gateway.recovery.recover(incident.incident_id, admission.ResumeRequest(), by="ops", reason="seen")
        assert now.stage is Stage.GIVEN_UP

        async def closed() -> bool:
            return (await again.incidents())[0].closed_at is not None

        await until_async(closed)


async def test_what_was_not_answered_is_answered_however_long_the_gateway_was_unavailable(tmp_path: Path) -> None:
    ledger, bad = await cut_off(tmp_path, Kind.TRIGGER, Kind.ORDER, Kind.RESPONSE)
    async with moody(tmp_path, ledger=ledger) as made:
        clock = made.gateway.catch_up.clock

        class Tomorrow:
            def now(self) -> float:
                return clock.now() + 86_400.0

        later = replace(made.gateway.catch_up, clock=Tomorrow())  # type: ignore[arg-type]
        assert await later() == 1
        await made.gateway.control.monitor.idle()
        assert len(await Agent(made, bad.opened).incidents()) == 1


async def test_a_finding_that_came_while_its_like_was_answered_is_not_answered_again_at_each_start(tmp_path: Path) -> None:
    async with moody(tmp_path) as made:
        bad = await agent(made)
        for _ in range(5):
            await made.gateway.findings.report(bad.opened.run, CRITICAL)
        ledger, told = made.ledger, len(await bad.responses())
    for _ in range(2):
        async with moody(tmp_path, ledger=ledger) as made:
            assert await come_up(made) == 0
            assert len(await Agent(made, bad.opened).responses()) == told


async def test_a_trigger_that_was_reported_is_answered_once_also_where_the_run_was_closed_since(tmp_path: Path) -> None:
    async with moody(tmp_path) as made:
        bad = await agent(made)
        whole = made.gateway.control.journal.journal
        made.gateway.control.journal.journal = Without(whole, frozenset({Kind.RESPONSE}))
        tool(made).pretend = 1
        await bad.update("paid")
        made.gateway.control.journal.journal = whole
        await made.gateway.control.runs.close(bad.run_id, by="test", reason="done")
        ledger = made.ledger
    answered = []
    for _ in range(3):
        async with moody(tmp_path, ledger=ledger) as made:
            answered.append(await come_up(made))
            assert [one.cause for one in await Agent(made, bad.opened).incidents()] == ["verify.postcondition-failed"]
    assert answered == [1, 0, 0]
