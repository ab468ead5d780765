"""Writes whose reply was lost, on objects that others write too: what is there is not taken for ours, and nobody else's work is undone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.control.runs.runs import LeasedRun
from gateway.model.effect import KnownBy, State, Write
from gateway.model.review import TaskKind
from gateway.model.run import Mode
from tests.support import driven, rig
from tests.support.rig import Rig, code, header, until_async

INVOICE = "/v1/tenants/acme/invoices/inv_1"
NAME = ("acme", "invoices", "inv_1")
REFUNDS = "/v1/tenants/acme/refunds"

ADAPTER = (
    rig.ADAPTER.replace(
        """    object: invoice
    effect: write
    class: compensatable
    compensation: {type: manual_review}
""",
        """    object: invoice
    effect: write
    class: reversible
    guard: if_match
    probe: {applied: "object == `null`", settle: 50ms}
    compensation: {type: restore_previous_version, by: invoice.replace, auto: true}
""",
    )
    .replace(
        """    idempotency: {header: Idempotency-Key, quoted: true}
""",
        """    idempotency: {header: Idempotency-Key, quoted: true}
    probe: {applied: "object.body.data.status == request.body.status", settle: 50ms}
""",
    )
    .replace(
        """    cost: {amount: {refund: request.body.amount}}
""",
        """    cost: {amount: {refund: request.body.amount}}
    probe:
      applied: "object.body.reference == request.body.reference"
      settle: 50ms
      find:
        path: "/v1/tenants/{tenant}/refunds"
        query: {reference: request.body.reference}
        items: reply.body.data
        id: object.body.id
        whole: "contains(keys(reply.body), 'data') && !contains(keys(reply.body), 'next')"
""",
    )
)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig.assembled(tmp_path, adapter=ADAPTER) as assembled:
        assembled.ledger.put(*NAME, status="open", amount=10)
        supervisor = assembled.gateway.control.supervisor
        supervisor.every(0.05, "rollbacks", assembled.gateway.recovery.tick)
        try:
            yield assembled
        finally:
            await supervisor.finish(1.0)


async def lost(at: Rig, run: LeasedRun, method: str, path: str, body: object = None, *, applied: bool = False, **headers: Any) -> Write:
    """A write of the run whose reply never arrives."""
    setattr(at.ledger, "drop_after_apply" if applied else "drop_before_apply", 1)
    assert (await at.call(run.lease, method, path, body, **headers)).status == 502
    return (await at.writes(run.run.run_id))[-1]


async def decided(at: Rig, write: Write, wait: float = 0.06) -> Write:
    """The write once it has settled and was probed."""
    await asyncio.sleep(wait)
    await at.gateway.calls.probe(await known(at, write))
    return await known(at, write)


async def known(at: Rig, write: Write) -> Write:
    found = await at.gateway.resources.store.writes.by_wire_key(write.wire_key)
    assert found is not None
    return found


async def rolled_back(at: Rig, run: LeasedRun, *states: str) -> dict[str, Any]:
    """The run contained and rolled back, as far as it goes without a person."""
    await at.contain(run.run.run_id, Mode.QUARANTINED)
    begun = await at.gateway.recovery.rollbacks.start(run.run.run_id, subtree=False, to="start", reason="test", by="test")
    await until_async(lambda: driven.rolled(at, run.run.run_id, *(states or ("clean", "residue", "needs_operator"))), 20.0)
    told = await at.gateway.recovery.rollbacks.view(begun.rollback_id)
    return {"status": told.rollback.status.value, "why": " ".join(node.why for node in told.plan.nodes)}


async def test_what_a_person_set_is_not_taken_for_a_lost_write(at: Rig) -> None:
    run = await at.open()
    write = await lost(at, run, "PATCH", INVOICE, {"status": "paid"})
    at.ledger.put(*NAME, status="paid", amount=10)
    write = await decided(at, write)
    assert (write.state, write.known_by, write.after_version) == (State.STANDING, KnownBy.STATE, None)
    again = await at.call(run.lease, "PATCH", INVOICE, {"status": "paid"})
    assert (code(again), len(at.ledger.writes)) == ("reply-not-kept", 1), "its key stands"
    told = await rolled_back(at, run)
    assert (told["status"], at.ledger.get(*NAME)["status"]) == ("residue", "paid")
    assert "found, not proven" in told["why"]


async def test_what_another_run_removed_is_not_put_back(at: Rig) -> None:
    one, other = await at.open(), await at.open()
    write = await lost(at, one, "DELETE", INVOICE)
    assert (await at.call(other.lease, "DELETE", INVOICE)).status == 200
    write = await decided(at, write, 0.0)
    assert write.state is State.FAILED, "the other one found the version that it was bound to still there"
    told = await rolled_back(at, one)
    assert (told["status"], NAME in at.ledger.objects) == ("clean", False)


async def test_what_a_person_removed_is_not_put_back(at: Rig) -> None:
    run = await at.open()
    write = await lost(at, run, "DELETE", INVOICE)
    del at.ledger.objects[NAME]
    assert (await decided(at, write)).found
    told = await rolled_back(at, run)
    assert (told["status"], NAME in at.ledger.objects) == ("residue", False)


async def test_of_two_removals_by_one_run_one_is_an_effect(at: Rig) -> None:
    run = await at.open()
    write = await lost(at, run, "DELETE", INVOICE, Killcord_Step="s1")
    assert (await at.call(run.lease, "DELETE", INVOICE, Killcord_Step="s2")).status in (200, 409)
    if len(at.ledger.writes) == 1:  # an equal call waited until the first was decided
        assert NAME in at.ledger.objects
        return
    assert (await decided(at, write)).state is State.FAILED


async def test_a_removal_and_a_change_of_one_version_are_told_apart_without_a_look(at: Rig) -> None:
    run = await at.open()
    write = await lost(at, run, "DELETE", INVOICE, Killcord_Step="s1")
    assert (await at.call(run.lease, "PATCH", INVOICE, {"status": "held"}, Killcord_Step="s6")).status == 200
    assert (await at.call(run.lease, "DELETE", INVOICE, Killcord_Step="s9")).status in (200, 409)
    write = await decided(at, write, 0.0)
    assert (write.state, write.known_by) == (State.FAILED, None)


async def test_what_was_made_and_removed_by_a_person_is_not_called_failed(at: Rig) -> None:
    run = await at.open()
    path, name = "/v1/tenants/acme/invoices/inv_2", ("acme", "invoices", "inv_2")
    write = await lost(at, run, "PUT", path, {"status": "new"}, applied=True)
    del at.ledger.objects[name]
    assert (await decided(at, write)).state is State.UNKNOWN
    (task,) = await at.gateway.resources.store.registry.tasks(run=run.run.run_id)
    assert (task.kind, task.wire_keys) == (TaskKind.OUTCOME_UNKNOWN, (write.wire_key,))


async def test_one_task_names_all_that_may_have_made_the_state(at: Rig) -> None:
    one, other = await at.open(), await at.open()
    first = await lost(at, one, "PATCH", INVOICE, {"status": "paid"})
    second = await lost(at, other, "PATCH", INVOICE, {"status": "paid", "note": "b"})
    at.ledger.put(*NAME, status="paid", amount=10)
    assert (await decided(at, first)).state is State.UNKNOWN
    assert (await decided(at, second, 0.0)).state is State.UNKNOWN
    store, tasks = at.gateway.resources.store, at.gateway.recovery.tasks
    (task,) = [one for one in await store.registry.tasks() if one.kind is TaskKind.OUTCOME_UNKNOWN]
    assert set(task.wire_keys) == {first.wire_key, second.wire_key}
    assert task.summary.count("invoice.update") >= 2
    with pytest.raises(ValueError, match="name those that were applied"):
        await tasks.resolve(task.task_id, resolution="applied", note="looked", by="ops")
    with pytest.raises(ValueError, match="must name one or more of"):
        await tasks.resolve(task.task_id, resolution="applied", note="looked", by="ops", writes=["kc-other"])
    await tasks.resolve(task.task_id, resolution="applied", note="looked", by="ops", writes=[second.wire_key])
    assert [(await known(at, one)).state for one in (first, second)] == [State.FAILED, State.STANDING]
    assert (await known(at, second)).known_by is KnownBy.PERSON


async def test_a_create_found_in_a_listing_is_not_removed_without_a_person(at: Rig) -> None:
    run = await at.open()
    write = await lost(at, run, "POST", REFUNDS, {"amount": 5, "reference": "ref-1"}, applied=True)
    write = await decided(at, write)
    assert (write.found, write.target.id, write.after_version) == (True, "refunds-1", None)
    told = await rolled_back(at, run)
    assert (told["status"], at.ledger.count("refunds")) == ("residue", 1)


async def test_what_another_create_made_is_not_found_for_a_lost_one(at: Rig) -> None:
    one, other = await at.open(), await at.open()
    write = await lost(at, one, "POST", REFUNDS, {"amount": 5, "reference": "ref-1"})
    assert (await at.call(other.lease, "POST", REFUNDS, {"amount": 5, "reference": "ref-1"})).status == 201
    assert (await decided(at, write)).state is State.FAILED


async def test_one_item_that_two_lost_creates_asked_for_is_neithers(at: Rig) -> None:
    one, other = await at.open(), await at.open()
    first = await lost(at, one, "POST", REFUNDS, {"amount": 5, "reference": "ref-1"})
    second = await lost(at, other, "POST", REFUNDS, {"amount": 5, "reference": "ref-1"}, applied=True)
    assert {(await decided(at, write)).state for write in (first, second)} == {State.UNKNOWN}


MARKED = (
    ADAPTER.replace("state: reply.body.data}", "state: \"without(reply.body.data, ['sent_with'])\"}")
    .replace(
        """    idempotency: {gateway: true}
    cost: {amount: {refund: request.body.amount}}
    probe:
""",
        """    idempotency: {header: Idempotency-Key}
    verify: {expect: "object.body.data.amount == request.body.amount", within: 100ms}
    cost: {amount: {refund: request.body.amount}}
    probe:
      mark: object.body.sent_with
""",
    )
    .replace(
        """    probe: {applied: "object.body.data.status == request.body.status", settle: 50ms}
    compensation: {type: restore_previous_version, by: invoice.replace, auto: true, within: 1h}
""",
        """    probe: {applied: "object.body.data.status == request.body.status", settle: 50ms, mark: object.body.data.sent_with}
    compensation: {type: restore_previous_version, by: invoice.replace, auto: true, within: 1h}
""",
    )
)


@pytest.fixture
async def marked(tmp_path: Path) -> AsyncIterator[Rig]:
    """Over a tool that keeps the keys it was sent."""
    async with rig.assembled(tmp_path, adapter=MARKED) as assembled:
        assembled.ledger.put(*NAME, status="open", amount=10)
        assembled.ledger.keeps_key = True
        supervisor = assembled.gateway.control.supervisor
        supervisor.every(0.05, "rollbacks", assembled.gateway.recovery.tick)
        try:
            yield assembled
        finally:
            await supervisor.finish(1.0)


async def test_a_create_that_left_its_mark_is_proven_and_removed_again(marked: Rig) -> None:
    run = await marked.open()
    write = await lost(marked, run, "POST", REFUNDS, {"amount": 5, "reference": "ref-1"}, applied=True)
    marked.ledger.put("acme", "refunds", "a-persons", amount=5, reference="ref-1", sent_with=None)
    write = await decided(marked, write)
    assert (write.state, write.known_by, write.target.id) == (State.STANDING, KnownBy.MARK, "refunds-1")
    assert write.after_version is not None
    told = await rolled_back(marked, run)
    assert (told["status"], marked.ledger.count("refunds")) == ("clean", 1)
    assert ("acme", "refunds", "a-persons") in marked.ledger.objects


async def test_a_change_that_left_its_mark_is_proven_and_put_back(marked: Rig) -> None:
    run = await marked.open()
    write = await decided(marked, await lost(marked, run, "PATCH", INVOICE, {"status": "paid"}, applied=True))
    assert (write.known_by, write.after_version) == (KnownBy.MARK, '"v2"')
    told = await rolled_back(marked, run)
    assert (told["status"], marked.ledger.get(*NAME)["status"]) == ("clean", "open")


async def test_an_equal_change_by_a_person_does_not_have_the_mark(marked: Rig) -> None:
    run = await marked.open()
    write = await lost(marked, run, "PATCH", INVOICE, {"status": "paid"})
    marked.ledger.put(*NAME, status="paid", amount=10, sent_with="kc-of-another")
    assert (await decided(marked, write)).known_by is KnownBy.STATE
    told = await rolled_back(marked, run)
    assert (told["status"], marked.ledger.get(*NAME)["status"]) == ("residue", "paid")


async def test_a_change_with_a_persons_on_top_is_proven_and_not_put_back(marked: Rig) -> None:
    run = await marked.open()
    write = await lost(marked, run, "PATCH", INVOICE, {"status": "paid"}, applied=True)
    version, held = marked.ledger.objects[NAME]
    marked.ledger.objects[NAME] = (version + 1, {**held, "amount": 11})
    write = await decided(marked, write)
    assert (write.known_by, write.after_version) == (KnownBy.MARK, None)
    told = await rolled_back(marked, run)
    assert (told["status"], marked.ledger.get(*NAME)["amount"], marked.ledger.get(*NAME)["status"]) == ("residue", 11, "paid")


async def test_an_effect_that_was_found_is_shown_as_that(at: Rig) -> None:
    run = await at.open()
    write = await lost(at, run, "PATCH", INVOICE, {"status": "paid"}, applied=True)
    write = await decided(at, write)
    entry = next(one for one in await at.journal(run.run.run_id) if one["kind"] == "reconciliation")
    assert (entry["result"], entry["known_by"], "after_version" in entry) == ("found", "state", False)
    assert write.found


async def test_an_equal_call_under_another_key_waits_for_the_first(at: Rig) -> None:
    run, asked = await at.open(), {"amount": 5, "reference": "ref-1"}
    await lost(at, run, "POST", REFUNDS, asked, applied=True, Idempotency_Key="sdk-1")
    keys: list[dict[str, Any]] = [{"Idempotency_Key": "sdk-2"}, {"Killcord_Step": "s"}, {}]
    for headers in keys:
        assert (await at.call(run.lease, "POST", REFUNDS, asked, **headers)).status == 409
    assert at.ledger.count("refunds") == 1
    assert (await at.call(run.lease, "POST", REFUNDS, {**asked, "amount": 6}, Idempotency_Key="sdk-3")).status == 201, "it is another call"


async def test_an_equal_call_goes_out_once_the_first_is_known_to_have_failed(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path) as at:
        run, asked = await at.open(), {"amount": 5}
        await lost(at, run, "POST", REFUNDS, asked, Idempotency_Key="sdk-1")
        held = await at.call(run.lease, "POST", REFUNDS, asked, Idempotency_Key="sdk-2")
        assert code(held) == "outcome-unknown"
        task = orjson.loads(held.body)["task_id"]
        await at.gateway.recovery.tasks.resolve(task, resolution="not_applied", note="looked", by="ops")
        for key in ("sdk-2", "sdk-3"):
            assert (await at.call(run.lease, "POST", REFUNDS, asked, Idempotency_Key=key)).status == 201, "people do pay twice"


async def test_an_unknown_call_of_another_workflow_or_tenant_holds_nothing_up(at: Rig) -> None:
    run, asked = await at.open(), {"amount": 5, "reference": "ref-1"}
    await lost(at, run, "POST", REFUNDS, asked, Idempotency_Key="sdk-1")
    other = await at.open()
    assert (await at.call(other.lease, "POST", REFUNDS, asked, Idempotency_Key="sdk-2")).status == 201


async def test_an_equal_call_waits_after_a_restart_too(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path, adapter=rig.ADAPTER) as before:
        run = await before.open()
        await lost(before, run, "POST", REFUNDS, {"amount": 5}, applied=True, Idempotency_Key="sdk-1")
    async with rig.assembled(tmp_path, before.ledger, adapter=rig.ADAPTER) as after:
        again = await after.call(run.lease, "POST", REFUNDS, {"amount": 5}, Idempotency_Key="sdk-2")
        assert (code(again), after.ledger.count("refunds")) == ("outcome-unknown", 1)
        (task,) = await after.gateway.resources.store.registry.tasks(run=run.run.run_id)
        assert orjson.loads(again.body)["task_id"] == task.task_id
        await after.gateway.recovery.tasks.resolve(task.task_id, resolution="applied", note="looked", by="ops")
        held = await after.call(run.lease, "POST", REFUNDS, {"amount": 5}, Idempotency_Key="sdk-2")
        assert (code(held), after.ledger.count("refunds")) == ("reply-not-kept", 1)


TOGETHER = rig.ADAPTER.replace(
    """    idempotency: {gateway: true}
    cost: {amount: {refund: request.body.amount}}
""",
    """    idempotency: {gateway: true, own: together}
    cost: {amount: {refund: request.body.amount}}
""",
)


async def test_equal_calls_under_keys_made_up_by_a_client_are_one(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path, adapter=TOGETHER) as before:
        run = await before.open(workflow_id="wf")
        replies = [await before.call(run.lease, "POST", REFUNDS, {"amount": 80}, Idempotency_Key=f"sdk-{n}") for n in range(9)]
        assert [header(one, "idempotent-replayed") for one in replies] == [None, *["true"] * 8], "a tenth is a loop, and contained"
        assert {one.status for one in replies} == {201}
        other = await before.call(run.lease, "POST", REFUNDS, {"amount": 81}, Idempotency_Key="sdk-0")
        assert (other.status, code(other)) == (422, "key-reused")
    async with rig.assembled(tmp_path, before.ledger, adapter=TOGETHER) as after:
        requeued = await after.open(workflow_id="wf")
        keys: list[dict[str, Any]] = [{"Idempotency_Key": "sdk-0"}, {"Idempotency_Key": "sdk-99"}, {}]
        for headers in keys:
            again = await after.call(requeued.lease, "POST", REFUNDS, {"amount": 80}, **headers)
            assert header(again, "idempotent-replayed") == "true"
        assert after.ledger.count("refunds") == 1


async def test_a_key_that_an_equal_call_answered_stands_for_its_content(tmp_path: Path) -> None:
    """Also after a restart, and after the time in which equal calls are one; until what it stands for was undone."""
    text = TOGETHER.replace("own: together}", "own: together, window: 1s}")
    async with rig.assembled(tmp_path, adapter=text) as before:
        run = await before.open(workflow_id="wf")
        for key in ("k-1", "k-2", "k-2"):
            assert (await before.call(run.lease, "POST", REFUNDS, {"amount": 80}, Idempotency_Key=key)).status == 201
        other = await before.call(run.lease, "POST", REFUNDS, {"amount": 81}, Idempotency_Key="k-2")
        assert (other.status, code(other), before.ledger.count("refunds")) == (422, "key-reused", 1)
        named = [one.get("named") for one in await before.journal(run.run.run_id, "replay")]
        assert [one is None for one in named] == [False, True], "bound once, and found by that from then on"
    async with rig.assembled(tmp_path, before.ledger, adapter=text) as after:
        again = await after.open(workflow_id="wf")
        await asyncio.sleep(1.1)
        late = await after.call(again.lease, "POST", REFUNDS, {"amount": 80}, Idempotency_Key="k-2")
        assert (header(late, "idempotent-replayed"), after.ledger.count("refunds")) == ("true", 1)
        other = await after.call(again.lease, "POST", REFUNDS, {"amount": 81}, Idempotency_Key="k-2")
        assert (code(other), after.ledger.count("refunds")) == ("key-reused", 1)
        assert (await after.call(again.lease, "POST", REFUNDS, {"amount": 80}, Idempotency_Key="k-3")).status == 201
        assert after.ledger.count("refunds") == 2


async def test_equal_calls_at_once_under_made_up_keys_are_one(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path, adapter=TOGETHER) as at:
        run = await at.open()
        calls = [at.call(run.lease, "POST", REFUNDS, {"amount": 80}, Idempotency_Key=f"sdk-{n}") for n in range(12)]
        replies = await asyncio.gather(*calls)
        assert at.ledger.count("refunds") == 1
        assert {code(one) for one in replies} <= {None, "in-flight"}
