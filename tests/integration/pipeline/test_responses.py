"""What follows on a trigger over time: one incident a cause, told in few entries, strict while its order stands, and no flapping."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.control.review.findings import Finding
from gateway.model.run import Mode
from gateway.model.trigger import Measure, RollbackState, Trigger, Verdict
from tests.support.policies import POLICIES
from tests.support.rig import Rig, code, header
from tests.support.triggering import Agent, agent, moody, tool


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Rig]:
    async with moody(tmp_path) as made:
        yield made


async def found(one: Agent, severity: str, kind: str = "sum-off") -> str | None:
    finding = Finding(kind=kind, severity=severity, evidence={"n": 1}, by="verifier")
    return (await one.rig.gateway.findings.report(one.opened.run, finding)).incident_id


async def circle(one: Agent, name: str) -> None:
    for number in range(10):
        await one.update("paid", key=f"{name}-{number}")


async def release(one: Agent, order_id: str) -> None:
    await one.rig.gateway.control.containment.release(order_id, reason="a person looked", by="ops")


async def test_later_triggers_of_a_cause_join_its_incident(gateway: Rig) -> None:
    bad = await agent(gateway)
    names = [await found(bad, "warning") for _ in range(4)]
    assert len(set(names)) == 1
    (incident,) = await bad.incidents()
    assert incident.triggers == 4
    assert len(incident.orders) == 1
    assert len(incident.evidence) == len(set(incident.evidence)) >= 3


async def test_other_causes_are_other_incidents(gateway: Rig) -> None:
    bad = await agent(gateway)
    await found(bad, "warning")
    await bad.read(Killcord_Confidence="0.1")
    await bad.read(Killcord_Confidence="0.1")
    await bad.read(Killcord_Confidence="0.1")
    incidents = await bad.incidents()
    assert sorted(one.cause for one in incidents) == ["uncertain.low-confidence", "verify.finding"]
    assert len({order for one in incidents for order in one.orders}) == 2


async def test_a_graver_finding_takes_more_away_within_the_same_incident(gateway: Rig) -> None:
    bad = await agent(gateway)
    first = await found(bad, "warning")
    assert bad.mode() is Mode.READ_ONLY
    second = await found(bad, "critical")
    assert (second, bad.mode()) == (first, Mode.QUARANTINED)
    (incident,) = await bad.incidents()
    assert (incident.action, incident.rollback is RollbackState.NONE, len(incident.orders)) == (Measure.QUARANTINE, False, 2)


async def test_a_milder_finding_softens_nothing_while_the_order_stands(gateway: Rig) -> None:
    bad = await agent(gateway)
    await found(bad, "critical")
    await found(bad, "warning")
    (incident,) = await bad.incidents()
    assert (bad.mode(), incident.action, incident.verdict) == (Mode.QUARANTINED, Measure.QUARANTINE, Verdict.CONTAINMENT)
    assert (incident.rollback is RollbackState.NONE, incident.triggers, len(incident.orders)) == (False, 2, 1)
    assert "critical" in incident.why


async def test_an_incident_is_not_recoverable_again_because_its_run_is_unsure_once_more(gateway: Rig) -> None:
    bad = await agent(gateway)
    for _ in range(4):
        await bad.read(Killcord_Confidence="0.1")
    (incident,) = await bad.incidents()
    assert (bad.mode(), incident.action, incident.verdict) == (Mode.READ_ONLY, Measure.READ_ONLY, Verdict.CONTAINMENT)


async def test_after_a_release_the_same_behaviour_is_contained_again_within_the_same_incident(gateway: Rig) -> None:
    bad = await agent(gateway)
    await circle(bad, "first")
    (before,) = await bad.incidents()
    await release(bad, before.orders[0])
    assert bad.mode() is Mode.ACTIVE
    for number in range(9):
        assert (await bad.update("paid", key=f"again-{number}")).status == 200
    assert code(await bad.update("paid", key="again-9")) == "run-read-only"
    (after,) = await bad.incidents()
    assert (after.incident_id, after.orders[0], len(after.orders)) == (before.incident_id, before.orders[0], 2)
    assert bad.mode() is Mode.READ_ONLY


async def test_a_thousand_repeats_while_contained_are_reported_in_few_entries(gateway: Rig) -> None:
    bad = await agent(gateway)
    tool(gateway).answers = {"data": {"id": "inv_1"}}
    for _ in range(1_000):
        assert (await bad.read()).status == 200
    (incident,) = await bad.incidents()
    assert incident.triggers >= 500
    assert len(await bad.triggers()) <= 12
    assert len(await bad.responses()) <= 12
    assert len(await gateway.journal(kind="order")) == 1


async def test_triggers_that_take_turns_while_contained_are_reported_in_few_entries(gateway: Rig) -> None:
    """Being unsure is told at the first and at the third call: two answers, again and again, and neither is new."""
    bad = await agent(gateway)
    for _ in range(300):
        await bad.read(Killcord_Confidence="0.1")
    assert bad.mode() is Mode.READ_ONLY
    assert len(await bad.triggers()) <= 2 * 9
    severe = await agent(gateway)
    for _ in range(50):
        await found(severe, "critical")
        await found(severe, "warning")
    assert len(await severe.triggers()) <= 2 * 8


async def test_a_finding_about_a_closed_run_is_an_incident_nevertheless(gateway: Rig) -> None:
    done = await agent(gateway)
    await done.refund(1)
    await gateway.gateway.control.runs.close(done.run_id, reason="done", by="test")
    assert await found(done, "critical") is not None
    (incident,) = await done.incidents()
    assert (incident.rollback is RollbackState.NONE, len(incident.orders)) == (False, 1)


async def test_a_trigger_of_a_run_that_it_is_unknown_is_no_incident(gateway: Rig) -> None:
    assert await gateway.gateway.control.monitor.respond("run_nobody", 1, Trigger(name="anomaly.loop", at=1.0)) is None
    gateway.gateway.control.monitor.enqueue("run_nobody", 1, Trigger(name="anomaly.loop", at=1.0))
    await gateway.gateway.control.monitor.idle()
    assert not [one for one in await gateway.journal() if one["kind"] in ("order", "response")]


async def test_another_generation_has_incidents_of_its_own(gateway: Rig) -> None:
    bad = await agent(gateway)
    await circle(bad, "first")
    (first,) = await bad.incidents()
    second = await gateway.gateway.control.monitor.respond(bad.run_id, 2, Trigger(name="anomaly.loop", at=1.0, effect="write"))
    assert second is not None
    assert (second.generation, second.cause, second.incident_id == first.incident_id) == (2, "anomaly.loop", False)


OVERRIDE = """package killcord.response

override["anomaly.loop"] := object.union(contain("pause", "All of its agent's runs wait."), {"scope": {"agent": input.run.agent_id}})

override["uncertain.schema-drift"] := recoverable("none", "This tool's form changes often.")

override["uncertain.low-confidence"] := contain("no_fanout", "It continues alone.")
"""


async def test_an_override_answers_with_another_scope_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    (next(folder.rglob("response")) / "ours.rego").write_text(OVERRIDE)
    async with moody(tmp_path, policy=f"{{engine: embedded, path: {folder}}}") as made:
        bad, sibling, other = await agent(made), await agent(made), await agent(made, agent_id="another")
        tool(made).answers = {"data": {"id": "inv_1"}}
        await bad.read()
        tool(made).answers = None
        assert (bad.mode(), await bad.incidents()) == (Mode.ACTIVE, [])
        assert (await bad.responses())[-1]["action"] == "none"
        await bad.read(Killcord_Confidence="0.1")
        assert (await bad.refund(5)).status == 201
        assert code(await bad.call("POST", "/v1/tenants/acme/jobs", {"kind": "index"})) == "fanout-blocked"
        await circle(bad, "ours")
        assert [one.mode() for one in (bad, sibling, other)] == [Mode.PAUSED, Mode.PAUSED, Mode.ACTIVE]
        assert header(bad.last, "Killcord-Mode") == "paused"
