"""Signs against a naive reading of their words over random entries, and the same signs whenever, and with whomever, they are read."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from gateway.clients.clock import SystemClock
from gateway.control.triggers.catch_up import CatchUp
from gateway.control.triggers.monitor import TriggerWindows
from gateway.core import timestamps
from gateway.core.codec import record
from gateway.core.codec.entry import fields as fields_of
from gateway.core.triggers.window import Share, Thresholds, Times
from gateway.model.effect import Charge
from gateway.model.entries import IntentEntry
from gateway.model.entry import Position
from gateway.model.run import Limits, Run
from gateway.model.trigger import Trigger
from gateway.ports.journal import Journal
from gateway.stores.sqlite import open_store
from gateway.stores.sqlite.log.opening import Expected
from tests.support import journaling
from tests.support.journaling import typed

LIMITS = Limits(writes=8, records=12, tenants=4, systems=4)
RUN = Run(run_id="run_1", workflow_id="wf_1", tenant="acme", agent_id="billing", task_class="default", limits=LIMITS)
SMALL = Thresholds(
    loop=Times(3, 10.0),
    repeats=Times(4, 6.0),
    failures=Times(3, 6.0),
    unknown=Times(2, 10.0),
    writes=Share(0.5, 2),
    writes_within=5.0,
    records=Share(0.5, 2),
    tenants=Share(0.5, 2),
    systems=Share(0.5, 2),
    blast_within=5.0,
)


class Told(Struct, frozen=True):
    """One entry: ``after`` is how long after the one before, in halves of a second. ``put off`` is the newest intent's outcome, a 429."""

    kind: str
    after: int
    content: int
    amount: int = 1
    member: str = "a"
    run: int = 1

    def fields(self, at: float, newest: int = 0) -> dict[str, Any]:
        """``newest`` is the seq of the newest intent."""
        name = f"run_{self.run}"
        requested = {"method": "PATCH", "path": "/x", "args_digest": f"sha256:{self.content}", "args_ref": "sha256:args"}
        match self.kind:
            case "intent":
                fields = fields_of(journaling.opening("k").entry)
                charges = [
                    {"scope": f"run:{name}", "name": "tenants", "amount": 1, "member": self.member},
                    {"scope": f"run:{name}", "name": "records", "amount": self.amount},
                    {"scope": "workflow:acme/wf_1", "name": "records", "amount": 100},
                ]
                more: dict[str, Any] = {"charges": charges, "requested": requested, "effect": "write"}
            case "replay":
                fields = journaling.entry("replay", tool="erp", action="invoice.update")
                more = {"effect": "write", "requested": requested}
            case "in-flight":
                fields, more = journaling.entry("refusal", tool="erp", action="invoice.update", code="in-flight"), {"metered": True}
            case "put off":
                fields, more = journaling.outcome("k", result="failed", status=429), {"effect": "write", "intent": f"st_1/{newest}"}
            case result:
                fields, more = journaling.outcome("k", result=result, status=422), {"effect": "write"}
        return {**fields, **more, "run_id": name, "ts": timestamps.rfc3339(at)}


told = st.builds(
    Told,
    st.sampled_from(["intent", "intent", "replay", "in-flight", "success", "failed", "unknown", "put off"]),
    st.integers(0, 5),
    st.integers(0, 2),
    st.integers(1, 4),
    st.sampled_from("abc"),
)


def at_times(found: Sequence[Told]) -> list[tuple[Told, float]]:
    """Each with its time; halves of seconds are exact."""
    now, timed = 1_790_000_000.0, []
    for one in found:
        now += one.after / 2
        timed.append((one, now))
    return timed


def watching(*runs: int) -> TriggerWindows:
    watches = TriggerWindows(SMALL)
    for number in runs:
        watches.begin_call(replace(RUN, run_id=f"run_{number}"), 0)
    return watches


def newest_intent(found: Sequence[tuple[Told, float]], place: int) -> int | None:
    """The place of the newest intent of its run before an entry."""
    before = [number for number, (each, _) in enumerate(found[:place]) if (each.kind, each.run) == ("intent", found[place][0].run)]
    return before[-1] if before else None


def seen(watches: TriggerWindows, found: Sequence[tuple[Told, float]]) -> list[tuple[int, Trigger]]:
    """What each entry, by its place, sets off."""
    fired: list[tuple[int, Trigger]] = []
    for place, (each, at) in enumerate(found):
        newest = newest_intent(found, place)
        fields = each.fields(at, 0 if newest is None else newest + 1)
        fired += [(place, one) for one in watches.observe(typed(fields), Position("st_1", place + 1))]
    return fired


# --- by the words ------------------------------------------------------------------------------------------------------


def naive(timed: Sequence[tuple[Told, float]]) -> list[tuple[int, str, str]]:
    """At every entry, everything since the last firing is read again from the beginning."""
    fired: list[tuple[int, str, str]] = []
    since = {"loop": {0: -1, 1: -1, 2: -1}, "repeats": -1, "failures": -1, "volume": -1, "records": -1, "tenants": -1}
    put_off: set[int] = set()

    def recent(last: Any, within: float, place: int, kinds: set[str], *, but: Set[int] = frozenset()) -> list[Told]:
        now, numbers = timed[place][1], range(last + 1, place + 1)
        return [
            timed[number][0]
            for number in numbers
            if timed[number][0].kind in kinds and timed[number][1] > now - within and number not in but
        ]

    for place, (one, _) in enumerate(timed):
        if one.kind == "put off" and (newest := newest_intent(timed, place)) is not None:
            put_off.add(newest)
        if one.kind in ("intent", "replay"):
            last = since["loop"]
            assert isinstance(last, dict)
            asked = recent(last[one.content], 10.0, place, {"intent", "replay"}, but=put_off)
            if len([each for each in asked if each.content == one.content]) >= 3:
                fired.append((place, "anomaly.loop", ""))
                last[one.content] = place
        if one.kind == "intent":
            for of, total in (
                ("tenants", len({each.member for each in recent(since["tenants"], 5.0, place, {"intent"})})),
                ("records", sum(each.amount for each in recent(since["records"], 5.0, place, {"intent"}, but=put_off))),
            ):
                if total >= {"tenants": 2, "records": 6}[of]:
                    since[of] = place
                    # One entry is told to spread in one way, though it may in several.
                    if fired[-1:] != [(place, "blast.rate", "tenants")]:
                        fired.append((place, "blast.rate", of))
            if len(recent(since["volume"], 5.0, place, {"intent"}, but=put_off)) >= 4:
                fired.append((place, "anomaly.mutation-volume", ""))
                since["volume"] = place
        if one.kind in ("failed", "unknown") and len(recent(since["failures"], 6.0, place, {"failed", "unknown"})) >= 3:
            fired.append((place, "anomaly.retry-spike", "failures"))
            since["failures"] = place
        answers = one.kind in ("replay", "success", "failed", "unknown", "put off")
        if answers and len(recent(since["repeats"], 6.0, place, {"replay", "in-flight"})) >= 4:
            fired.append((place, "anomaly.retry-spike", "repeats"))
            since["repeats"] = place
    return fired


LOOKED_AT = {"anomaly.loop", "anomaly.retry-spike", "anomaly.mutation-volume", "blast.rate"}


@settings(max_examples=300)
@given(st.lists(told, max_size=40))
def test_signs_are_what_their_words_say(found: list[Told]) -> None:
    timed = at_times(found)
    fired = [(place, one.name, str(one.facts.get("of", ""))) for place, one in seen(watching(1), timed) if one.name in LOOKED_AT]
    assert sorted(fired) == sorted(naive(timed))


@settings(max_examples=100)
@given(st.lists(told, max_size=40))
def test_evidence_ends_with_the_entry_and_names_none_that_came_later(found: list[Told]) -> None:
    for place, one in seen(watching(1), at_times(found)):
        numbers = [int(each.partition("/")[2]) for each in one.evidence]
        assert numbers
        assert numbers == sorted(numbers)
        assert numbers[-1] <= place + 1
        assert one.count >= one.threshold or one.name == "uncertain.low-confidence"


@settings(max_examples=100)
@given(st.lists(st.tuples(told, st.integers(1, 3)), max_size=60))
def test_a_runs_entries_change_nothing_for_another(mixed: list[tuple[Told, int]]) -> None:
    timed = [(replace(one, run=run), at) for (one, at), (_, run) in zip(at_times([one for one, _ in mixed]), mixed, strict=True)]
    together = [(timed[place][0].run, timed[place][1], one.name, one.count) for place, one in seen(watching(1, 2, 3), timed)]
    for run in (1, 2, 3):
        alone = [(one, at) for one, at in timed if one.run == run]
        by_itself = [(run, alone[place][1], one.name, one.count) for place, one in seen(watching(run), alone)]
        assert by_itself == [each for each in together if each[0] == run]


# --- stopped, and caught up ---------------------------------------------------------------------------------------------


class Collected:
    """Answers nothing; keeps what was set off."""

    def __init__(self) -> None:
        self.triggers: list[Trigger] = []

    def enqueue(self, run_id: str, generation: int, trigger: Trigger) -> None:
        self.triggers.append(trigger)


async def kept(journal: Journal, fields: dict[str, Any], place: int) -> Position:
    """Journaled as what it is; each intent under a key of its own."""
    if fields["kind"] != "intent":
        return await journal.append(typed(fields))
    charges = tuple(Charge(one["scope"], one["name"], one["amount"], None, member=one.get("member")) for one in fields["charges"])
    opening = journaling.opening(f"key-{place}", charges=charges)
    entry, own = typed(fields), opening.entry
    assert isinstance(entry, IntentEntry)
    entry = replace(entry, idempotency_key=own.idempotency_key, key=own.key, attempt=own.attempt)
    opened = await journal.intend(replace(opening, entry=entry))
    assert isinstance(opened, Position)
    return opened


def response_of(position: Position, trigger: Trigger) -> Mapping[str, Any]:
    return {
        "trigger": str(position),
        "name": trigger.name,
        "action": "none",
        "verdict": "recoverable",
        "rollback": False,
        "why": "x",
        "revision": "r",
    }


@settings(max_examples=25)
@given(st.lists(told, min_size=1, max_size=15), st.data())
async def test_stopped_and_caught_up_the_same_is_set_off(found: list[Told], data: st.DataObject) -> None:
    """All of it within the longest window, which is what is read again.

    The journal has each trigger's own entry and its response, as long as the gateway ran; one that died in between is told again.
    """
    clock = SystemClock()
    began = clock.now() - len(found) * 2.5 - 5
    timed = [(one, at - 1_790_000_000.0 + began) for one, at in at_times(found)]
    in_one_go = [(place, one.name) for place, one in seen(watching(1), timed)]
    stop = data.draw(st.integers(0, len(found)))
    answered = data.draw(st.booleans())
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(Path(folder), clock, Expected(key=b"k" * 32))
        try:
            run = replace(RUN, opened_at=began, expires_at=clock.now() + 3_600)
            await store.journal.append(typed({**journaling.run_entry(run), "ts": timestamps.rfc3339(began)}))
            watches, before, seqs = watching(1), list[tuple[int, str]](), dict[int | None, int]()
            for place, (one, at) in enumerate(timed[:stop]):
                fields = one.fields(at, seqs.get(newest_intent(timed, place), 0))
                position = await kept(store.journal, fields, place)
                seqs[place] = position.seq
                fired = watches.observe(typed(fields), position)
                before += [(place, each.name) for each in fired]
                if place == stop - 1 and not answered:
                    break
                for each in fired:
                    entry = journaling.entry("trigger", trigger=record.TRIGGER.journal(each)) | {"ts": timestamps.rfc3339(at)}
                    told_at = await store.journal.append(typed(entry))
                    response = journaling.entry("response", **response_of(told_at, each)) | {"ts": timestamps.rfc3339(at)}
                    await store.journal.append(typed(response))
            again, late = TriggerWindows(SMALL), Collected()
            count = await CatchUp(store.history, store.registry, again, late, clock)()  # type: ignore[arg-type]
            unanswered = {name for place, name in before if place == stop - 1} if stop and not answered else set()
            assert {one.name for one in late.triggers} == unanswered
            assert count == len(unanswered)
            seqs |= {place: 10_000 + place for place in range(stop, len(timed))}
            after = [
                (place, one.name)
                for place, (each, at) in enumerate(timed[stop:], stop)
                for one in again.observe(
                    typed(each.fields(at, seqs.get(newest_intent(timed, place), 0))), Position(store.journal.stream, 10_000 + place)
                )
            ]
            assert before + after == in_one_go
        finally:
            await store.close()
