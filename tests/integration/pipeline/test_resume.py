"""Contained, perhaps rolled back, and resumed: over a real store and a real HTTP tool."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.app import replay
from gateway.control.runs.checkpoints import NotVerified, UnknownCheckpoint
from gateway.control.runs.resume import CannotResume, NotReady, ResumedRun
from gateway.control.runs.runs import LeasedRun
from gateway.core.authorization import admission
from gateway.core.authorization.admission import TooWide
from gateway.core.codec import record
from gateway.model.call import Reply
from gateway.model.effect import State, Write
from gateway.model.rollback import Checkpoint, RollbackStatus
from gateway.model.run import Mode, Scope
from gateway.stores.sqlite.rebuilding import rebuild
from tests.support import rig
from tests.support.rig import Rig, code, header, until, until_async

INVOICE = "/v1/tenants/acme/invoices/inv_1"
REFUNDS = "/v1/tenants/acme/refunds"
REFUND = {"amount": 5}


async def checkpoint(at: Rig, run: LeasedRun, label: str | None = None) -> Checkpoint:
    return await at.gateway.recovery.checkpoints.take(run.run, state_ref="wf@1", label=label, by="orchestrator", reason="test")


async def resume(at: Rig, run: LeasedRun, checkpoint: str | None = None, **asked: Any) -> ResumedRun:
    request = admission.ResumeRequest(checkpoint=checkpoint, **asked)
    return await at.gateway.recovery.resume(run.run.run_id, request, by="ops", reason="test")


async def roll_back(at: Rig, run: LeasedRun, to: str = "start") -> RollbackStatus:
    rollbacks = at.gateway.recovery.rollbacks
    begun = await rollbacks.start(run.run.run_id, subtree=False, to=to, reason="test", by="ops")
    waits = (RollbackStatus.RUNNING,)

    async def over() -> bool:
        return (await rollbacks.view(begun.rollback_id)).rollback.status not in waits

    await until_async(over)
    return (await rollbacks.view(begun.rollback_id)).rollback.status


async def patch(at: Rig, lease: str, status: str, **headers: Any) -> Reply:
    return await at.call(lease, "PATCH", INVOICE, {"status": status}, **headers)


def replayed(reply: Reply) -> bool:
    return header(reply, "idempotent-replayed") == "true"


# --- checkpoints -----------------------------------------------------------------------------------------------------


async def test_a_checkpoint_holds_what_the_run_did_and_what_it_waits_for(gateway: Rig) -> None:
    run = await gateway.open()
    await patch(gateway, run.lease, "paid")
    made = await gateway.call(run.lease, "POST", REFUNDS, REFUND)
    deleted = await gateway.call(run.lease, "DELETE", f"{REFUNDS}/refunds-1")
    assert (made.status, code(deleted)) == (201, "approval-required")
    taken = await checkpoint(gateway, run, "paid")
    writes = await gateway.writes(run.run.run_id)
    (entry,) = await gateway.journal(run.run.run_id, "checkpoint")
    assert [(one.target.type, one.target.id, one.version) for one in taken.objects] == [
        ("invoice", "inv_1", '"v2"'),
        ("refund", "refunds-1", '"v1"'),
    ]
    assert [one.receipt for one in taken.objects] == [write.outcome for write in writes]
    assert (len(taken.approvals), taken.tasks, taken.irreversible, taken.compensations) == (1, (), (), ())
    assert taken.at is not None
    assert taken.seq >= max(write.outcome.seq for write in writes if write.outcome is not None)
    assert (entry["checkpoint"]["state_ref"], entry["checkpoint"]["label"], entry["by"]) == ("wf@1", "paid", "orchestrator")
    kept = await gateway.gateway.resources.store.checkpoints.checkpoint(taken.checkpoint_id)
    assert kept is not None
    assert entry["checkpoint"] == record.CHECKPOINT.journal(taken) == record.CHECKPOINT.journal(kept)
    assert list(await gateway.gateway.resources.store.checkpoints.checkpoints(run.run.run_id)) == [kept]


async def test_no_checkpoint_is_taken_while_a_write_is_in_flight(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.hold = asyncio.Event()
    flying = asyncio.ensure_future(gateway.call(run.lease, "POST", REFUNDS, REFUND))
    await until(lambda: gateway.ledger.writes)
    with pytest.raises(NotVerified, match="is in flight") as refused:
        await checkpoint(gateway, run)
    gateway.ledger.hold.set()
    assert (await flying).status == 201
    assert [write.state for write in refused.value.effects] == [State.IN_FLIGHT]
    assert (await checkpoint(gateway, run)).objects


async def test_no_checkpoint_is_taken_after_an_unknown_outcome_or_a_failed_verification(gateway: Rig) -> None:
    lost, wrong, failed = await gateway.open(), await gateway.open(), await gateway.open()
    gateway.ledger.fail_after_apply = 1
    await gateway.call(lost.lease, "POST", REFUNDS, REFUND)
    with pytest.raises(NotVerified, match="of unknown outcome"):
        await checkpoint(gateway, lost)
    gateway.ledger.ignore = 1
    await patch(gateway, wrong.lease, "paid")
    with pytest.raises(NotVerified, match="failed its verification"):
        await checkpoint(gateway, wrong)
    gateway.ledger.refuse = 1
    assert (await gateway.call(failed.lease, "POST", REFUNDS, {"amount": 6})).status == 422
    assert (await checkpoint(gateway, failed)).objects == ()


async def test_every_verified_boundary_is_a_checkpoint_of_its_own(gateway: Rig) -> None:
    run = await gateway.open()
    checkpoints = gateway.gateway.recovery.checkpoints
    assert await checkpoints.automatic(run.run) is None
    await patch(gateway, run.lease, "paid")
    (first,) = await gateway.writes(run.run.run_id)
    found = await checkpoints.automatic(run.run)
    assert found is not None
    assert (found.checkpoint_id, found.at, found.automatic) == (str(first.outcome), first.outcome, True)
    gateway.ledger.fail_after_apply = 1
    await gateway.call(run.lease, "POST", REFUNDS, REFUND)
    assert await checkpoints.automatic(run.run) == found


# --- what continues, and what does not ---------------------------------------------------------------------------------


async def test_from_a_checkpoint_on_nothing_is_done_twice_and_what_was_compensated_is_done_again(gateway: Rig) -> None:
    run = await gateway.open()
    refunded = await gateway.call(run.lease, "POST", REFUNDS, REFUND, Killcord_Step="refund")
    taken = await checkpoint(gateway, run)
    await patch(gateway, run.lease, "void", Killcord_Step="void")
    await gateway.contain(run.run.run_id, Mode.QUARANTINED)
    assert await roll_back(gateway, run, taken.checkpoint_id) is RollbackStatus.CLEAN
    assert gateway.ledger.get("acme", "invoices", "inv_1")["status"] == "open"
    lease = (await resume(gateway, run, taken.checkpoint_id)).opened.lease
    anew = await patch(gateway, lease, "void", Killcord_Step="void")
    again = await gateway.call(lease, "POST", REFUNDS, REFUND, Killcord_Step="refund")
    other = await gateway.call(lease, "POST", REFUNDS, {"amount": 6}, Killcord_Step="refund")
    assert (replayed(again), again.body, gateway.ledger.count("refunds")) == (True, refunded.body, 1)
    assert (anew.status, replayed(anew)) == (200, False)
    assert code(other) == "key-reused"
    attempts = [(write.attempt, write.state) for write in await gateway.writes(run.run.run_id) if write.step_id == "void"]
    assert attempts == [(1, State.COMPENSATED), (2, State.STANDING)]
    assert gateway.ledger.get("acme", "invoices", "inv_1")["status"] == "void"


async def test_steps_without_a_key_from_before_the_checkpoint_answer_in_any_order_whatever_came_after_them(gateway: Rig) -> None:
    run = await gateway.open()
    first = [await patch(gateway, run.lease, status) for status in ("paid", "held", "paid")]
    refund = await gateway.call(run.lease, "POST", REFUNDS, REFUND)
    await gateway.contain(run.run.run_id, Mode.PAUSED)
    lease = (await resume(gateway, run)).opened.lease
    sent = len(gateway.ledger.writes)
    again = [await patch(gateway, lease, status) for status in ("held", "paid", "paid", "held")]
    again.append(await gateway.call(lease, "POST", REFUNDS, REFUND))
    assert all(map(replayed, again)), [code(reply) for reply in again]
    assert (again[0].body, again[1].body, again[-1].body) == (first[1].body, first[2].body, refund.body)
    assert len(gateway.ledger.writes) == sent


async def test_a_resumed_run_may_go_over_all_its_steps_again_but_once(gateway: Rig) -> None:
    run = await gateway.open()
    for number in range(25):
        assert (await gateway.call(run.lease, "POST", REFUNDS, {"amount": number}, Killcord_Step=f"s{number}")).status == 201
    await gateway.contain(run.run.run_id)
    lease = (await resume(gateway, run)).opened.lease

    async def over() -> list[Reply]:
        return [await gateway.call(lease, "POST", REFUNDS, {"amount": n}, Killcord_Step=f"s{n}") for n in range(25)]

    assert all(map(replayed, await over()))
    assert "run-paused" in [code(reply) for reply in await over()], "the second time it is a spike of repeats"


async def test_the_window_of_a_call_without_a_key_is_over_but_not_for_what_was_done_before_the_checkpoint(tmp_path: Path) -> None:
    adapter = rig.ADAPTER.replace("idempotency: {gateway: true}", "idempotency: {gateway: true, window: 1ms}")
    async with rig.assembled(tmp_path, adapter=adapter) as gateway:
        run = await gateway.open()
        for _ in range(2):
            assert (await gateway.call(run.lease, "POST", REFUNDS, REFUND)).status == 201
        assert gateway.ledger.count("refunds") == 2, "the window is over at once"
        await gateway.contain(run.run.run_id)
        lease = (await resume(gateway, run)).opened.lease
        assert replayed(await gateway.call(lease, "POST", REFUNDS, REFUND))
        for _ in range(2):
            assert (await gateway.call(lease, "POST", REFUNDS, {"amount": 6})).status == 201
        assert gateway.ledger.count("refunds") == 4, "and after the resume it is as it was"


async def test_where_only_the_second_of_two_like_calls_was_compensated_the_first_answers(gateway: Rig) -> None:
    run = await gateway.open()
    await patch(gateway, run.lease, "paid")
    taken = await checkpoint(gateway, run)
    for status in ("held", "paid"):
        await patch(gateway, run.lease, status)
    await gateway.contain(run.run.run_id, Mode.QUARANTINED)
    assert await roll_back(gateway, run, taken.checkpoint_id) is RollbackStatus.CLEAN
    lease = (await resume(gateway, run, taken.checkpoint_id)).opened.lease
    sent = len(gateway.ledger.writes)
    assert replayed(await patch(gateway, lease, "paid"))
    assert len(gateway.ledger.writes) == sent
    assert not replayed(await patch(gateway, lease, "held"))


async def test_after_a_rollback_to_the_start_the_run_continues_from_there(gateway: Rig) -> None:
    run = await gateway.open()
    await patch(gateway, run.lease, "void")
    await gateway.call(run.lease, "PATCH", "/v1/tenants/globex/invoices/inv_9", {"status": "stolen"})
    checkpoints = gateway.gateway.recovery.checkpoints

    async def taken_back() -> bool:
        found = await gateway.gateway.resources.store.rollbacks.rollbacks(run=run.run.run_id)
        return any(one.status is RollbackStatus.CLEAN for one in found)

    await until_async(taken_back)
    assert (await checkpoints.first_bad(run.run)).seq is not None
    gone_on = await resume(gateway, run)
    assert (gone_on.checkpoint.checkpoint_id, gone_on.opened.run.resumed_from) == ("start", 0)
    assert (await patch(gateway, gone_on.opened.lease, "void")).status == 200


async def test_a_triggers_rollback_goes_to_the_checkpoint_that_was_taken_and_to_no_other_boundary(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.call(run.lease, "POST", REFUNDS, REFUND)
    taken = await checkpoint(gateway, run)
    await patch(gateway, run.lease, "void")
    await gateway.call(run.lease, "PATCH", "/v1/tenants/globex/invoices/inv_9", {"status": "stolen"})

    async def taken_back() -> bool:
        found = await gateway.gateway.resources.store.rollbacks.rollbacks(run=run.run.run_id)
        return any(one.to == taken.checkpoint_id and one.status is RollbackStatus.CLEAN for one in found)

    await until_async(taken_back)
    assert (gateway.ledger.get("acme", "invoices", "inv_1")["status"], gateway.ledger.count("refunds")) == ("open", 1)
    assert (await resume(gateway, run)).checkpoint.checkpoint_id == taken.checkpoint_id


# --- rights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.READ_ONLY, Mode.PAUSED, Mode.QUARANTINED, Mode.REVOKED])
async def test_the_runs_own_orders_are_over_for_it_and_its_old_lease_is_dead_permanently(gateway: Rig, tmp_path: Path, mode: Mode) -> None:
    run = await gateway.open()
    order = await gateway.contain(run.run.run_id, mode)
    lease = (await resume(gateway, run)).opened.lease
    assert (await patch(gateway, lease, "paid")).status == 200
    assert code(await gateway.call(run.lease, "GET", INVOICE)) == "lease-revoked"
    await gateway.gateway.control.containment.release(order.order_id, reason="test", by="test")
    assert (await patch(gateway, lease, "held")).status == 200, "a released order holds no more than before"
    assert code(await gateway.call(run.lease, "GET", INVOICE)) == "lease-revoked"
    await gateway.contain(run.run.run_id, mode)
    assert (await patch(gateway, lease, "open")).status in (403, 503), "an order made since holds"


async def test_what_was_resumed_is_so_after_a_restart(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path) as first:
        first.ledger.put("acme", "invoices", "inv_1", status="open")
        run = await first.open()
        await first.contain(run.run.run_id, Mode.QUARANTINED)
        refund = await first.call(run.lease, "POST", REFUNDS, REFUND)
        opened = (await resume(first, run, require_approval=("ledger:refund.*",))).opened
    async with rig.assembled(tmp_path, first.ledger) as again:
        assert code(refund) == "run-quarantined"
        assert (await patch(again, opened.lease, "paid")).status == 200
        assert code(await again.call(opened.lease, "POST", REFUNDS, REFUND)) == "approval-required"
        assert code(await again.call(run.lease, "GET", INVOICE)) == "lease-revoked"
        found = await again.gateway.resources.store.registry.run(run.run.run_id)
        assert found is not None
        assert record.RUN.journal(found) == record.RUN.journal(opened.run)


async def test_orders_on_a_tool_and_wider_ones_still_hold_and_descendants_stay_held(gateway: Rig) -> None:
    run = await gateway.open()
    child = await gateway.open(parent_run=run.run.run_id)
    make = gateway.gateway.control.containment.make
    own = await make(Scope(run=run.run.run_id, subtree=True), Mode.QUARANTINED, reason="test", by="test")
    tool = await make(Scope(run=run.run.run_id, tool="ledger"), Mode.READ_ONLY, reason="test", by="test")
    wide = await make(Scope(tenant="acme"), Mode.PAUSED, reason="test", by="test")
    lease = (await resume(gateway, run)).opened.lease
    release = gateway.gateway.control.containment.release
    assert code(await gateway.call(lease, "GET", INVOICE)) == "run-paused"
    await release(wide.order_id, reason="test", by="test")
    assert (await gateway.call(lease, "GET", INVOICE)).status == 200
    assert code(await patch(gateway, lease, "paid")) == "run-read-only"
    await release(tool.order_id, reason="test", by="test")
    assert (await patch(gateway, lease, "paid")).status == 200
    assert code(await gateway.call(child.lease, "GET", INVOICE)) == "run-quarantined"
    await release(own.order_id, reason="test", by="test")
    assert code(await gateway.call(child.lease, "GET", INVOICE)) == "run-quarantined", "released, it keeps what it held"
    assert (await resume(gateway, child)).opened.run.generation == 2


async def test_a_quarantine_of_a_tenant_ends_for_a_run_once_it_was_released_and_the_run_resumed(gateway: Rig) -> None:
    run = await gateway.open()
    wide = await gateway.gateway.control.containment.make(Scope(tenant="acme"), Mode.QUARANTINED, reason="test", by="test")
    await gateway.gateway.control.containment.release(wide.order_id, reason="test", by="test")
    assert code(await gateway.call(run.lease, "GET", INVOICE)) == "run-quarantined"
    lease = (await resume(gateway, run)).opened.lease
    assert (await gateway.call(lease, "GET", INVOICE)).status == 200


async def test_a_resume_never_widens_and_says_all_that_is_too_wide(gateway: Rig) -> None:
    run = await gateway.open(scopes=("ledger:invoice.*",), tools=("ledger",), mode=Mode.READ_ONLY, limits={"writes": 5})
    await gateway.contain(run.run.run_id, Mode.PAUSED)
    wide: dict[str, Any] = {"scopes": ("ledger:*",), "tools": ("ledger", "crm"), "mode": Mode.ACTIVE, "limits": {"writes": 6, "steps": 7}}
    with pytest.raises(TooWide) as refused:
        await resume(gateway, run, **wide)
    assert [line.partition(":")[0] for line in refused.value.excess] == ["scopes", "tools", "mode", "limits.writes"]
    found = await gateway.gateway.resources.store.registry.run(run.run.run_id)
    assert found is not None
    assert record.RUN.journal(found) == record.RUN.journal(run.run)
    assert code(await gateway.call(run.lease, "GET", INVOICE)) == "run-paused", "and nothing was changed"
    narrow: dict[str, Any] = {"scopes": ("ledger:invoice.read",), "tools": (), "mode": Mode.READ_ONLY, "limits": {"writes": 4}}
    resumed = (await resume(gateway, run, **narrow)).opened.run
    assert (resumed.scopes, resumed.tools, resumed.mode, resumed.limits.writes) == (("ledger:invoice.read",), (), Mode.READ_ONLY, 4)
    assert (resumed.limits.steps, resumed.generation, resumed.revoked) == (run.run.limits.steps, 2, 1)


async def test_a_resumed_run_gets_no_fresh_budget(gateway: Rig) -> None:
    run = await gateway.open(limits={"writes": 2})
    for amount in (1, 2):
        await gateway.call(run.lease, "POST", REFUNDS, {"amount": amount})
    await gateway.contain(run.run.run_id)
    lease = (await resume(gateway, run)).opened.lease
    assert code(await gateway.call(lease, "POST", REFUNDS, {"amount": 3})) == "blast-radius"
    assert gateway.ledger.count("refunds") == 2


async def test_a_resume_names_the_limits_that_are_used_up(gateway: Rig) -> None:
    parent = await gateway.open(limits={"amount": {"refund": 3_500_000}})
    run = await gateway.open(parent_run=parent.run.run_id, limits={"writes": 2})
    for amount in (1, 2.5):
        await gateway.call(run.lease, "POST", REFUNDS, {"amount": amount})
    await gateway.contain(run.run.run_id)
    spent = (await resume(gateway, run)).spent
    assert [(one.scope, one.name, one.limit, one.used) for one in spent] == [
        (f"run:{run.run.run_id}", "writes", 2, 2),
        (f"run:{run.run.run_id}", "amount:refund", 3_500_000, 3_500_000),
        (f"run:{parent.run.run_id}", "amount:refund", 3_500_000, 3_500_000),
    ]


async def test_a_limit_is_raised_as_far_as_its_class_and_its_parent_and_the_journal_says_so(gateway: Rig) -> None:
    parent = await gateway.open(limits={"writes": 3})
    run = await gateway.open(parent_run=parent.run.run_id, limits={"writes": 1})
    await gateway.call(run.lease, "POST", REFUNDS, {"amount": 1})
    await gateway.contain(run.run.run_id)
    with pytest.raises(TooWide) as refused:
        await resume(gateway, run, raise_limits={"writes": 4})
    assert refused.value.excess == [f"raise_limits.writes: 4 is wider than 3, the limit of parent {parent.run.run_id}"]
    with pytest.raises(TooWide) as refused:
        await resume(gateway, run, raise_limits={"writes": 0})
    assert refused.value.excess == ["raise_limits.writes: is below what the run has; write it under limits"]
    resumed = await resume(gateway, run, raise_limits={"writes": 2})
    assert (resumed.opened.run.limits.writes, resumed.spent) == (2, ())
    entry = (await gateway.journal(run.run.run_id, "run"))[-1]
    assert (entry["change"], entry["raised"]) == ("resumed", [{"name": "writes", "was": "1", "now": "2"}])
    assert (await gateway.call(resumed.opened.lease, "POST", REFUNDS, {"amount": 2})).status == 201
    assert code(await gateway.call(resumed.opened.lease, "POST", REFUNDS, {"amount": 3})) == "blast-radius"


async def test_a_gate_asks_a_person_for_what_policy_alone_would_let_pass(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path, tool_extra="mode: shadow\n    until: 2099-01-01") as gateway:
        gateway.ledger.put("acme", "invoices", "inv_1", status="open")
        run = await gateway.open()
        await gateway.contain(run.run.run_id)
        lease = (await resume(gateway, run, require_approval=("ledger:refund.*",))).opened.lease
        held = await gateway.call(lease, "POST", REFUNDS, REFUND)
        assert (code(held), gateway.ledger.count("refunds")) == ("approval-required", 0)
        assert ((await gateway.call(lease, "GET", INVOICE)).status, (await patch(gateway, lease, "paid")).status) == (200, 200)
        (asked,) = await gateway.gateway.resources.store.approvals.approvals(run=run.run.run_id)
        assert asked.reasons[0].code == "resumed"
        await gateway.gateway.control.approvals.decide(asked.approval_id, grant=True, reason="seen", by="a person")
        assert (await gateway.call(lease, "POST", REFUNDS, REFUND)).status == 201
        assert replayed(await gateway.call(lease, "POST", REFUNDS, REFUND)), "what stands needs no approval"
        await gateway.contain(run.run.run_id)
        later = (await resume(gateway, run)).opened
        assert later.run.require_approval == ("ledger:refund.*",)
        assert code(await gateway.call(later.lease, "POST", REFUNDS, {"amount": 9})) == "approval-required"


# --- when not --------------------------------------------------------------------------------------------------------


async def test_an_active_run_and_a_closed_one_have_nothing_to_resume(gateway: Rig) -> None:
    run = await gateway.open()
    with pytest.raises(CannotResume, match="is active"):
        await resume(gateway, run)
    await gateway.gateway.control.containment.make(Scope(run=run.run.run_id, tool="ledger"), Mode.PAUSED, reason="test", by="test")
    with pytest.raises(CannotResume, match="is active"):
        await resume(gateway, run)
    await gateway.contain(run.run.run_id)
    assert (await resume(gateway, run)).opened.run.generation == 2
    with pytest.raises(CannotResume, match="is active"):
        await resume(gateway, run)
    await gateway.gateway.control.runs.close(run.run.run_id, by="test", reason="test")
    with pytest.raises(CannotResume, match="workflow_id"):
        await resume(gateway, run)


async def test_two_resumes_at_once_are_one_generation(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.contain(run.run.run_id)
    done = await asyncio.gather(*(resume(gateway, run) for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in done].count(ResumedRun) == 1
    assert [type(one) for one in done].count(CannotResume) == 4


async def test_a_run_does_not_continue_while_a_rollback_of_it_waits_for_a_person(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.fail_after_apply = 1
    await gateway.call(run.lease, "POST", REFUNDS, REFUND)
    await gateway.contain(run.run.run_id, Mode.QUARANTINED)
    assert await roll_back(gateway, run) is RollbackStatus.NEEDS_OPERATOR
    with pytest.raises(CannotResume, match="needs_operator"):
        await resume(gateway, run, "start")
    (rollback,) = await gateway.gateway.resources.store.rollbacks.rollbacks(run=run.run.run_id)
    await gateway.gateway.recovery.rollbacks.stop(rollback.rollback_id, reason="test", by="test")
    assert (await resume(gateway, run, "start")).opened.run.generation == 2


async def test_a_place_with_an_unknown_effect_before_it_is_refused_and_none_is_chosen(gateway: Rig) -> None:
    run = await gateway.open()
    gateway.ledger.fail_after_apply = 1
    await gateway.call(run.lease, "POST", REFUNDS, REFUND)
    assert (await gateway.call(run.lease, "POST", REFUNDS, {"amount": 6})).status == 201
    await gateway.contain(run.run.run_id)
    last: Write = (await gateway.writes(run.run.run_id))[-1]
    with pytest.raises(NotReady, match=r"no usable checkpoint: refund.create .* is of unknown outcome"):
        await resume(gateway, run)
    with pytest.raises(NotVerified, match="is of unknown outcome"):
        await resume(gateway, run, str(last.outcome))
    for name in ("chk_404", "st_elsewhere/1", f"{last.intent.stream}/999999", f"{last.intent.stream}/0"):
        with pytest.raises(UnknownCheckpoint):
            await resume(gateway, run, name)


async def test_a_checkpoint_that_assumes_what_was_compensated_is_refused(gateway: Rig) -> None:
    run = await gateway.open()
    await patch(gateway, run.lease, "paid")
    taken = await checkpoint(gateway, run)
    await gateway.contain(run.run.run_id, Mode.QUARANTINED)
    assert await roll_back(gateway, run) is RollbackStatus.CLEAN
    with pytest.raises(NotVerified, match="was undone since"):
        await resume(gateway, run, taken.checkpoint_id)
    other = await gateway.open()
    await gateway.contain(other.run.run_id)
    with pytest.raises(UnknownCheckpoint):
        await resume(gateway, other, taken.checkpoint_id)


async def test_a_task_that_is_queued_again_as_a_new_run_finds_what_the_old_one_did(gateway: Rig) -> None:
    run = await gateway.open(workflow_id="wf")
    first = await gateway.call(run.lease, "POST", REFUNDS, REFUND, Killcord_Step="refund")
    await gateway.contain(run.run.run_id, Mode.REVOKED)
    again = await gateway.open(workflow_id="wf")
    reply = await gateway.call(again.lease, "POST", REFUNDS, REFUND, Killcord_Step="refund")
    assert (replayed(reply), reply.body, gateway.ledger.count("refunds")) == (True, first.body, 1)
    assert code(await gateway.call(again.lease, "POST", REFUNDS, {"amount": 6}, Killcord_Step="refund")) == "key-reused"


# --- what is read back -----------------------------------------------------------------------------------------------


async def test_decisions_of_before_are_decided_again_with_the_rights_of_then(gateway: Rig, tmp_path: Path) -> None:
    run = await gateway.open()
    assert (await patch(gateway, run.lease, "paid")).status == 200
    await gateway.contain(run.run.run_id)
    lease = (await resume(gateway, run, scopes=("ledger:invoice.read",))).opened.lease
    assert code(await patch(gateway, lease, "held")) == "policy-denied"
    await gateway.journal()
    again = await replay.run(tmp_path / "var", rig.ROOT / "policies", progress=lambda *_: None)
    assert (again.decided, again.different, again.lost) == (2, [], {})


async def test_rebuilt_projections_know_of_checkpoints_and_resumes(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path) as before:
        run = await before.open()
        taken = await checkpoint(before, run)
        await before.contain(run.run.run_id)
        opened = (await resume(before, run)).opened
    rebuild(tmp_path / "var")
    async with rig.assembled(tmp_path, before.ledger) as after:
        found = await after.gateway.resources.store.registry.run(run.run.run_id)
        assert found is not None
        assert record.RUN.journal(found) == record.RUN.journal(opened.run)
        assert await after.gateway.recovery.checkpoints.position(run.run.run_id, taken.checkpoint_id) == taken.at
