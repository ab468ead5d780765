"""Each sign at, below and past its threshold, over entries that a gateway wrote, at other times."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.control.triggers.monitor import TriggerWindows
from gateway.core import timestamps
from gateway.core.triggers.window import NAMES, REMEMBERED, SHOWN, Contents, Share, Thresholds, Watch, Window
from gateway.model.entry import Position
from gateway.model.run import Limits, Run
from gateway.model.trigger import Trigger
from tests.support.journaling import typed
from tests.support.triggering import recorded

BEGAN = 1_790_000_000.0


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Any]]:
    return asyncio.run(recorded(tmp_path_factory.mktemp("recorded")))


RUN = Run(run_id="run_1", workflow_id="run_1", tenant="acme", agent_id="billing", task_class="default")


@dataclass(slots=True)
class Seen:
    """Entries told one after the other, each at its time, and the names that they set off."""

    entries: Mapping[str, dict[str, Any]]
    watches: TriggerWindows = field(default_factory=lambda: TriggerWindows(Thresholds()))
    seq: int = 0

    def limited(self, **limits: Any) -> Seen:
        self.watches.begin_call(replace(RUN, limits=Limits(**limits)), 0)
        return self

    def tell(self, name: str, at: float = 0.0, *, run: str = "run_1", generation: int = 1, **more: Any) -> tuple[Trigger, ...]:
        self.seq += 1
        fields = {**self.entries[name], **more, "ts": timestamps.rfc3339(BEGAN + at), "run_id": run, "generation": generation}
        if "charges" in fields:
            mine = f"run:{self.entries[name]['run_id']}"
            fields["charges"] = [{**one, "scope": f"run:{run}"} if one["scope"] == mine else one for one in fields["charges"]]
        return self.watches.observe(typed(fields), Position("st_1", self.seq))

    def names(self, name: str, at: float = 0.0, **more: Any) -> list[str]:
        return [one.name for one in self.tell(name, at, **more)]

    def write(self, at: float = 0.0, content: int | None = None, **more: Any) -> list[str]:
        self.seq += content is None
        asked = {**self.entries["intent"]["requested"], "args_digest": f"sha256:{content if content is not None else f'own-{self.seq}'}"}
        return self.names("intent", at, requested=asked, **more)


@pytest.fixture
def seen(entries: Mapping[str, dict[str, Any]]) -> Seen:
    return Seen(entries)


def test_every_sort_of_entry_was_written(entries: Mapping[str, dict[str, Any]]) -> None:
    assert {
        "read",
        "intent",
        "replay",
        "outcome success",
        "outcome failed",
        "outcome unknown",
        "refusal in-flight write",
        "refusal policy-denied write",
        "refusal policy-denied read",
        "refusal tenant-boundary write",
        "refusal tenant-boundary read",
        "refusal blast-radius write",
    } <= entries.keys()


# --- counts within a window --------------------------------------------------------------------------------------------

COUNTED = [
    ("anomaly.loop", "replay", 10, 300.0),
    ("anomaly.retry-spike", "outcome failed", 5, 60.0),
    ("uncertain.outcome-unknown", "outcome unknown", 3, 300.0),
    ("policy.denied", "refusal policy-denied read", 5, 60.0),
]


@pytest.mark.parametrize(("name", "entry", "count", "within"), COUNTED)
def test_a_count_is_reached_at_its_number_and_not_before(seen: Seen, name: str, entry: str, count: int, within: float) -> None:
    fired = [name in seen.names(entry, number, parent_named=False) for number in range(2 * count)]
    assert fired == ([False] * (count - 1) + [True]) * 2


@pytest.mark.parametrize(("name", "entry", "count", "within"), COUNTED)
def test_what_is_as_old_as_the_window_is_long_counts_no_more(seen: Seen, name: str, entry: str, count: int, within: float) -> None:
    seen.names(entry, 0.0)
    assert not any(name in seen.names(entry, within) for _ in range(count - 1))
    assert name in seen.names(entry, within)


@pytest.mark.parametrize(("name", "entry", "count", "within"), COUNTED)
def test_what_is_a_moment_younger_counts(seen: Seen, name: str, entry: str, count: int, within: float) -> None:
    seen.names(entry, 0.0)
    told = [seen.names(entry, within - 0.001) for _ in range(count - 1)]
    assert [name in one for one in told] == [False] * (count - 2) + [True]


@pytest.mark.parametrize(("name", "entry", "count", "within"), COUNTED)
def test_its_evidence_are_the_entries_that_count(seen: Seen, name: str, entry: str, count: int, within: float) -> None:
    fired = [one for number in range(count) for one in seen.tell(entry, number) if one.name == name]
    assert [one.evidence for one in fired] == [tuple(f"st_1/{number + 1}" for number in range(count))]
    assert (fired[0].count, fired[0].threshold, fired[0].at) == (count, count, BEGAN + count - 1)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_off_never_fires(entries: Mapping[str, dict[str, Any]], name: str) -> None:
    on, off = Seen(entries), Seen(entries, TriggerWindows(Thresholds(off=frozenset({name}))))
    for seen in (on, off):
        seen.limited(steps=60, writes=20, records=20, tenants=5, systems=5)
    told_on = [one for number in range(60) for entry in entries for one in _told(on, entry, number)]
    told_off = [one for number in range(60) for entry in entries for one in _told(off, entry, number)]
    assert told_off == [one for one in told_on if one != name]


def _told(seen: Seen, entry: str, number: int) -> list[str]:
    return seen.names(entry, number) if seen.entries[entry].get("run_id") and seen.entries[entry]["kind"] != "run" else []


# --- one by one ---------------------------------------------------------------------------------------------------------


def test_writes_of_other_content_are_no_loop_and_replays_count_with_writes(seen: Seen) -> None:
    assert not any("anomaly.loop" in seen.write(content=number) for number in range(100))
    assert not any("anomaly.loop" in seen.write(content=7) for _ in range(8))
    assert seen.write(content=7) == ["anomaly.loop"]
    assert not any("anomaly.loop" in seen.write(content=7) for _ in range(9))
    assert seen.write(content=7) == ["anomaly.loop"]


@pytest.mark.parametrize("status", [412, 429, None])
def test_what_the_tool_put_off_or_never_saw_may_be_tried_again_as_often_as_it_takes(seen: Seen, status: int | None) -> None:
    seen.limited(writes=40, records=40)
    for number in range(30):
        assert not {"anomaly.loop", "anomaly.mutation-volume", "blast.rate"} & set(seen.write(number, content=7))
        assert seen.names("outcome failed", number, status=status, intent=f"st_1/{seen.seq}") == []


def test_what_the_tool_refused_permanently_is_a_loop_when_it_is_tried_again(seen: Seen) -> None:
    for number in range(9):
        assert "anomaly.loop" not in seen.write(number, content=7)
        seen.names("outcome failed", number, status=422, intent=f"st_1/{seen.seq}")
    assert "anomaly.loop" in seen.write(9, content=7)


def test_what_a_write_of_an_ended_lease_left_behind_is_reported_and_how_it_behaved_is_not(seen: Seen) -> None:
    """Sent before the run was resumed, answered after: its state is the run's all the same."""
    assert seen.names("read", generation=2, confidence=None) == []
    assert not any(seen.names("outcome failed", generation=1, status=422) for _ in range(10))
    late = seen.tell("outcome success", generation=1, verification="failed", parent_named=False)
    assert [one.name for one in late] == ["verify.postcondition-failed"]
    assert seen.names("outcome success", generation=1, identity="other", parent_named=False) == ["uncertain.identity"]


def test_twenty_repeats_are_a_spike_once_something_came_of_one(seen: Seen) -> None:
    for _ in range(30):
        assert seen.names("refusal in-flight write", 1.0) == []
    assert seen.names("outcome success", 2.0, parent_named=False) == ["anomaly.retry-spike"]
    assert seen.names("outcome success", 2.0, parent_named=False) == []


def test_repeats_in_flight_that_are_over_are_no_spike(seen: Seen) -> None:
    for _ in range(30):
        seen.names("refusal in-flight write", 1.0)
    assert seen.names("outcome success", 61.0, parent_named=False) == []


@pytest.mark.parametrize("status", [412, 429, None])
def test_a_tools_plain_failure_is_none_nor_is_one_that_was_never_reached(seen: Seen, status: int | None) -> None:
    assert not any(seen.names("outcome failed", number, status=status) for number in range(30))


@pytest.mark.parametrize(("limit", "reached"), [(50, 50), (60, 50), (62, 50), (63, 51), (100, 80), (101, 81)])
def test_most_of_the_steps_is_reported_once(seen: Seen, limit: int, reached: int) -> None:
    seen.limited(steps=limit)
    assert not any(seen.names("outcome success", number, parent_named=False) for number in range(200))  # no steps
    fired = ["anomaly.step-count" in seen.names("read", number, confidence=None) for number in range(200)]
    assert [number + 1 for number, one in enumerate(fired) if one] == [reached]


def test_steps_taken_before_count(seen: Seen) -> None:
    seen.watches.begin_call(replace(RUN, limits=Limits(steps=100)), 79)
    assert seen.names("read", confidence=None) == ["anomaly.step-count"]


@pytest.mark.parametrize(("limit", "reached"), [(20, 20), (40, 20), (41, 21), (100, 50)])
def test_half_of_the_writes_within_a_minute(seen: Seen, limit: int, reached: int) -> None:
    seen.limited(writes=limit)
    fired = ["anomaly.mutation-volume" in seen.write(number * 0.5) for number in range(reached * 2)]
    assert [number + 1 for number, one in enumerate(fired) if one] == [reached, reached * 2]


def test_a_slow_burst_below_the_limits_is_work(seen: Seen) -> None:
    seen.limited(writes=40, records=40, steps=10_000)
    assert not any(seen.write(number * 3.2) for number in range(300))


def test_without_limits_nothing_is_a_share_of_them(seen: Seen) -> None:
    assert not any(seen.write() for _ in range(300))
    seen.limited()
    assert not any(seen.write() for _ in range(300))


@pytest.mark.parametrize(("limit", "reached"), [(20, 20), (40, 20), (41, 21)])
def test_half_of_the_records_within_a_minute(seen: Seen, limit: int, reached: int) -> None:
    seen.limited(records=limit)
    fired = ["blast.rate" in seen.write(0.5 * number) for number in range(reached + 1)]
    assert fired.index(True) + 1 == reached
    assert fired.count(True) == 1


@pytest.mark.parametrize("name", ["tenants", "systems"])
def test_distinct_members_count_once_each_and_are_forgotten(seen: Seen, name: str) -> None:
    seen.limited(**{name: 5})

    def reach(member: str, at: float) -> list[str]:
        return seen.write(at, charges=[{"scope": "run:run_1", "name": name, "amount": 1, "member": member}])

    assert [reach("a", 0.0), reach("a", 1.0), reach("b", 2.0), reach("c", 61.0)] == [[], [], [], []]  # a is as old as the window
    assert [reach("b", 61.5), reach("d", 61.9)] == [[], ["blast.rate"]]
    assert [reach("b", 62.0), reach("d", 62.0), reach("e", 62.0)] == [[], [], ["blast.rate"]]


def test_charges_of_other_budgets_do_not_count(seen: Seen) -> None:
    seen.limited(records=20)
    charges = [{"scope": "workflow:acme/run_1", "name": "records", "amount": 1_000}]
    assert not any(seen.write(charges=charges) for _ in range(30))


def test_reads_across_the_boundary_are_reported_at_the_first_and_the_second(seen: Seen) -> None:
    told = [[(one.count, one.threshold) for one in seen.tell("refusal tenant-boundary read")] for _ in range(4)]
    assert told == [[(1, 2)], [(2, 2)], [(1, 2)], [(2, 2)]]
    assert seen.names("refusal tenant-boundary write") == ["policy.tenant-boundary"]


def test_reads_out_of_scope_are_reported_at_powers_of_two_and_writes_each_time(seen: Seen) -> None:
    told = ["policy.out-of-scope" in seen.names("refusal policy-denied read") for _ in range(16)]
    assert [number + 1 for number, one in enumerate(told) if one] == [1, 2, 4, 8, 16]
    assert all("policy.out-of-scope" in seen.names("refusal policy-denied write") for _ in range(3))


def test_a_denial_for_another_reason_oversteps_no_scope(seen: Seen) -> None:
    reasons = [{"code": "amount", "message": "Too much."}]
    assert seen.names("refusal policy-denied write", reasons=reasons) == []


def test_confidence_at_the_bound_is_enough(seen: Seen) -> None:
    assert seen.names("read", confidence=500_000) == []
    told = [[(one.count, one.threshold) for one in seen.tell("read", confidence=499_999)] for _ in range(6)]
    assert told == [[(1, 3)], [], [(3, 3)]] * 2


def test_a_failure_beside_a_success_of_its_step_is_reported_once_a_step(seen: Seen) -> None:
    def told(kind: str, parent: str, **more: Any) -> bool:
        return "uncertain.partial-failure" in seen.names(kind, parent_named=True, parent_step_id=parent, **more)

    assert not told("outcome failed", "a")
    assert not told("outcome success", "a")
    assert not told("outcome failed", "a", status=412)
    assert not told("outcome failed", "b")
    assert told("outcome failed", "a")
    assert not told("outcome failed", "a")
    assert "uncertain.partial-failure" in seen.names("outcome success", status=207)


def test_a_limit_fires_and_an_missing_amount_cost_or_a_rate_does_not(seen: Seen) -> None:
    assert seen.names("refusal blast-radius write") == ["blast.limit"]
    assert seen.names("refusal blast-radius write", untold="amount:refund") == []
    assert seen.names("refusal blast-radius write", code="rate-limited") == []


# --- runs, generations, rollbacks, memory -------------------------------------------------------------------------------


def test_another_run_and_another_generation_count_for_themselves(seen: Seen) -> None:
    for _ in range(4):
        seen.names("outcome failed")
    assert seen.names("outcome failed", run="run_2") == []
    assert seen.names("outcome failed", generation=2) == []
    assert not any(seen.names("outcome failed", generation=1) for _ in range(10))
    assert [seen.names("outcome failed", generation=2) for _ in range(4)][-1] == ["anomaly.retry-spike"]


def test_what_is_done_to_undo_counts_for_nothing(seen: Seen) -> None:
    assert not any(seen.names("outcome failed", rollback_id="rb_1") for _ in range(30))


def test_no_more_than_the_last_contents_and_step_trees_are_remembered(seen: Seen) -> None:
    for number in range(3 * REMEMBERED):
        seen.write(content=number)
        seen.names("outcome success", parent_named=True, parent_step_id=f"s{number}")
        seen.names("outcome success", parent_named=True, parent_step_id="s-many")
    watch: Watch = seen.watches._of["run_1"]
    assert watch.contents is not None
    assert len(watch.contents._seen) == len(watch.contents._counts) == REMEMBERED
    assert len(watch.siblings) == REMEMBERED
    assert max(len(one.succeeded) for one in watch.siblings.values()) <= SHOWN


def test_windows_forget_and_total_what_is_left() -> None:
    window = Window(10.0)
    for number in range(1_000):
        assert window.add(float(number), number, 2) == 2 * min(10, number + 1)
    assert len(window._seen) == 10
    assert window.total(2_000.0) == len(window._seen) == 0
    contents = Contents(10.0)
    assert [contents.add(float(at), at, 1) for at in (0, 5, 10, 100)] == [1, 2, 2, 1]


def test_the_run_not_heard_of_for_longest_is_forgotten(entries: Mapping[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.control.triggers.monitor._KEPT", 3)
    watches = TriggerWindows(Thresholds())
    for name in ("run_1", "run_2", "run_3", "run_1", "run_4"):
        watches.begin_call(replace(RUN, run_id=name), 0)
    assert [name in watches for name in ("run_1", "run_2", "run_3", "run_4")] == [True, False, True, True]


@pytest.mark.parametrize(
    ("share", "limit", "reached"), [(Share(0.8, 50), 0, 50), (Share(1.0, 1), 7, 7), (Share(0.5, 1), 7, 4), (Share(0.1, 1), 30, 3)]
)
def test_a_share_is_rounded_up_and_has_a_least(share: Share, limit: int, reached: int) -> None:
    assert share.of(limit) == reached
