"""Each trigger set off by real calls, and beside it the honest work that looks most like it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.control.review.findings import Finding
from gateway.model.run import Mode, Rate
from gateway.model.trigger import RollbackState
from tests.support.rig import Rig, code, header
from tests.support.triggering import ELSEWHERE, INVOICE, REFUNDS, Agent, agent, entry_at, moody, tool

Behaviour = Callable[[Agent], Awaitable[object]]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Rig]:
    async with moody(tmp_path) as made:
        yield made


# --- what goes wrong -------------------------------------------------------------------------------------------------


async def writes_to_another_tenant(agent: Agent) -> None:
    await agent.call("PATCH", ELSEWHERE, {"status": "paid"})


async def reads_another_tenant_twice(agent: Agent) -> None:
    for _ in range(2):
        await agent.read(ELSEWHERE)


async def oversteps_its_scope(agent: Agent) -> None:
    await agent.refund(1)


async def does_not_listen(agent: Agent) -> None:
    for _ in range(5):
        await agent.read(INVOICE)


async def is_told_yes_by_a_tool_that_did_nothing(agent: Agent) -> None:
    agent.rig.ledger.ignore = 1
    await agent.update("paid")


async def is_told_of_a_new_version_by_a_tool_that_did_nothing(agent: Agent) -> None:
    tool(agent.rig).pretend = 1
    await agent.update("paid")


async def is_found_out_by_a_verifier(agent: Agent) -> None:
    await agent.read()
    await agent.rig.gateway.findings.report(agent.opened.run, Finding(kind="sum-off", severity="critical", evidence={}, by="verifier"))
    await agent.read()


async def goes_in_circles(agent: Agent) -> None:
    for number in range(10):
        await agent.update("paid", key=f"k{number}")


async def repeats_what_was_answered(agent: Agent) -> None:
    for number in range(4):
        for _ in range(6):
            await agent.refund(number, key=f"k{number}")


async def fails_again_and_again(agent: Agent) -> None:
    agent.rig.ledger.refuse = 5
    for number in range(5):
        await agent.refund(number)


async def takes_most_of_its_steps(agent: Agent) -> None:
    for _ in range(50):
        await agent.read()


async def writes_very_much(agent: Agent) -> None:
    for number in range(20):
        await agent.refund(number)


async def is_not_sure(agent: Agent) -> None:
    for _ in range(3):
        await agent.read(Killcord_Confidence="0.4")


async def reads_another_form(agent: Agent) -> None:
    tool(agent.rig).answers = {"data": {"id": "inv_1"}}
    await agent.read()


async def fails_beside_what_succeeded(agent: Agent) -> None:
    await agent.refund(1, Killcord_Parent_Step="pay")
    agent.rig.ledger.refuse = 1
    await agent.refund(2, Killcord_Parent_Step="pay")


async def loses_answers(agent: Agent) -> None:
    for number in range(3):
        agent.rig.ledger.drop_after_apply = 1
        await agent.refund(number)


async def is_aimed_at_what_is_another_object(agent: Agent) -> None:
    tool(agent.rig).answers = {"data": {"id": "inv_2", "status": "open"}}
    await agent.update("paid")


async def meets_a_limit(agent: Agent) -> None:
    for number in range(3):
        await agent.refund(number)


async def spreads(agent: Agent) -> None:
    for number in range(20):
        await agent.refund(number)


@dataclass(frozen=True, slots=True)
class Rogue:
    """``sent`` is how many writes reached the tool, ``next`` what the run's next write is told."""

    trigger: str
    behaviour: Behaviour
    mode: Mode
    next: str
    rollback: bool = False
    sent: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)


READ_ONLY, PAUSED, QUARANTINED, REVOKED = "run-read-only", "run-paused", "run-quarantined", "lease-revoked"

ROGUES = [
    Rogue("policy.tenant-boundary", writes_to_another_tenant, Mode.REVOKED, REVOKED, rollback=True),
    Rogue("policy.tenant-boundary", reads_another_tenant_twice, Mode.QUARANTINED, QUARANTINED),
    Rogue("policy.out-of-scope", oversteps_its_scope, Mode.READ_ONLY, READ_ONLY, asked={"scopes": ("ledger:invoice.*",)}),
    Rogue("policy.denied", does_not_listen, Mode.PAUSED, PAUSED, asked={"scopes": ("ledger:refund.*",)}),
    Rogue("verify.postcondition-failed", is_told_yes_by_a_tool_that_did_nothing, Mode.QUARANTINED, QUARANTINED, rollback=True, sent=1),
    Rogue(
        "verify.postcondition-failed",
        is_told_of_a_new_version_by_a_tool_that_did_nothing,
        Mode.QUARANTINED,
        QUARANTINED,
        rollback=True,
        sent=1,
    ),
    Rogue("verify.finding", is_found_out_by_a_verifier, Mode.QUARANTINED, QUARANTINED, rollback=True),
    Rogue("anomaly.loop", goes_in_circles, Mode.READ_ONLY, READ_ONLY, sent=9),
    Rogue("anomaly.retry-spike", repeats_what_was_answered, Mode.PAUSED, PAUSED, sent=4),
    Rogue("anomaly.retry-spike", fails_again_and_again, Mode.PAUSED, PAUSED, sent=5),
    Rogue("anomaly.step-count", takes_most_of_its_steps, Mode.READ_ONLY, READ_ONLY, asked={"limits": {"steps": 60}}),
    Rogue("anomaly.mutation-volume", writes_very_much, Mode.READ_ONLY, READ_ONLY, sent=19, asked={"limits": {"writes": 40}}),
    Rogue("uncertain.low-confidence", is_not_sure, Mode.READ_ONLY, READ_ONLY),
    Rogue("uncertain.schema-drift", reads_another_form, Mode.READ_ONLY, READ_ONLY),
    Rogue("uncertain.partial-failure", fails_beside_what_succeeded, Mode.READ_ONLY, READ_ONLY, sent=2),
    Rogue("uncertain.outcome-unknown", loses_answers, Mode.READ_ONLY, READ_ONLY, sent=3),
    Rogue("uncertain.identity", is_aimed_at_what_is_another_object, Mode.QUARANTINED, QUARANTINED, rollback=True),
    Rogue("blast.limit", meets_a_limit, Mode.READ_ONLY, READ_ONLY, sent=2, asked={"limits": {"writes": 2}}),
    Rogue("blast.rate", spreads, Mode.QUARANTINED, QUARANTINED, rollback=True, sent=19, asked={"limits": {"records": 40}}),
]


@pytest.mark.parametrize("rogue", ROGUES, ids=[f"{one.trigger}, {one.behaviour.__name__}" for one in ROGUES])
async def test_what_goes_wrong_is_contained_before_its_reply_leaves(gateway: Rig, rogue: Rogue) -> None:
    bad, other = await agent(gateway, **rogue.asked), await agent(gateway)
    await rogue.behaviour(bad)
    assert bad.mode() is rogue.mode
    assert header(bad.last, "Killcord-Mode") == rogue.mode.label
    assert [header(one, "Killcord-Mode") for one in bad.replies[:-1]].count("active") >= len(bad.replies) - 2
    tool(gateway).answers = None
    assert code(await bad.refund(999)) == rogue.next
    assert len(gateway.ledger.writes) == rogue.sent
    (incident,) = await bad.incidents()
    assert (incident.cause, incident.generation, incident.triggers) == (rogue.trigger, 1, 1)
    assert (incident.rollback is not RollbackState.NONE) is rogue.rollback
    assert incident.orders
    assert incident.evidence
    for position in incident.evidence:
        assert (await entry_at(gateway, position))["run_id"] == bad.run_id
    (order,) = [gateway.gateway.control.containment.order(name) for name in incident.orders]
    assert order is not None
    assert (order.scope.run, order.mode, order.by) == (bad.run_id, rogue.mode, f"trigger:{rogue.trigger}")
    assert (await other.refund(1)).status == 201
    assert other.mode() is Mode.ACTIVE


async def test_the_entries_tell_trigger_order_and_response_in_that_order(gateway: Rig) -> None:
    bad = await agent(gateway)
    await is_told_yes_by_a_tool_that_did_nothing(bad)
    kinds = [one["kind"] for one in await gateway.journal() if one.get("run_id") == bad.run_id]
    told = kinds.index("trigger")  # its rollback may have begun behind them
    assert kinds[told - 1 : told + 3] == ["outcome", "trigger", "order", "response"]
    (response,) = await bad.responses()
    (incident,) = await bad.incidents()
    trigger = await entry_at(gateway, response["trigger"])
    assert trigger["trigger"]["name"] == "verify.postcondition-failed"
    assert response["incident"]["incident_id"] == incident.incident_id
    assert (await entry_at(gateway, trigger["trigger"]["evidence"][-1]))["kind"] == "outcome"


# --- honest work that looks like it ------------------------------------------------------------------------------------


async def reads_another_tenant_once(agent: Agent) -> None:
    await agent.read(ELSEWHERE)


async def reads_beyond_its_scope_and_listens(agent: Agent) -> None:
    for _ in range(4):
        await agent.read()
    await agent.refund(1)


async def is_shown_the_old_state_twice(agent: Agent) -> None:
    await agent.read()
    tool(agent.rig).before = dict(agent.rig.ledger.objects)
    tool(agent.rig).stale = 3  # the snapshot, and the first two looks after the write
    await agent.update("paid")
    assert header(agent.last, "Killcord-Verification") == "passed"


async def is_overtaken_by_a_person_right_after_its_write(agent: Agent) -> None:
    tool(agent.rig).overtaken = 1
    await agent.update("paid")
    assert header(agent.last, "Killcord-Verification") == "superseded"


async def meets_an_editor_again_and_again(agent: Agent) -> None:
    for number in range(12):
        await agent.read()
        agent.rig.ledger.put("acme", "invoices", "inv_1", id="inv_1", status="held", by=f"a person, {number}")
        await agent.update(f"state-{number}")
        assert code(agent.last) == "precondition-changed"
    await agent.read()
    assert (await agent.update("paid")).status == 200


async def polls(agent: Agent) -> None:
    for _ in range(60):
        await agent.read()


async def writes_the_same_nine_times(agent: Agent) -> None:
    for number in range(9):
        assert (await agent.update("paid", key=f"k{number}")).status == 200


async def writes_alike_but_not_the_same(agent: Agent) -> None:
    for number in range(30):
        assert (await agent.refund(number)).status == 201


async def asks_again_under_its_key_after_a_timeout(agent: Agent) -> None:
    agent.rig.ledger.drop_after_apply = 1
    await agent.update("paid", key="mine")
    for _ in range(6):
        await agent.update("paid", key="mine")


async def retries_nineteen_times(agent: Agent) -> None:
    for number in range(4):
        for _ in range(5 if number else 4):
            await agent.refund(number, key=f"k{number}")
    await agent.refund(3, key="k3")


async def fails_four_times(agent: Agent) -> None:
    agent.rig.ledger.refuse = 4
    for number in range(4):
        await agent.refund(number)


async def is_told_to_wait(agent: Agent) -> None:
    tool(agent.rig).writes_as = 429
    for number in range(8):
        assert (await agent.refund(number)).status == 429
    tool(agent.rig).writes_as = None
    assert (await agent.refund(1)).status == 201


async def takes_one_step_less(agent: Agent) -> None:
    for _ in range(48):
        await agent.read()


async def writes_one_less(agent: Agent) -> None:
    for number in range(18):
        assert (await agent.refund(number)).status == 201


async def is_unsure_twice_and_sure_enough_often(agent: Agent) -> None:
    for sure in ("0.49", "0.1", "0.5", "0.50", "1", "0.9"):
        await agent.read(Killcord_Confidence=sure)


async def reads_an_error_of_another_form(agent: Agent) -> None:
    assert (await agent.read("/v1/tenants/acme/invoices/none")).status == 404


async def fails_beside_what_succeeded_under_no_common_step(agent: Agent) -> None:
    await agent.refund(1)
    agent.rig.ledger.refuse = 1
    await agent.refund(2)


async def meets_an_editor_beside_what_succeeded(agent: Agent) -> None:
    await agent.refund(1, Killcord_Parent_Step="pay")
    tool(agent.rig).writes_as = 412
    await agent.refund(2, Killcord_Parent_Step="pay")
    tool(agent.rig).writes_as = None


async def loses_two_answers(agent: Agent) -> None:
    for number in range(2):
        agent.rig.ledger.drop_after_apply = 1
        await agent.refund(number)


async def uses_up_its_limit_and_no_more(agent: Agent) -> None:
    for number in range(2):
        assert (await agent.refund(number)).status == 201


async def reaches_few_records(agent: Agent) -> None:
    for number in range(18):
        assert (await agent.refund(number)).status == 201


async def reads_what_is_not_there(agent: Agent) -> None:
    """An id that names nothing is no other object."""
    await agent.call("PUT", "/v1/tenants/acme/invoices/new", {"id": "new", "status": "draft"})
    assert agent.last.status == 200


TWINS: list[tuple[Behaviour, Mapping[str, Any]]] = [
    (reads_another_tenant_once, {}),
    (reads_beyond_its_scope_and_listens, {"scopes": ("ledger:refund.*",)}),
    (is_shown_the_old_state_twice, {}),
    (is_overtaken_by_a_person_right_after_its_write, {}),
    (meets_an_editor_again_and_again, {}),
    (polls, {}),
    (writes_the_same_nine_times, {}),
    (writes_alike_but_not_the_same, {}),
    (asks_again_under_its_key_after_a_timeout, {}),
    (retries_nineteen_times, {}),
    (fails_four_times, {}),
    (is_told_to_wait, {}),
    (takes_one_step_less, {"limits": {"steps": 60}}),
    (writes_one_less, {"limits": {"writes": 40}}),
    (is_unsure_twice_and_sure_enough_often, {}),
    (reads_an_error_of_another_form, {}),
    (fails_beside_what_succeeded_under_no_common_step, {}),
    (meets_an_editor_beside_what_succeeded, {}),
    (loses_two_answers, {}),
    (uses_up_its_limit_and_no_more, {"limits": {"writes": 3}}),
    (reaches_few_records, {"limits": {"records": 40}}),
    (reads_what_is_not_there, {}),
]


@pytest.mark.parametrize(("behaviour", "asked"), TWINS, ids=[one[0].__name__ for one in TWINS])
async def test_honest_work_that_looks_like_it_continues(gateway: Rig, behaviour: Behaviour, asked: Mapping[str, Any]) -> None:
    good = await agent(gateway, **asked)
    await behaviour(good)
    assert good.mode() is Mode.ACTIVE
    assert {header(one, "Killcord-Mode") for one in good.replies} == {"active"}
    assert await good.incidents() == []
    assert (await good.refund(1_000)).status == 201


async def test_a_rate_is_no_limit_of_blast_radius(tmp_path: Path) -> None:
    async with moody(tmp_path) as made:
        quick = await agent(made, limits={"rate": Rate(2, 60.0)})
        codes = [code(await quick.read()) for _ in range(12)]
        assert "rate-limited" in codes
        assert quick.mode() is Mode.ACTIVE
        assert await quick.incidents() == []


async def test_a_refund_that_does_not_say_its_amount_meets_no_limit(gateway: Rig) -> None:
    vague = await agent(gateway)
    assert code(await vague.call("POST", REFUNDS, {"note": "no amount"})) == "blast-radius"
    assert (vague.mode(), await vague.incidents()) == (Mode.ACTIVE, [])


async def test_a_trigger_that_is_off_never_fires(tmp_path: Path) -> None:
    async with moody(tmp_path, extra="triggers: {anomaly.loop: off}") as made:
        circling = await agent(made)
        await goes_in_circles(circling)
        assert {one.status for one in circling.replies} == {200}
        assert circling.mode() is Mode.ACTIVE
