"""The journal on bad days: killed, out of space, stalled, left by its writer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace

from gateway import errors
from gateway.core.codec import record
from gateway.core.journal import chain
from gateway.model.effect import Charge
from gateway.model.entry import Position
from gateway.model.review import ApprovalStatus
from gateway.model.run import Mode
from gateway.stores.sqlite import SqliteStore
from gateway.stores.sqlite.log.journal import WAITING
from gateway.stores.sqlite.rebuilding import rebuild
from tests.support import journaling as make
from tests.support.approvals import DRAFT
from tests.support.journal_files import assert_rebuilt_alike, child, database, lines, opened, tables, until
from tests.support.journaling import typed


@pytest.mark.parametrize("acknowledged", [1, 40, 200])
async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, acknowledged: int) -> None:
    with child(tmp_path, "write") as process:
        assert process.stdout is not None
        acks = [process.stdout.readline().split() for _ in range(acknowledged)]
        process.kill()
        acks += [line.split() for line in process.stdout.read().splitlines() if line.count(" ") == 3]
    store = await opened(tmp_path)
    journal = await lines(store)
    assert chain.verify(journal).finding is None
    kinds = {entry["seq"]: entry["kind"] for entry in map(orjson.loads, journal)}
    for _, intent, _, outcome in acks:
        assert (kinds[int(intent)], kinds[int(outcome)]) == ("intent", "outcome")
    assert await store.journal.append(typed(make.read()))
    await store.close()


async def test_the_projections_are_those_of_the_entries_after_kill_9(tmp_path: Path) -> None:
    with child(tmp_path, "write") as process:
        assert process.stdout is not None
        for _ in range(100):
            process.stdout.readline()
    assert_rebuilt_alike(tmp_path)


async def test_rebuilding_from_the_entries_gives_the_same_tables(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    chance = random.Random(7)
    for number in range(8):
        await store.journal.append(typed(make.run_entry(make.other(run_id=f"run_{number}", agent_id=f"agent_{number % 2}"))))

    async def call(number: int) -> None:
        name = f"key {chance.randrange(150)}"
        charges = (Charge("run:run_1", "writes", 1, 120), Charge("run:run_1", "systems", 1, 3, member=chance.choice("abcd")))
        store.journal.post(typed(make.read(f"inv_{chance.randrange(20)}", f'"v{number}"')))
        if isinstance(await store.journal.intend(make.opening(name, charges=charges, id_=f"inv_{number % 20}")), Position):
            result = chance.choice(["success", "failed", "unknown", "denied"])
            await store.journal.append(typed(make.outcome(name, result=result, id_=f"inv_{number % 20}", after_version=f'"w{number}"')))
        if chance.random() < 0.3:
            store.journal.post(typed(make.reconciliation(name, result=chance.choice(["success", "failed"]))))
        if number == 200:
            await store.journal.append(typed(make.order_entry(make.order(Mode.REVOKED, agent="agent_1"))))

    await asyncio.gather(*[call(number) for number in range(400)])
    await store.journal.append(typed(make.run_entry(make.other(run_id="run_1", agent_id="agent_1", expires_at=9999.0), "renewed")))
    await store.close()
    filled = tables(tmp_path)
    assert all(filled[table] for table in ("writes", "sightings", "counters", "members", "runs", "orders"))
    assert_rebuilt_alike(tmp_path)


async def test_rebuilding_knows_what_was_asked_granted_and_spent(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for status in (ApprovalStatus.PENDING, ApprovalStatus.GRANTED):
        for name in ("apr_1", "apr_2"):
            asked = replace(DRAFT, approval_id=name, status=status, requested_at=1000.0)
            await store.journal.append(typed(make.entry("approval", change="asked", approval=record.APPROVAL.journal(asked))))
    await store.journal.intend(make.opening("a", approval_id="apr_1"))
    await store.journal.intend(make.opening("b", approval_id="apr_1"))
    await store.close()
    assert [row[6] for row in tables(tmp_path)["approvals"]] == ["used", "granted"]
    assert_rebuilt_alike(tmp_path)


def test_there_is_nothing_to_rebuild_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(errors.Misconfigured, match=r"no journal\.sqlite"):
        rebuild(tmp_path)


def fill_up(store: SqliteStore) -> Callable[[], Awaitable[None]]:
    """Let the database grow no more, as a full disk does; what is returned gives the room back."""

    async def give_room() -> None:
        store._database.writer.execute("PRAGMA max_page_count = 1000000")

    (pages,) = store._database.writer.execute("PRAGMA page_count").fetchone()
    store._database.writer.execute(f"PRAGMA max_page_count = {pages}")
    return give_room


async def test_a_full_disk_stops_the_journal_until_there_is_room_again(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.journal.append(typed(make.run_entry()))
    give_room = fill_up(store)
    charges = (Charge("run:run_1", "writes", 1, None),)
    taken = 0
    with contextlib.suppress(errors.JournalUnavailable):
        while taken < 1000:
            await store.journal.intend(make.opening(f"key {taken}", charges=charges, blobs=(make.sealed(),)))
            taken += 1
    assert taken < 1000
    health = store.journal.health()
    assert not health.ok
    assert "full" in health.reason
    with pytest.raises(errors.JournalUnavailable, match="full"):
        store.journal.post(typed(make.read()))
    with pytest.raises(errors.JournalUnavailable):
        await store.journal.append(typed(make.read()))
    with pytest.raises(errors.JournalUnavailable):
        await store.blobs.keep_tenant_key("acme", b"key")
    assert await store.registry.run("run_1") is not None
    await give_room()
    await until(lambda: store.journal.health().ok)
    # The attempt that failed left nothing: its key is free, its charge was not taken, its seq is given again.
    again = await store.journal.intend(make.opening(f"key {taken}", charges=charges))
    assert again == Position(store.journal.stream, taken + 2)
    assert await store.registry.counters("run:run_1") == {"steps": taken + 1, "writes": taken + 1}
    assert chain.verify(await lines(store)).finding is None
    await store.close()
    assert_rebuilt_alike(tmp_path)


async def test_all_that_waits_behind_a_failed_batch_fails_with_it(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.journal.append(typed(make.read("inv_1", '"before"')))
    give_room = fill_up(store)
    waiting = [store.journal.intend(make.opening(f"key {number}", blobs=tuple(make.sealed() for _ in range(20)))) for number in range(1500)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    durable = [result for result in results if isinstance(result, Position)]
    assert all(isinstance(result, errors.JournalUnavailable) for result in results if result not in durable)
    assert len(durable) < 1500
    assert store.journal.health().seq == len(durable) + 1
    assert store.journal.health().lag == 0
    await give_room()
    await until(lambda: store.journal.health().ok)
    journal = await lines(store)
    assert len(journal) == len(durable) + 1
    assert chain.verify(journal).finding is None
    await store.close()


async def test_a_sighting_that_never_reached_the_disk_is_forgotten(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.journal.append(typed(make.read("inv_1", '"before"')))
    fill_up(store)
    for _ in range(400):
        store.journal.post(typed(make.read("inv_1", '"never"', padding="x" * 2000)))
    seen = await store.sightings.by_run("run_1", "acme/erp/erp:invoice:inv_1")
    assert seen is not None
    assert seen.version == '"never"'
    await until(lambda: not store.journal.health().ok)
    seen = await store.sightings.by_run("run_1", "acme/erp/erp:invoice:inv_1")
    assert seen is not None
    assert seen.version == '"before"' or seen.seq <= store.journal.health().seq
    assert (await store.registry.counters("run:run_1"))["steps"] == store.journal.health().seq
    await store.close()


async def test_a_locked_file_is_a_failure_and_not_a_wait_without_end(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    with closing(database(tmp_path)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.JournalUnavailable):
            await asyncio.wait_for(store.journal.append(typed(make.read())), 20)
        assert "locked" in store.journal.health().reason
        intruder.execute("ROLLBACK")
    await until(lambda: store.journal.health().ok)
    assert (await store.journal.append(typed(make.read()))).seq == 1
    await store.close()


async def test_a_file_size_limit_stops_a_process_and_lifting_it_heals_it(tmp_path: Path) -> None:
    with child(tmp_path, "limited") as process:
        out, err = await asyncio.to_thread(process.communicate, timeout=60)
    said = [line.split() for line in out.splitlines()]
    acknowledged = [int(words[3]) for words in said if words[0] == "intent"]
    assert ["unavailable", "False"] in said, err
    assert ["posted"] not in said
    assert said[-1][0] == "healed"
    store = await opened(tmp_path)
    journal = await lines(store)
    assert chain.verify(journal).finding is None
    assert {orjson.loads(journal[seq - 1])["kind"] for seq in acknowledged} == {"outcome"}
    assert len(journal) == int(said[-1][1])
    await store.close()
    assert_rebuilt_alike(tmp_path)


async def test_a_stalled_disk_lets_only_so_many_entries_wait(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    gate_read, gate_write = os.pipe()
    blocked = asyncio.ensure_future(store.journal.perform(lambda _: os.read(gate_read, 1)))
    await asyncio.sleep(0)
    for _ in range(WAITING):
        store.journal.post(typed(make.read()))
    with pytest.raises(errors.JournalUnavailable, match="wait for the disk"):
        store.journal.post(typed(make.read()))
    assert store.journal.health().lag == WAITING
    os.write(gate_write, b"x")
    await blocked
    await until(lambda: store.journal.health().lag == 0)
    assert (await store.journal.append(typed(make.read()))).seq == WAITING + 1
    os.close(gate_read)
    os.close(gate_write)
    await store.close()


async def test_a_closed_journal_takes_nothing_and_can_be_closed_again(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    store.journal.post(typed(make.read()))
    await store.close()
    with pytest.raises(errors.JournalUnavailable, match="closed"):
        store.journal.post(typed(make.read()))
    await store.journal.close()
    assert not store.journal.health().ok


async def test_a_caller_that_goes_away_does_not_take_its_entry_along(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    gone = asyncio.ensure_future(store.journal.intend(make.opening("a")))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert make.code(await store.journal.intend(make.opening("a"))) == "in-flight"
    await store.close()


async def test_a_writer_that_dies_leaves_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    store = await opened(tmp_path)

    def broken(_: sqlite3.Connection) -> None:
        raise RuntimeError("a bug of ours")

    results = await asyncio.gather(
        store.journal.perform(broken), *[store.journal.append(typed(make.read())) for _ in range(50)], return_exceptions=True
    )
    assert all(isinstance(result, errors.JournalUnavailable) for result in results)
    assert "restart" in store.journal.health().reason
    with pytest.raises(errors.JournalUnavailable, match="restart"):
        store.journal.post(typed(make.read()))
    await asyncio.wait_for(store.close(), 10)
