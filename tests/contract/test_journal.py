"""What any journal owes: order, one history, one opening of each attempt, exact charges."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable

import orjson
import pytest
from msgspec.structs import replace

from gateway.core.codec.entry import of_fields
from gateway.core.journal import chain
from gateway.model.effect import Charge
from gateway.model.entry import Head, Position, Sealed
from gateway.ports.journal import IntentRefused, Query
from gateway.stores.sqlite import SqliteStore
from tests.contract.conftest import Reopen
from tests.support import journaling as make


async def lines(store: SqliteStore) -> list[bytes]:
    found: list[bytes] = []
    while page := await store.history.lines(Query(after=f"{store.journal.stream}/{len(found)}", limit=1000)):
        found += page
    return found


async def last(store: SqliteStore) -> dict[str, object]:
    return orjson.loads((await lines(store))[-1])  # type: ignore[no-any-return]


def charges(scope: str, **limits: int | None) -> tuple[Charge, ...]:
    return tuple(Charge(scope, name, 1, limit) for name, limit in limits.items())


async def test_posts_and_appends_stand_in_the_order_they_were_handed_in(store: SqliteStore) -> None:
    positions = [store.journal.post(of_fields(make.read(f"inv_{number}"))) for number in range(10)]
    positions.append(await store.journal.append(of_fields(make.read("inv_10"))))
    assert [position.seq for position in positions] == list(range(1, 12))
    assert [orjson.loads(line)["target"]["id"] for line in await lines(store)] == [f"inv_{number}" for number in range(11)]


async def test_an_appended_entry_is_there_when_append_returns(store: SqliteStore) -> None:
    position = await store.journal.append(of_fields(make.read()))
    line, entry = await store.history.line(position), await store.history.entry(position)
    assert line is not None
    assert line == chain.canonical(orjson.loads(line))
    assert entry == of_fields(orjson.loads(line))
    assert await store.history.entry(Position(store.journal.stream, position.seq + 1)) is None
    assert await store.history.entry(Position("st_other", position.seq)) is None


async def test_a_posted_entry_is_found_by_anyone_who_asks_after_it_was_reported(store: SqliteStore) -> None:
    position = store.journal.post(of_fields(make.read("inv_1")))
    assert await store.history.entry(position) is not None
    store.journal.post(of_fields(make.read("inv_2")))
    found = await store.history.lines(Query(after=str(position)))
    assert [orjson.loads(line)["target"]["id"] for line in found] == ["inv_2"]


async def test_a_post_reaches_the_disk_without_being_awaited(reopen: Reopen) -> None:
    store = await reopen()
    for number in range(1000):
        store.journal.post(of_fields(make.read(f"inv_{number}")))
    assert store.journal.health().lag > 0
    store = await reopen()
    assert len(await lines(store)) == 1000


async def test_the_stream_and_its_chain_continue_after_a_restart(reopen: Reopen) -> None:
    store = await reopen()
    stream = store.journal.stream
    await store.journal.append(of_fields(make.read()))
    store = await reopen()
    assert store.journal.stream == stream
    assert await store.journal.append(of_fields(make.read())) == Position(stream, 2)
    verified = chain.verify(await lines(store))
    assert verified.finding is None
    assert verified.streams == {stream: 2}


async def test_the_tail_is_the_newest_durable_entry(reopen: Reopen) -> None:
    store = await reopen()
    assert await store.history.tail() == Head(store.journal.stream, 0, chain.GENESIS, "", "")
    await store.journal.append(of_fields(make.read()))
    tail = await store.history.tail()
    assert tail.seq == 1
    assert tail.ts == make.STAMP
    assert tail.hash == (await last(store))["hash"]
    assert await (await reopen()).history.tail() == tail


async def test_an_entry_that_is_invalid_takes_no_seq(store: SqliteStore) -> None:
    for broken in (
        make.read(confidence=0.5),
        {"ts": make.STAMP},
        make.entry("outcome"),
        make.entry("nonsense"),
    ):
        with pytest.raises((TypeError, KeyError, ValueError)):
            store.journal.post(of_fields(broken))
    with pytest.raises(ValueError, match="intend"):
        await store.journal.append(make.opening("a").entry)
    assert await store.journal.append(of_fields(make.read())) == Position(store.journal.stream, 1)


async def test_one_of_two_hundred_calls_opens_an_attempt(store: SqliteStore) -> None:
    results = await asyncio.gather(*[store.journal.intend(make.opening("a")) for _ in range(200)])
    assert Counter(make.code(result) for result in results) == {"opened": 1, "in-flight": 199}
    assert sorted((result if isinstance(result, Position) else result.position).seq for result in results) == list(range(1, 201))
    assert Counter(orjson.loads(line)["kind"] for line in await lines(store)) == {"intent": 1, "refusal": 199}
    assert await store.registry.counters("run:run_1") == {"steps": 200}


async def test_a_taken_attempt_stays_taken_after_a_restart_and_the_next_one_is_free(reopen: Reopen) -> None:
    store = await reopen()
    assert make.code(await store.journal.intend(make.opening("a"))) == "opened"
    store = await reopen()
    assert make.code(await store.journal.intend(make.opening("a"))) == "in-flight"
    assert make.code(await store.journal.intend(make.opening("a", attempt=2))) == "opened"
    assert make.code(await store.journal.intend(make.opening("b"))) == "opened"


async def test_a_refused_intent_leaves_its_refusal_in_the_same_place_and_nothing_else(store: SqliteStore) -> None:
    blob = make.sealed()
    charged = (Charge("run:run_1", "writes", 1, 5), Charge("workflow:acme/wf_1", "amount:refund", 700, 600))
    result = await store.journal.intend(make.opening("a", charges=charged, blobs=(blob,)))
    assert isinstance(result, IntentRefused)
    assert result.code == "blast-radius"
    assert result.position.seq == 1
    refusal = await last(store)
    assert (refusal["kind"], refusal["code"], refusal["seq"]) == ("refusal", "blast-radius", 1)
    assert refusal["violated"] == [{"scope": "workflow:acme/wf_1", "name": "amount:refund", "limit": 600, "used": 0, "asked": 700}]
    assert await store.registry.counters("run:run_1") == {"steps": 1}
    assert await store.writes.by_wire_key(make.wire_key("a")) is None
    assert await store.blobs.blob(blob.ref) is None
    assert make.code(await store.journal.intend(make.opening("a"))) == "opened"


async def test_an_intent_in_flight_is_refused_as_such(store: SqliteStore) -> None:
    await store.journal.intend(make.opening("a"))
    assert make.code(await store.journal.intend(make.opening("a"))) == "in-flight"
    assert (await last(store))["code"] == "in-flight"


async def test_charges_are_exact_for_run_workflow_and_tenant_under_load(reopen: Reopen) -> None:
    store = await reopen()

    async def write(number: int) -> Position | IntentRefused:
        run = f"run:run_{number % 4}"
        asked = charges(run, writes=30) + charges("workflow:acme/wf_1", writes=100) + charges("tenant:acme", records=95)
        return await store.journal.intend(make.opening(f"key {number}", charges=asked))

    results = await asyncio.gather(*[write(number) for number in range(200)])
    assert Counter(make.code(result) for result in results) == {"opened": 95, "blast-radius": 105}
    assert (await store.registry.counters("tenant:acme"))["records"] == 95
    assert (await store.registry.counters("workflow:acme/wf_1"))["writes"] == 95
    assert sum([(await store.registry.counters(f"run:run_{number}")).get("writes", 0) for number in range(4)]) == 95
    store = await reopen()
    assert make.code(await store.journal.intend(make.opening("later", charges=charges("tenant:acme", records=95)))) == "blast-radius"
    assert make.code(await store.journal.intend(make.opening("later", charges=charges("tenant:acme", records=96)))) == "opened"


async def test_a_limit_is_on_all_that_one_intent_charges_together(store: SqliteStore) -> None:
    twice = (Charge("run:run_1", "records", 3, 5), Charge("run:run_1", "records", 3, 5))
    result = await store.journal.intend(make.opening("a", charges=twice))
    assert isinstance(result, IntentRefused)
    assert result.code == "blast-radius"
    assert result.entry.violated is not None
    assert (result.entry.violated[0].used, result.entry.violated[0].asked) == (3, 3)


async def test_distinct_members_are_counted_once_each(reopen: Reopen) -> None:
    store = await reopen()

    def reaching(name: str, system: str, limit: int = 2) -> Awaitable[Position | IntentRefused]:
        return store.journal.intend(make.opening(name, charges=(Charge("run:run_1", "systems", 1, limit, member=system),)))

    assert make.code(await reaching("a", "erp")) == "opened"
    assert make.code(await reaching("b", "erp")) == "opened"
    assert make.code(await reaching("c", "crm")) == "opened"
    store = await reopen()
    assert make.code(await reaching("d", "crm")) == "opened"
    assert make.code(await reaching("e", "bank")) == "blast-radius"
    assert (await store.registry.counters("run:run_1"))["systems"] == 2


async def test_a_charge_without_a_limit_counts_nevertheless(store: SqliteStore) -> None:
    for name in "abc":
        await store.journal.intend(make.opening(name, charges=charges("run:run_1", records=None)))
    assert (await store.registry.counters("run:run_1"))["records"] == 3


async def test_an_intent_whose_entry_holds_other_charges_is_refused(store: SqliteStore) -> None:
    good = make.opening("a", charges=charges("run:run_1", writes=5))
    with pytest.raises(ValueError, match="not those of the request"):
        await store.journal.intend(replace(good, entry=replace(good.entry, charges=())))


async def test_steps_count_as_soon_as_they_are_taken(reopen: Reopen) -> None:
    store = await reopen()
    for number in range(50):
        store.journal.post(of_fields(make.read(f"inv_{number}")))
        assert await store.registry.counters("run:run_1") == {"steps": number + 1}
    store.journal.post(make.typed(make.entry("refusal", code="x")))
    store.journal.post(make.typed(make.entry("refusal", code="x", metered=True)))
    assert await store.registry.counters("workflow:acme/wf_1") == {"steps": 51}
    assert await (await reopen()).registry.counters("run:run_1") == {"steps": 51}


async def test_blobs_stand_with_the_entry_that_names_them(reopen: Reopen) -> None:
    store = await reopen()
    kept, reply = make.sealed(), make.sealed("globex")
    await store.journal.intend(make.opening("a", blobs=(kept,)))
    await store.journal.append(of_fields(make.outcome("a", reply_ref=reply.ref)), (reply, kept))
    store = await reopen()
    assert await store.blobs.blob(kept.ref) == kept
    assert await store.blobs.blob(reply.ref) == Sealed(reply.ref, "globex", reply.data)
    assert await store.blobs.blob("sha256:none") is None
    assert await store.blobs.blobs([kept.ref, "sha256:none", reply.ref, kept.ref]) == {
        kept.ref: kept,
        reply.ref: Sealed(reply.ref, "globex", reply.data),
    }
    assert await store.blobs.blobs([]) == {}


async def test_entries_are_found_by_run_tenant_and_kind_in_pages(store: SqliteStore) -> None:
    for number in range(30):
        store.journal.post(of_fields(make.read() | {"run_id": f"run_{number % 3}", "tenant": "acme" if number % 2 else "globex"}))
    await store.journal.append(of_fields(make.BARRIER))

    async def seqs(**query: object) -> list[int]:
        return [orjson.loads(line)["seq"] for line in await store.history.lines(Query(**query))]  # type: ignore[arg-type]

    assert await seqs(limit=3) == [1, 2, 3]
    assert await seqs(run="run_1", limit=4) == [2, 5, 8, 11]
    assert await seqs(run="run_1", after=f"{store.journal.stream}/11", limit=2) == [14, 17]
    assert await seqs(tenant="globex", limit=3) == [1, 3, 5]
    assert await seqs(tenant="globex", run="run_1", kind="read") == [5, 11, 17, 23, 29]
    assert await seqs(kind="trigger") == [31]
    assert await seqs(kind="read", after=f"{store.journal.stream}/29") == [30]
    assert await seqs(after=f"{store.journal.stream}/31") == []
    for cursor in ("st_other/3", "3", "x/y", f"{store.journal.stream}/"):
        with pytest.raises(ValueError, match="not a cursor"):
            await seqs(after=cursor)


async def test_the_head_that_was_signed_last_is_kept(reopen: Reopen) -> None:
    store = await reopen()
    await store.journal.append(of_fields(make.read()))
    first = await store.history.tail()
    await store.journal.append(of_fields(make.read()))
    second = await store.history.tail()
    for tail, note in ((first, "note 1"), (second, "note 2")):
        await store.history.keep_head(Head(tail.stream, tail.seq, tail.hash, tail.ts, note))
    assert [head.note for head in await (await reopen()).history.heads()] == ["note 2"]


async def test_the_first_kept_tenant_key_wins_until_it_is_forgotten(reopen: Reopen) -> None:
    store = await reopen()
    assert await store.blobs.tenant_key("acme") is None
    found = await asyncio.gather(*[store.blobs.keep_tenant_key("acme", bytes([number])) for number in range(20)])
    assert len(set(found)) == 1
    store = await reopen()
    assert await store.blobs.tenant_key("acme") == found[0]
    assert await store.blobs.forget_tenant_key("acme")
    assert not await store.blobs.forget_tenant_key("acme")
    assert await (await reopen()).blobs.tenant_key("acme") is None
