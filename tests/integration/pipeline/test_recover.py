"""An incident driven to its end, over a real store and a real HTTP tool; and the gateway abandoned at each arrow."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gateway.clients.keys.vault import TenantVault
from gateway.control.review.findings import Finding
from gateway.control.runs.runs import LeasedRun
from gateway.core.authorization import admission
from gateway.core.authorization.admission import TooWide
from gateway.core.codec import record
from gateway.core.incident.recovery import Stage
from gateway.model.effect import State
from gateway.model.review import Resolution
from gateway.model.trigger import Incident, RollbackState
from tests.support import driven
from tests.support.driven import ask, found_unsafe, is_closed, known, recover, rest, rolled, told
from tests.support.failpoints import Crashed, Failpoints
from tests.support.journaling import typed
from tests.support.ledger import Ledger
from tests.support.rig import Rig, code, header, until, until_async

INVOICE = "/v1/tenants/acme/invoices/inv_1"
REFUNDS = "/v1/tenants/acme/refunds"
REFUND = {"amount": 5}


async def generation(at: Rig, run: LeasedRun) -> int:
    found = await at.gateway.resources.store.registry.run(run.run.run_id)
    assert found is not None
    return found.generation


async def at_work(at: Rig) -> LeasedRun:
    """A run that refunded, was found well, and then went wrong on an invoice."""
    run = await at.open()
    assert (await at.call(run.lease, "POST", REFUNDS, REFUND, Killcord_Step="refund")).status == 201
    await at.gateway.recovery.checkpoints.take(run.run, state_ref="wf@1", label="refunded", by="orchestrator", reason="test")
    assert (await at.call(run.lease, "PATCH", INVOICE, {"status": "void"}, Killcord_Step="void")).status == 200
    return run


async def changes(at: Rig, run: LeasedRun, *kinds: str) -> list[str]:
    """What the journal tells of the run, as ``kind change``."""
    return [f"{entry['kind']} {entry.get('change', '')}" for kind in kinds for entry in await at.journal(run.run.run_id, kind)]


def status(at: Rig) -> object:
    return at.ledger.get("acme", "invoices", "inv_1")["status"]


# --- the whole way ---------------------------------------------------------------------------------------------------


async def test_an_incident_is_contained_compensated_and_resumed_with_tighter_rights(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run)
    assert await recover(gateway, incident.incident_id, require_approval=("ledger:invoice.*",), limits={"writes": 9}) is Stage.RESUMED
    assert (status(gateway), gateway.ledger.count("refunds")) == ("open", 1)
    after = await gateway.gateway.resources.store.registry.run(run.run.run_id)
    assert after is not None
    assert (after.generation, after.require_approval, after.limits.writes) == (2, ("ledger:invoice.*",), 9)
    lease = gateway.gateway.resources.keys.sign(
        gateway.gateway.control.runs.lease_of(after, gateway.gateway.resources.clock.now()), now=gateway.gateway.resources.clock.now()
    )
    again = await gateway.call(lease, "POST", REFUNDS, REFUND, Killcord_Step="refund")
    assert (again.status, header(again, "idempotent-replayed"), gateway.ledger.count("refunds")) == (201, "true", 1)
    held = await gateway.call(lease, "PATCH", INVOICE, {"status": "void"}, Killcord_Step="void")
    assert code(held) == "approval-required", "what was compensated is made again, and a person is asked now"
    assert code(await gateway.call(run.lease, "GET", INVOICE)) == "lease-revoked"
    closed = await known(gateway, incident.incident_id)
    assert closed.closed_at is not None
    assert closed.rollback is RollbackState.CLEAN
    assert closed.recovery is not None
    assert closed.recovery["by"] == "ops"


async def test_a_run_that_nobody_holds_any_more_is_held_first(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run)
    for order in incident.orders:
        await gateway.gateway.control.containment.release(order, reason="too early", by="ops")
    assert await recover(gateway, incident.incident_id) is Stage.RESUMED
    (held,) = [made for made in await gateway.journal(run.run.run_id, "order") if made["by"] == "ops" and made["change"] == "made"]
    assert (held["order"]["mode"], held["reason"]) == ("quarantined", f"recovery of {incident.incident_id}: mended")
    assert status(gateway) == "open"


async def test_an_incident_whose_rollback_is_clean_already_is_only_resumed(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run, driven.CRITICAL)
    await until_async(lambda: rolled(gateway, run.run.run_id, "clean"))
    sent = len(gateway.ledger.writes)
    assert (await told(gateway, incident.incident_id)).stage is Stage.RESUME
    assert await recover(gateway, incident.incident_id) is Stage.RESUMED
    assert (len(gateway.ledger.writes), len(await gateway.gateway.resources.store.rollbacks.rollbacks(run=run.run.run_id))) == (sent, 1)


async def test_asked_for_twice_at_once_it_happens_once(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run)
    stages = await asyncio.gather(*(recover(gateway, incident.incident_id) for _ in range(4)))
    assert set(stages) == {Stage.RESUMED}
    assert await generation(gateway, run) == 2
    assert [write.state for write in await gateway.writes(run.run.run_id)] == [State.STANDING, State.COMPENSATED, State.STANDING]
    story = await changes(gateway, run, "rollback", "run")
    assert [story.count(one) for one in ("rollback started", "rollback ended", "run resumed", "rollback closed")] == [1, 1, 1, 1]
    before = len(await gateway.journal())
    assert await recover(gateway, incident.incident_id) is Stage.RESUMED
    assert len(await gateway.journal()) == before + 1, "of one that is over nothing is said but the barrier of this test"


async def test_two_incidents_of_one_run_are_one_way_back(gateway: Rig) -> None:
    run = await at_work(gateway)
    await gateway.call(run.lease, "PATCH", "/v1/tenants/globex/invoices/inv_9", {"status": "stolen"})
    await found_unsafe(gateway, run, driven.CRITICAL)
    both = await gateway.gateway.resources.store.incidents.incidents(run=run.run.run_id)
    assert len({one.cause for one in both}) == 2
    await asyncio.gather(*(recover(gateway, one.incident_id) for one in both))
    assert await generation(gateway, run) == 2
    for one in both:
        await until_async(partial(is_closed, gateway, one.incident_id))


# --- where what is wrong began ---------------------------------------------------------------------------------------


async def wrong_before_the_checkpoint(at: Rig) -> tuple[LeasedRun, str]:
    """A run that voided an invoice, was found well, and then refunded; gives the voiding's outcome."""
    run = await at.open()
    assert (await at.call(run.lease, "PATCH", INVOICE, {"status": "void"}, Killcord_Step="void")).status == 200
    await at.gateway.recovery.checkpoints.take(run.run, state_ref="wf@1", label="voided", by="orchestrator", reason="test")
    assert (await at.call(run.lease, "POST", REFUNDS, REFUND, Killcord_Step="refund")).status == 201
    (voided, _) = await at.writes(run.run.run_id)
    return run, str(voided.outcome)


@pytest.mark.parametrize("named", ["entries", "object"])
@pytest.mark.parametrize("finding", [driven.MILD, driven.CRITICAL], ids=["mild", "critical"])
async def test_what_a_finding_is_about_is_compensated_although_a_checkpoint_was_taken_after_it(
    gateway: Rig, finding: Finding, named: str
) -> None:
    run, bad = await wrong_before_the_checkpoint(gateway)
    evidence: dict[str, object] = {"entries": [bad]} if named == "entries" else {"object": "invoice:inv_1"}
    incident = await found_unsafe(gateway, run, replace(finding, evidence=evidence))
    assert bad in incident.evidence or named == "object"
    assert await recover(gateway, incident.incident_id, checkpoint="start" if finding is driven.MILD else None) is Stage.RESUMED
    assert (status(gateway), gateway.ledger.count("refunds")) == ("open", 0)


async def test_what_a_rollback_to_the_start_left_to_a_person_does_not_keep_the_run_from_continuing_there(gateway: Rig) -> None:
    run = await gateway.open()
    assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": "void"}, Killcord_Step="void")).status == 200
    gateway.ledger.put("acme", "invoices", "inv_1", status="disputed")
    incident = await found_unsafe(gateway, run, replace(driven.CRITICAL, evidence={"object": "invoice:inv_1"}))
    await until_async(lambda: rolled(gateway, run.run.run_id, "residue"))
    assert await recover(gateway, incident.incident_id) is Stage.WAITS
    (task,) = await gateway.gateway.resources.store.registry.tasks(run=run.run.run_id)
    assert [(one.what, one.name) for one in (await told(gateway, incident.incident_id)).waits] == [("task", task.task_id)]
    await gateway.gateway.recovery.tasks.resolve(task.task_id, resolution="accepted", note="seen", by="a person")
    assert await rest(gateway, incident.incident_id, Stage.RESUMED) is Stage.RESUMED
    assert status(gateway) == "disputed"


async def test_a_finding_that_names_nothing_leads_to_what_somebody_took_and_says_what_stands_from_before(gateway: Rig) -> None:
    run, _ = await wrong_before_the_checkpoint(gateway)
    incident = await found_unsafe(gateway, run, driven.CRITICAL)
    await until_async(lambda: rolled(gateway, run.run.run_id, "clean"))
    (taken,) = await gateway.gateway.resources.store.checkpoints.checkpoints(run.run.run_id)
    now = await told(gateway, incident.incident_id)
    assert (now.stage, now.checkpoint) == (Stage.RESUME, taken.checkpoint_id)
    assert now.caution is not None
    assert "names no entry or object of the run" in now.caution
    assert "1 earlier effect(s) stand" in now.caution
    assert await recover(gateway, incident.incident_id, checkpoint=None) is Stage.RESUMED
    assert (status(gateway), gateway.ledger.count("refunds")) == ("void", 0)


async def test_anyone_who_names_an_earlier_place_has_more_compensated_than_the_response_did(gateway: Rig) -> None:
    run, _ = await wrong_before_the_checkpoint(gateway)
    incident = await found_unsafe(gateway, run, driven.CRITICAL)
    await until_async(lambda: rolled(gateway, run.run.run_id, "clean"))
    assert status(gateway) == "void"
    assert await recover(gateway, incident.incident_id, checkpoint="start") is Stage.RESUMED
    assert (status(gateway), gateway.ledger.count("refunds")) == ("open", 0)
    back = [one.to for one in await gateway.gateway.resources.store.rollbacks.rollbacks(run=run.run.run_id)]
    assert len(back) == 2
    assert back[-1] == "start"


async def test_where_nobody_took_a_checkpoint_and_the_finding_names_nothing_a_person_names_the_place(gateway: Rig) -> None:
    run = await gateway.open()
    assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": "void"})).status == 200
    incident = await found_unsafe(gateway, run)
    assert await recover(gateway, incident.incident_id) is Stage.WAITS
    now = await told(gateway, incident.incident_id)
    assert "there is no explicit checkpoint before it: name the target" in now.why
    assert [one.what for one in now.waits] == ["checkpoint"]
    assert list(await gateway.gateway.resources.store.rollbacks.rollbacks(run=run.run.run_id)) == []
    assert await recover(gateway, incident.incident_id, checkpoint="start") is Stage.RESUMED
    assert status(gateway) == "open"


# --- where a person has to decide ------------------------------------------------------------------------------------


async def edited_meanwhile(at: Rig) -> tuple[LeasedRun, Incident, str]:
    """A run whose invoice a person changed since: what is left of it is a task."""
    run = await at_work(at)
    at.ledger.put("acme", "invoices", "inv_1", status="disputed")
    incident = await found_unsafe(at, run)
    assert await recover(at, incident.incident_id) is Stage.WAITS
    (task,) = await at.gateway.resources.store.registry.tasks(run=run.run.run_id)
    assert task.task_id in (await told(at, incident.incident_id)).why
    return run, incident, task.task_id


async def test_it_waits_for_a_task_and_continues_automatically_once_that_is_resolved(gateway: Rig) -> None:
    run, incident, task_id = await edited_meanwhile(gateway)
    assert await generation(gateway, run) == 1
    await gateway.gateway.recovery.tasks.resolve(task_id, resolution="done", note="seen", by="a person")
    assert await rest(gateway, incident.incident_id, Stage.RESUMED) is Stage.RESUMED
    assert status(gateway) == "disputed", "what a person did stays"


async def test_a_run_with_no_sound_checkpoint_says_why_and_takes_nothing_back(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.fail_after_apply = 1
    await gateway.call(run.lease, "POST", REFUNDS, REFUND)
    (unknown,) = await gateway.writes(run.run.run_id)
    late = str(unknown.outcome)
    incident = await found_unsafe(gateway, run, replace(driven.MILD, evidence={"entry": late}))
    assert await recover(gateway, incident.incident_id) is Stage.WAITS
    said = (await told(gateway, incident.incident_id)).why
    assert said.startswith("not ready for autonomous recovery: The run has no usable checkpoint before its first bad entry: refund.create")
    assert said.endswith("is of unknown outcome.")
    assert list(await gateway.gateway.resources.store.rollbacks.rollbacks(run=run.run.run_id)) == []


async def test_a_checkpoint_that_is_invalid_is_said_and_another_may_be_named(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run)
    assert await recover(gateway, incident.incident_id, checkpoint="chk_404") is Stage.WAITS
    assert "neither a checkpoint of run" in (await told(gateway, incident.incident_id)).why
    assert await recover(gateway, incident.incident_id, checkpoint="start") is Stage.RESUMED
    assert (status(gateway), gateway.ledger.count("refunds")) == ("open", 0)


async def test_an_unsound_state_waits_and_is_found_sound_without_being_told(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run, driven.CRITICAL)
    await until_async(lambda: rolled(gateway, run.run.run_id, "clean"))
    gateway.ledger.put("acme", "invoices", "inv_1", status="void", amount=10)
    assert await recover(gateway, incident.incident_id) is Stage.WAITS
    assert "the state is not verified: invoice:inv_1" in (await told(gateway, incident.incident_id)).why
    gateway.ledger.put("acme", "invoices", "inv_1", status="open", amount=10)
    gateway.gateway.control.supervisor.every(0.05, "rollbacks", gateway.gateway.recovery.tick)
    assert await rest(gateway, incident.incident_id, Stage.RESUMED) is Stage.RESUMED
    assert await generation(gateway, run) == 2
    (task,) = await gateway.gateway.resources.store.registry.tasks(run=run.run.run_id)
    assert (task.resolution, task.resolved_by) == (Resolution.NOT_NEEDED, "gateway"), "nobody has to look at it any more"


@pytest.mark.parametrize("word", ["done", "accepted", "not_needed"])
async def test_a_restored_object_that_a_person_edited_is_theirs_once_they_report_it(gateway: Rig, word: str) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run, driven.CRITICAL)
    await until_async(lambda: rolled(gateway, run.run.run_id, "clean"))
    gateway.ledger.put("acme", "invoices", "inv_1", status="disputed", amount=10)
    assert await recover(gateway, incident.incident_id) is Stage.WAITS
    (wait,) = (await told(gateway, incident.incident_id)).waits
    await until_async(lambda: gateway.gateway.recovery.tasks.registry.task(str(wait.name)))
    (task,) = await gateway.gateway.resources.store.registry.tasks(run=run.run.run_id)
    assert (wait.what, wait.name) == ("task", task.task_id)
    assert f"killcord tasks resolve {task.task_id}" in wait.how
    assert task.evidence is not None
    assert task.evidence.now == '"v4"'
    gateway.ledger.put("acme", "invoices", "inv_1", status="disputed", amount=11)
    await gateway.gateway.recovery.tasks.resolve(task.task_id, resolution=word, note="seen", by="a person")
    assert await rest(gateway, incident.incident_id, Stage.RESUMED) is Stage.RESUMED
    assert status(gateway) == "disputed"


async def test_an_object_that_a_person_corrected_in_their_own_way_is_not_held_against_what_was_restored(gateway: Rig) -> None:
    run = await at_work(gateway)
    gateway.ledger.put("acme", "invoices", "inv_1", status="disputed", amount=10)
    assert (await gateway.call(run.lease, "GET", INVOICE)).status == 200
    assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": "settled"}, Killcord_Step="settle")).status == 200
    incident = await found_unsafe(gateway, run, driven.CRITICAL)
    await until_async(lambda: rolled(gateway, run.run.run_id, "residue"))
    assert status(gateway) == "disputed", "what came after the person's edit was put back; what came before it is the person's"
    assert await recover(gateway, incident.incident_id) is Stage.WAITS
    (task,) = await gateway.gateway.resources.store.registry.tasks(run=run.run.run_id)
    gateway.ledger.put("acme", "invoices", "inv_1", status="open", amount=10)
    await gateway.gateway.recovery.tasks.resolve(task.task_id, resolution="done", note="opened it again", by="a person")
    assert await rest(gateway, incident.incident_id, Stage.RESUMED) is Stage.RESUMED
    assert status(gateway) == "open"


async def test_a_tool_that_cannot_be_looked_at_proves_nothing(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run, driven.CRITICAL)
    await until_async(lambda: rolled(gateway, run.run.run_id, "clean"))
    gateway.ledger.down = True
    assert await recover(gateway, incident.incident_id) is Stage.WAITS
    assert "the state is not verified: invoice:inv_1: ledger cannot show the object" in (await told(gateway, incident.incident_id)).why
    gateway.ledger.down = False
    await gateway.gateway.recovery.recover.proceed(incident.incident_id)
    assert await rest(gateway, incident.incident_id) is Stage.RESUMED


async def test_of_a_tenant_that_was_forgotten_it_says_that_nothing_can_be_looked_at(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run, driven.CRITICAL)
    await until_async(lambda: rolled(gateway, run.run.run_id, "clean"))
    vault = gateway.gateway.findings.vault
    assert isinstance(vault, TenantVault)
    await vault.forget("acme")
    assert await recover(gateway, incident.incident_id) is Stage.WAITS
    assert (await told(gateway, incident.incident_id)).why.endswith("cannot be read any more")


async def test_what_is_decided_while_somebody_looks_is_read_again(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run, driven.CRITICAL)
    await until_async(lambda: rolled(gateway, run.run.run_id, "clean"))
    gateway.ledger.put("acme", "invoices", "inv_1", status="void", amount=10)
    assert await recover(gateway, incident.incident_id) is Stage.WAITS
    driving = gateway.gateway.recovery.recover._driven[incident.incident_id]
    await until(lambda: not driving.busy)
    go_on, seen = gateway.gateway.recovery.recover.proceed, len(gateway.ledger.seen)
    gateway.ledger.hold = asyncio.Event()
    looking = asyncio.ensure_future(go_on(incident.incident_id))
    await until(lambda: len(gateway.ledger.seen) > seen)
    await go_on(incident.incident_id)
    gateway.ledger.hold.set()
    await looking
    assert len(gateway.ledger.seen) == seen + 2


async def test_a_request_for_more_than_the_run_has_is_refused_before_anything_is_done(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run)
    with pytest.raises(TooWide):
        await recover(gateway, incident.incident_id, scopes=("crm:*",))
    assert (await known(gateway, incident.incident_id)).recovery is None


# --- what people do meanwhile ----------------------------------------------------------------------------------------


async def test_anyone_who_resumes_by_hand_ends_it_and_closes_the_incident(gateway: Rig) -> None:
    run, incident, _ = await edited_meanwhile(gateway)
    await gateway.gateway.recovery.resume(run.run.run_id, admission.ResumeRequest(), by="ops", reason="by hand")
    assert await rest(gateway, incident.incident_id) is Stage.RESUMED
    await until_async(lambda: is_closed(gateway, incident.incident_id))
    assert await generation(gateway, run) == 2
    assert (await changes(gateway, run, "run")).count("run resumed") == 1


async def test_anyone_who_closes_the_run_gives_it_up_and_closes_the_incident(gateway: Rig) -> None:
    run, incident, task_id = await edited_meanwhile(gateway)
    await gateway.gateway.control.runs.close(run.run.run_id, by="ops", reason="not worth it")
    await until_async(lambda: is_closed(gateway, incident.incident_id))
    await gateway.gateway.recovery.tasks.resolve(task_id, resolution="done", note="seen", by="a person")
    assert await recover(gateway, incident.incident_id) is Stage.GIVEN_UP
    assert await generation(gateway, run) == 1


async def test_a_rollback_that_a_person_stopped_waits_for_one(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run)
    gateway.ledger.hold = asyncio.Event()
    await ask(gateway, incident.incident_id)
    await until_async(lambda: rolled(gateway, run.run.run_id, "running"))
    (rollback,) = await gateway.gateway.resources.store.rollbacks.rollbacks(run=run.run.run_id)
    stopping = asyncio.ensure_future(gateway.gateway.recovery.rollbacks.stop(rollback.rollback_id, reason="wait", by="ops"))
    gateway.ledger.hold.set()
    await stopping
    assert await rest(gateway, incident.incident_id) is Stage.WAITS
    assert "is stopped: a person has to continue it" in (await told(gateway, incident.incident_id)).why
    await gateway.gateway.recovery.rollbacks.resume(rollback.rollback_id, reason="continue", by="ops")
    assert await rest(gateway, incident.incident_id, Stage.RESUMED) is Stage.RESUMED
    assert status(gateway) == "open"


async def test_what_the_rollback_says_of_its_incident_does_not_undo_what_was_asked(gateway: Rig) -> None:
    run = await at_work(gateway)
    incident = await found_unsafe(gateway, run)
    old = await known(gateway, incident.incident_id)
    assert await recover(gateway, incident.incident_id) is Stage.RESUMED
    late = {"kind": "rollback", "change": "ended", "run_id": run.run.run_id, "ts": "2026-01-01T00:00:00.000000Z", "tenant": "acme"}
    await gateway.gateway.resources.store.journal.append(typed({**late, "incident": record.INCIDENT.journal(old)}))
    after = await known(gateway, incident.incident_id)
    assert after.recovery is not None
    assert after.closed_at is not None


# --- cut off at each arrow -------------------------------------------------------------------------------------------


def corrected(ledger: Ledger) -> list[str]:
    """What was sent to take the run's changes back."""
    return [one.path for one in ledger.writes if one.method == "PUT"]


async def cut_off(folder: Path, at_point: int) -> str:
    """Drive an incident to its end with a gateway that is cut off at a point, and another that comes up after it; says where that was.

    Nothing is done twice, whatever the point.
    """
    ledger, points = Ledger(), Failpoints()
    ledger.put("acme", "invoices", "inv_1", status="open", amount=10)
    async with driven.come_up(folder, ledger, points) as first:
        run = await at_work(first)
        incident = await found_unsafe(first, run)
        for order in incident.orders:
            await first.gateway.control.containment.release(order, reason="too early", by="ops")
        points.arm(at_point)
        with suppress(Crashed):
            await ask(first, incident.incident_id)
        await until_async(lambda: either(first, incident.incident_id, points))
    async with driven.come_up(folder, ledger) as second:
        if (await known(second, incident.incident_id)).recovery is None:
            await ask(second, incident.incident_id)  # anyone who asked got no answer
        assert await rest(second, incident.incident_id, Stage.RESUMED) is Stage.RESUMED
        await until_async(lambda: is_closed(second, incident.incident_id))
        story = await changes(second, run, "rollback", "run")
        assert [story.count(one) for one in ("rollback started", "rollback ended", "run resumed", "rollback closed")] == [1, 1, 1, 1]
        assert (status(second), ledger.count("refunds"), corrected(ledger)) == ("open", 1, [INVOICE]), points.where
        assert await generation(second, run) == 2
    return points.where


async def either(at: Rig, incident_id: str, points: Failpoints) -> bool:
    return bool(points.where) or await is_closed(at, incident_id)


async def test_wherever_the_gateway_is_cut_off_the_next_one_continues_and_nothing_is_done_twice(tmp_path: Path) -> None:
    reached: list[str] = []
    while where := await cut_off(tmp_path / str(len(reached)), len(reached) + 1):
        reached.append(where)
    arrows = ("rollback recover", "order made", "rollback started", "intent", "outcome", "rollback ended", "run resumed", "rollback closed")
    assert {f"{side} {arrow}" for arrow in arrows for side in ("before", "after")} <= set(reached)


async def test_between_any_two_arrows_the_gateway_may_be_another_one(tmp_path: Path) -> None:
    ledger = Ledger()
    for name in ("inv_1", "inv_2"):
        ledger.put("acme", "invoices", name, status="open")
    async with driven.come_up(tmp_path, ledger) as at:
        run = await at_work(at)
        assert (await at.call(run.lease, "PATCH", INVOICE.replace("inv_1", "inv_2"), {"status": "void"})).status == 200
        ledger.put("acme", "invoices", "inv_1", status="disputed")
        incident_id = (await found_unsafe(at, run)).incident_id
    async with driven.come_up(tmp_path, ledger) as at:
        assert await recover(at, incident_id) is Stage.WAITS
        (task,) = await at.gateway.resources.store.registry.tasks(run=run.run.run_id)
    async with driven.come_up(tmp_path, ledger) as at:
        assert (await told(at, incident_id)).why == f"open tasks: {task.task_id}"
        ledger.put("acme", "invoices", "inv_2", status="void")
        await at.gateway.recovery.tasks.resolve(task.task_id, resolution="done", note="seen", by="a person")
        await until_async(lambda: unsound(at, incident_id))
    async with driven.come_up(tmp_path, ledger) as at:
        assert await rest(at, incident_id) is Stage.WAITS
        assert "invoice:inv_2" in (await told(at, incident_id)).why
        ledger.put("acme", "invoices", "inv_2", status="open")
    async with driven.come_up(tmp_path, ledger) as at:
        assert await rest(at, incident_id, Stage.RESUMED) is Stage.RESUMED
    async with driven.come_up(tmp_path, ledger) as at:
        await until_async(lambda: is_closed(at, incident_id))
        assert await generation(at, run) == 2
        assert len(corrected(ledger)) == 1, "inv_2 was put back once, inv_1 is the person's"


async def unsound(at: Rig, incident_id: str) -> bool:
    return "not verified" in (await told(at, incident_id)).why


async def test_a_crash_between_a_resume_and_its_incidents_end_is_made_good(tmp_path: Path) -> None:
    ledger, points = Ledger(), Failpoints()
    ledger.put("acme", "invoices", "inv_1", status="open")
    async with driven.come_up(tmp_path, ledger, points) as at:
        run = await at_work(at)
        incident_id = (await found_unsafe(at, run)).incident_id
        points.arm(2)
        with pytest.raises(Crashed, match="after run resumed"):
            await at.gateway.recovery.resume(run.run.run_id, admission.ResumeRequest(), by="ops", reason="by hand")
    async with driven.come_up(tmp_path, ledger) as at:
        assert await is_closed(at, incident_id), "though nobody asked for its recovery"
