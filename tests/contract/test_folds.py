"""What any store makes of its entries: writes, sightings, runs, orders, tasks."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.model.call import Compensation
from gateway.model.effect import Sighting, State
from gateway.model.entry import Position, Verification
from gateway.model.review import Task, TaskKind
from gateway.model.run import Mode, Run
from gateway.stores.sqlite import SqliteStore
from tests.contract.conftest import Reopen
from tests.support import journaling as make
from tests.support.journaling import typed

OBJECT = "acme/erp/erp:invoice:inv_1"


async def state(store: SqliteStore, name: str = "a") -> State:
    write = await store.writes.by_wire_key(make.wire_key(name))
    assert write is not None
    return write.state


async def test_an_intent_is_a_write_in_flight_with_all_that_it_said(reopen: Reopen) -> None:
    store = await reopen()
    opened = await store.journal.intend(make.opening("a", rollback_id="rb_1"))
    store = await reopen()
    write = await store.writes.latest("acme", "wf_1", make.digest("a"))
    assert write is not None
    assert write.key == make.key("a")
    assert (write.attempt, write.wire_key, write.state) == (1, make.wire_key("a"), State.IN_FLIGHT)
    assert (write.run_id, write.generation, write.step_id, write.tool, write.action) == ("run_1", 1, "auto-1", "erp", "invoice.update")
    assert write.target.object == OBJECT
    assert write.compensation == opening_compensation()
    assert (write.intent, write.outcome) == (opened, None)
    assert write.at == pytest.approx(1795550883.123456)
    assert (write.before_version, write.snapshot_ref, write.args_ref, write.rollback_id) == (
        '"v1"',
        "sha256:snapshot",
        "sha256:args",
        "rb_1",
    )
    assert write == await store.writes.by_wire_key(make.wire_key("a"))
    assert [write] == list(await store.writes.of_run("run_1"))


def opening_compensation() -> Compensation:
    declared = make.opening("a").entry.compensation
    assert declared is not None
    return declared.value


async def test_a_write_with_nothing_declared_is_for_a_person(store: SqliteStore) -> None:
    opening = make.opening("a")
    await store.journal.intend(replace(opening, entry=replace(opening.entry, compensation=None)))
    write = await store.writes.by_wire_key(make.wire_key("a"))
    assert write is not None
    assert (write.compensation.reversibility.value, write.compensation.remedy.value) == ("irreversible", "manual_review")


@pytest.mark.parametrize(
    ("result", "becomes"),
    [("success", State.STANDING), ("failed", State.FAILED), ("denied", State.FAILED), ("unknown", State.UNKNOWN)],
)
async def test_an_outcome_settles_the_write(store: SqliteStore, result: str, becomes: State) -> None:
    await store.journal.intend(make.opening("a"))
    position = await store.journal.append(
        typed(make.outcome("a", result=result, status=200, after_version='"v2"', reply_ref="sha256:reply") | {"verification": "passed"})
    )
    write = await store.writes.by_wire_key(make.wire_key("a"))
    assert write is not None
    assert (write.state, write.outcome, write.status) == (becomes, position, 200)
    assert (write.after_version, write.reply_ref, write.verification) == ('"v2"', "sha256:reply", Verification.PASSED)


async def test_an_unknown_outcome_is_cleared_by_a_reconciliation_alone(store: SqliteStore) -> None:
    await store.journal.intend(make.opening("a"))
    await store.journal.append(typed(make.outcome("a", result="unknown")))
    await store.journal.append(typed(make.outcome("a", result="failed")))
    assert await state(store) is State.UNKNOWN
    position = await store.journal.append(typed(make.reconciliation("a", result="success", after_version='"v3"')))
    write = await store.writes.by_wire_key(make.wire_key("a"))
    assert write is not None
    assert (write.state, write.outcome, write.after_version, write.reply_ref) == (State.STANDING, position, '"v3"', None)


async def test_a_settled_write_stays_settled(store: SqliteStore) -> None:
    for name, result, becomes in (("a", "success", State.STANDING), ("b", "failed", State.FAILED)):
        await store.journal.intend(make.opening(name))
        await store.journal.append(typed(make.outcome(name, result=result)))
        for later in (make.outcome(name, result="unknown"), make.reconciliation(name, result="failed"), make.reconciliation(name)):
            await store.journal.append(typed(later))
        assert await state(store, name) is becomes


async def test_what_is_decided_within_one_batch_is_decided_in_its_order(store: SqliteStore) -> None:
    await store.journal.intend(make.opening("a"))
    for later in (make.outcome("a", result="unknown"), make.reconciliation("a", result="failed"), make.outcome("a")):
        store.journal.post(typed(later))
    await store.journal.append(typed(make.read()))
    assert await state(store) is State.FAILED


async def test_the_latest_attempt_answers_for_a_key(store: SqliteStore) -> None:
    await store.journal.intend(make.opening("a"))
    await store.journal.append(typed(make.outcome("a", result="failed")))
    await store.journal.intend(make.opening("a", attempt=2))
    latest = await store.writes.latest("acme", "wf_1", make.digest("a"))
    assert latest is not None
    assert (latest.attempt, latest.state) == (2, State.IN_FLIGHT)
    assert await store.writes.latest("globex", "wf_1", make.digest("a")) is None
    assert await store.writes.latest("acme", "wf_2", make.digest("a")) is None


async def test_writes_in_flight_or_unknown_are_unsettled_oldest_first(store: SqliteStore) -> None:
    for name, result in (("a", "unknown"), ("b", "success"), ("c", "failed"), ("d", None), ("e", "unknown")):
        await store.journal.intend(make.opening(name))
        if result:
            await store.journal.append(typed(make.outcome(name, result=result)))
    assert [write.wire_key for write in await store.writes.unsettled()] == [make.wire_key(name) for name in "ade"]
    assert [write.wire_key for write in await store.writes.of_run("run_1")] == [make.wire_key(name) for name in "abcde"]


async def test_the_later_writes_of_an_object_are_those_that_did_not_fail(store: SqliteStore) -> None:
    first = await store.journal.intend(make.opening("a"))
    assert isinstance(first, Position)
    assert await store.writes.later("wf_1", OBJECT, 0)
    assert not await store.writes.later("wf_1", OBJECT, first.seq)
    await store.journal.intend(make.opening("b"))
    assert await store.writes.later("wf_1", OBJECT, first.seq)
    await store.journal.append(typed(make.outcome("b", result="failed")))
    assert not await store.writes.later("wf_1", OBJECT, first.seq)
    await store.journal.intend(make.opening("c", id_="inv_2"))
    assert not await store.writes.later("wf_1", OBJECT, first.seq)
    assert not await store.writes.later("wf_2", OBJECT, 0)


async def test_a_sighting_counts_as_soon_as_it_was_posted_and_after_a_restart(reopen: Reopen) -> None:
    store = await reopen()
    assert await store.sightings.by_run("run_1", OBJECT) is None
    for number in range(1, 20):
        position = store.journal.post(typed(make.read(version=f'"v{number}"')))
        assert await store.sightings.by_run("run_1", OBJECT) == Sighting(f'"v{number}"', position.seq)
        assert await store.sightings.by_workflow("wf_1", OBJECT) == Sighting(f'"v{number}"', position.seq)
    store = await reopen()
    assert await store.sightings.by_run("run_1", OBJECT) == Sighting('"v19"', 19)
    assert await store.sightings.by_workflow("wf_1", OBJECT) == Sighting('"v19"', 19)
    assert await store.sightings.by_workflow("wf_2", OBJECT) is None


async def test_a_read_without_version_or_object_is_no_sighting(store: SqliteStore) -> None:
    await store.journal.append(typed(make.read(version='"v1"')))
    await store.journal.append(typed(make.read(version=None)))
    await store.journal.append(typed(make.read("", version='"list"')))
    assert await store.sightings.by_run("run_1", OBJECT) == Sighting('"v1"', 1)
    assert await store.sightings.by_run("run_1", "acme/erp/erp:invoice:") is None


async def test_an_own_write_is_seen_at_its_version_or_as_unknown(reopen: Reopen) -> None:
    store = await reopen()
    await store.journal.append(typed(make.read(version='"v1"')))
    await store.journal.intend(make.opening("a"))
    await store.journal.append(typed(make.outcome("a", after_version='"v2"')))
    assert await store.sightings.by_run("run_1", OBJECT) == Sighting('"v2"', 3)
    await store.journal.intend(make.opening("b"))
    await store.journal.append(typed(make.outcome("b", result="failed", after_version='"v9"')))
    assert await store.sightings.by_run("run_1", OBJECT) == Sighting('"v2"', 3)
    await store.journal.intend(make.opening("c"))
    await store.journal.append(typed(make.outcome("c")))
    assert await store.sightings.by_run("run_1", OBJECT) == Sighting(None, 7)
    assert await (await reopen()).sightings.by_run("run_1", OBJECT) == Sighting(None, 7)


async def test_a_run_comes_back_as_it_was_opened(reopen: Reopen) -> None:
    store = await reopen()
    whole = make.other(parent_run="run_0", ancestors=("run_0",), tools=("erp",), mode=Mode.READ_ONLY, closed_at=1999.25)
    await store.journal.append(typed(make.run_entry(whole)))
    assert await store.registry.run("run_1") == whole
    store = await reopen()
    assert await store.registry.run("run_1") == whole
    assert await store.registry.run("run_2") is None


async def test_a_changed_run_is_seen_by_anyone_who_waited_for_it(store: SqliteStore) -> None:
    for number in range(1, 20):
        await store.journal.append(typed(make.run_entry(make.other(generation=number), "renewed")))
        run = await store.registry.run("run_1")
        assert run is not None
        assert run.generation == number


async def test_runs_are_listed_by_id_and_filtered(store: SqliteStore) -> None:
    for number in range(6):
        await store.journal.append(
            typed(
                make.run_entry(
                    make.other(
                        run_id=f"run_{number}",
                        tenant="acme" if number < 4 else "globex",
                        agent_id=f"agent_{number % 2}",
                        parent_run="run_0" if number == 3 else None,
                    )
                )
            )
        )

    async def ids(**query: object) -> list[str]:
        return [run.run_id for run in await store.registry.runs(**query)]  # type: ignore[arg-type]

    assert await ids(limit=2) == ["run_0", "run_1"]
    assert await ids(after="run_3") == ["run_4", "run_5"]
    assert await ids(tenant="acme", agent="agent_1") == ["run_1", "run_3"]
    assert await ids(parent="run_0") == ["run_3"]


async def revoked(store: SqliteStore, run_id: str) -> int:
    run = await store.registry.run(run_id)
    assert run is not None
    return run.revoked


async def test_a_revoking_order_ends_the_generations_of_every_open_run_it_matches(reopen: Reopen) -> None:
    store = await reopen()
    runs: list[Run] = [
        make.other(run_id="run_a", generation=3),
        make.other(run_id="run_b", ancestors=("run_a",), parent_run="run_a"),
        make.other(run_id="run_c", agent_id="other"),
        make.other(run_id="run_d", closed_at=1500.0),
    ]
    for run in runs:
        await store.journal.append(typed(make.run_entry(run)))
        assert await revoked(store, run.run_id) == 0
    await store.journal.append(typed(make.order_entry(make.order(Mode.REVOKED, run="run_a", subtree=True, tenant="acme"))))
    for _ in range(2):
        assert [await revoked(store, run.run_id) for run in runs] == [3, 1, 0, 0]
        assert [run.revoked for run in await store.registry.runs()] == [3, 1, 0, 0]
        store = await reopen()


async def test_an_order_that_revokes_one_tool_leaves_the_leases(store: SqliteStore) -> None:
    await store.journal.append(typed(make.run_entry()))
    await store.journal.append(typed(make.order_entry(make.order(Mode.REVOKED, agent="billing", tool="erp"))))
    assert await revoked(store, "run_1") == 0


async def test_a_revoked_generation_does_not_come_back_with_a_stale_run(store: SqliteStore) -> None:
    await store.journal.append(typed(make.run_entry()))
    store.journal.post(typed(make.order_entry(make.order(Mode.REVOKED, agent="billing"))))
    await store.journal.append(typed(make.run_entry(make.other(expires_at=9000.0), "renewed")))
    run = await store.registry.run("run_1")
    assert run is not None
    assert (run.revoked, run.expires_at) == (1, 9000.0)
    await store.journal.append(typed(make.run_entry(make.other(generation=2), "renewed")))
    run = await store.registry.run("run_1")
    assert run is not None
    assert (run.revoked, run.generation) == (1, 2)


async def test_other_orders_and_releases_revoke_nothing(store: SqliteStore) -> None:
    await store.journal.append(typed(make.run_entry()))
    await store.journal.append(typed(make.order_entry(make.order(Mode.QUARANTINED, run="run_1"))))
    await store.journal.append(typed(make.order_entry(make.order(Mode.REVOKED, epoch=2, run="run_1"), "released")))
    assert await revoked(store, "run_1") == 0


async def test_orders_are_kept_by_epoch_released_ones_too(reopen: Reopen) -> None:
    store = await reopen()
    first, second = make.order(Mode.PAUSED, epoch=1, everything=True), make.order(Mode.READ_ONLY, epoch=2, run="run_1", tool="erp")
    await store.journal.append(typed(make.order_entry(second)))
    await store.journal.append(typed(make.order_entry(first)))
    assert list(await store.registry.orders()) == [first, second]
    released = type(first)(
        **{name: getattr(first, name) for name in first.__struct_fields__} | {"released_at": 1600.25, "released_by": "ops"}
    )
    await store.journal.append(typed(make.order_entry(released, "released")))
    assert list(await (await reopen()).registry.orders()) == [released, second]


async def test_tasks_are_kept_and_resolved(reopen: Reopen) -> None:
    store = await reopen()
    tasks = [
        Task(
            task_id=f"tk_{n}",
            kind=TaskKind.OUTCOME_UNKNOWN,
            run_id=f"run_{n % 2}",
            tenant="acme",
            wire_keys=("kc-1",),
            summary="look",
            opened_at=1000.5,
        )
        for n in range(3)
    ]
    for task in tasks:
        await store.journal.append(typed(make.task_entry(task)))
    assert list(await store.registry.tasks()) == tasks
    assert list(await store.registry.tasks(run="run_0")) == [tasks[0], tasks[2]]
    assert list(await store.registry.tasks(after="tk_0", limit=1)) == [tasks[1]]
    done = Task(
        **{name: getattr(tasks[1], name) for name in Task.__struct_fields__}
        | {"resolution": "applied", "resolved_by": "ops", "note": "seen", "resolved_at": 2000.0}
    )
    await store.journal.append(typed(make.task_entry(done, "resolved")))
    assert list(await (await reopen()).registry.tasks(run="run_1")) == [done]


async def test_positions_name_the_stream(store: SqliteStore) -> None:
    opened = await store.journal.intend(make.opening("a"))
    assert opened == Position(store.journal.stream, 1)
