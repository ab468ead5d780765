"""Open calls: what a process left behind, over a real store; and what a look at it costs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.clients.clock import SystemClock
from gateway.control.upkeep import ROUND, Reconciler
from gateway.model.effect import State, Write
from gateway.stores.sqlite import SqliteStore
from gateway.stores.sqlite.database import READING
from gateway.stores.sqlite.log.opening import Expected
from gateway.stores.sqlite.store import open_store
from tests.support import journaling
from tests.support.journaling import typed

SETTLED = 100_000


class Clock(SystemClock):
    """The time of day stands still until a test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time


@dataclass(slots=True)
class Probed:
    """Stands for the line's probe: what it is asked, and what it finds."""

    asked: list[str] = field(default_factory=list)
    finds: dict[str, State | Exception] = field(default_factory=dict)
    store: SqliteStore | None = None

    async def __call__(self, write: Write) -> State:
        self.asked.append(write.target.id)
        found = self.finds.get(write.target.id, State.UNKNOWN)
        if isinstance(found, Exception):
            raise found
        if found is not State.UNKNOWN:
            await self.concluded(write, "success" if found is State.STANDING else "failed")
        return found

    async def concluded(self, write: Write, result: str) -> None:
        assert self.store is not None
        said = journaling.reconciliation(write.target.id, result=result) | {"target": journaling.target(write.target.id)}
        await self.store.journal.append(typed(said))

    async def abandoned(self, write: Write) -> None:
        await self.concluded(write, "unknown")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path, Clock(), Expected(key=b"k" * 32))
    yield opened
    await opened.close()


async def left_open(store: SqliteStore, *names: str) -> None:
    await asyncio.gather(*(store.journal.intend(journaling.opening(name, id_=name)) for name in names))


def reconciler(store: SqliteStore, probed: Probed, clock: Clock, live: Sequence[str] = ()) -> Reconciler:
    probed.store = store
    return Reconciler(store.writes, clock, probed, probed.abandoned, live)


async def test_what_a_process_left_open_is_unknown_once_and_what_is_carried_is_left_alone(store: SqliteStore) -> None:
    await left_open(store, "a", "b", "c")
    one = reconciler(store, Probed(), Clock(), live=(journaling.wire_key("b"),))
    assert await one.adopt() == 2
    before = store.journal.health().seq
    assert await one.adopt() == 0, "recover(recover(s)) = recover(s)"
    assert store.journal.health().seq == before
    states = {write.target.id: write.state for write in await store.writes.unsettled()}
    assert states == {"a": State.UNKNOWN, "b": State.IN_FLIGHT, "c": State.UNKNOWN}


async def test_a_thousand_open_calls_are_adopted_in_few_transactions(store: SqliteStore) -> None:
    await left_open(store, *(f"inv_{number}" for number in range(1000)))
    one = reconciler(store, Probed(), Clock())
    async with asyncio.timeout(5):
        assert await one.adopt() == 1000


async def test_every_unknown_is_probed_and_what_stays_unknown_ever_less_often(store: SqliteStore) -> None:
    await left_open(store, "a", "b", "c")
    clock, probed = Clock(), Probed(finds={"a": State.STANDING, "b": State.FAILED})
    one = reconciler(store, probed, clock)
    await one.tick()
    assert sorted(probed.asked) == ["a", "b", "c"]
    assert [write.target.id for write in await store.writes.unsettled()] == ["c"]
    probed.asked.clear()
    await one.tick()
    assert probed.asked == [], "not at once again"
    clock.time += 60.0
    await one.tick()
    assert probed.asked == ["c"]


async def test_one_that_cannot_be_probed_keeps_no_other_from_it(store: SqliteStore) -> None:
    await left_open(store, *(f"inv_{number:03}" for number in range(ROUND + 2)))
    probed = Probed(finds={f"inv_{number:03}": State.STANDING for number in range(ROUND + 2)} | {"inv_000": OSError("broken")})
    one = reconciler(store, probed, Clock())
    with pytest.raises(OSError, match="broken"):
        await one.tick()
    assert len(probed.asked) == ROUND
    await one.tick()
    assert [write.target.id for write in await store.writes.unsettled()] == ["inv_000"]


async def test_a_scan_costs_as_much_as_there_is_open_whatever_was_settled(tmp_path: Path) -> None:
    opened = await open_store(tmp_path, Clock(), Expected(key=b"k" * 32))
    await left_open(opened, "settled", *(f"inv_{number}" for number in range(20)))
    await opened.journal.append(typed(journaling.outcome("settled", id_="settled")))
    await opened.close()
    database = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        steps(connection)  # the first one reads the schema
        few = steps(connection)
        copied(connection, SETTLED)
        many = steps(connection)
        connection.execute("DELETE FROM writes WHERE seq > 1000")  # no entry gives them: the start would find them
        connection.commit()
    assert few == many
    opened = await open_store(tmp_path, Clock(), Expected(key=b"k" * 32))
    assert await reconciler(opened, Probed(), Clock()).adopt() == 20
    await opened.close()


def steps(connection: sqlite3.Connection) -> int:
    """What SQLite does for a scan, counted in steps of its own machine."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    connection.set_progress_handler(count, 1)
    assert len(connection.execute(READING["unsettled_writes"]).fetchall()) == 20
    connection.set_progress_handler(None, 1)
    return counted


def copied(connection: sqlite3.Connection, count: int) -> None:
    """So many more settled writes, each like the one that is there."""
    columns = [row[1] for row in connection.execute("PRAGMA table_info(writes)")]
    other = {"seq": "1000 + n", "key_digest": "'copy ' || n", "wire_key": "'copy ' || n"}
    taken = ", ".join(other.get(name, name) for name in columns)
    connection.execute(
        f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "
        f"INSERT INTO writes ({', '.join(columns)}) SELECT {taken} FROM writes, numbers WHERE state = 'standing'"
    )
    connection.commit()
