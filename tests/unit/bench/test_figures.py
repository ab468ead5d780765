"""How rounds become figures, and figures verdicts."""

from __future__ import annotations

import pytest

from bench import against, figures, goals, page, tables
from bench.figures import Found, GoneOn, Growth, Measured, Memory, Sample, Speed, Started


def measured(per_second: float, p50: float = 0.001) -> Measured:
    return Measured(calls=100, per_second=per_second, p50=p50, p99=2 * p50, cpu=1e-4)


def sample(number: int, subject: str, per_second: float, *, call: str = "write", connections: int = 16, p50: float = 0.001) -> Sample:
    return Sample(round=number, connections=connections, subject=subject, call=call, measured=measured(per_second, p50))


def found(*samples: Sample) -> Found:
    return Found(machine={"processor": "one"}, versions={"killcord": "1"}, settings={"rounds": 3}, samples=list(samples))


def verdicts(one: Found) -> dict[str, bool | None]:
    return {goal.what: goal.reached for goal in goals.judged(one)}


def test_a_ratio_is_taken_within_each_round_and_then_the_median() -> None:
    ours = [sample(1, "killcord", 100), sample(2, "killcord", 30), sample(3, "killcord", 90)]
    theirs = [sample(1, "aiohttp proxy", 100), sample(2, "aiohttp proxy", 20), sample(3, "aiohttp proxy", 100)]
    assert figures.ratio(ours + theirs, 16, ("killcord", "write"), ("aiohttp proxy", "write")) == 1.0
    row = figures.rows(ours + theirs)[0]
    assert (row.per_second, row.ratio) == (90, 1.0)


def test_there_is_no_ratio_to_who_is_not_there() -> None:
    assert figures.ratio([sample(1, "killcord", 100)], 16, ("killcord", "write"), ("envoy", "write")) is None


def test_added_latency_is_the_difference_within_each_round() -> None:
    ours = [sample(number, "killcord", 1, p50=p50) for number, p50 in enumerate((0.003, 0.005, 0.002))]
    alone = [sample(number, "tool alone", 1, p50=p50) for number, p50 in enumerate((0.001, 0.004, 0.001))]
    assert figures.added(ours + alone, 16, ("killcord", "write"), ("tool alone", "write")) == pytest.approx(0.001)


def test_a_goal_is_reached_at_its_bound_and_missed_below_it() -> None:
    what = "write without snapshot, of the aiohttp proxy, c=16"
    assert verdicts(found(sample(1, "killcord", 100), sample(1, "aiohttp proxy", 100)))[what] is True
    assert verdicts(found(sample(1, "killcord", 99), sample(1, "aiohttp proxy", 100)))[what] is False


def test_a_goal_without_figures_is_not_measured() -> None:
    judged = verdicts(found())
    assert set(judged.values()) == {None}
    assert len(judged) == 7


def test_the_bound_of_a_write_follows_the_disk() -> None:
    samples = (
        sample(1, "killcord", 1, connections=1, p50=0.0025),
        sample(1, "tool alone", 1, connections=1, p50=0.0001),
    )
    quick, slow = found(*samples), found(*samples)
    quick.syncs.append(0.0002)
    slow.syncs.append(0.001)
    assert verdicts(quick)["p50 added to the tool's own, write, c=1"] is False
    assert verdicts(slow)["p50 added to the tool's own, write, c=1"] is True


def test_memory_growth_and_speed_are_judged() -> None:
    one = found()
    one.memory.extend([Memory(of="idle", rss=101 << 20), Memory(of="with 10,000 open runs", rss=170 << 20)])
    one.growth.append(Growth(of="1 to 10,000 open runs", call="read", p50_small=0.001, p50_large=0.0013, ratio=1.3))
    one.speeds.append(Speed(of="policy replay", count=0, per_second=None, note="there is none"))
    judged = verdicts(one)
    assert judged["memory idle"] is False
    assert judged["memory with 10,000 open runs"] is True
    assert judged["latency from 1 to 10,000 open runs, read"] is True
    assert judged["killcord policy replay"] is None


def test_a_resume_and_a_start_are_judged() -> None:
    one = found()
    one.gone_on.append(GoneOn(first=0.31, replay=0.0012, read=0.001, ratio=1.2))
    one.started.append(Started(entries=1_000_000, open_calls=1000, empty=1.0, full=3.1, more=2.1))
    judged = verdicts(one)
    assert judged["resume to the first forwarded call"] is False
    assert judged["a replayed call, of a read, c=1"] is True
    assert judged["start with 1,000,000 entries and 1,000 open calls, beside an empty one"] is False
    assert ("start until ready, 1,000,000 entries and 1,000 open calls, median", "3.10 s") in tables.all_of(one)[-1].rows


def test_the_page_says_who_did_not_take_part_and_how_busy_the_machine_was() -> None:
    one = found(sample(1, "killcord", 100), sample(1, "aiohttp proxy", 50))
    one.skipped.append("envoy: it is not installed")
    one.others.append(0.5)
    text = page.written(one)
    assert "envoy: it is not installed" in text
    assert "50% of its cores" in text
    assert "TOO MUCH" in text
    assert "| 16 | killcord | 100 | 2.00 x |" in text


def test_a_quiet_machine_is_said_to_be_quiet() -> None:
    one = found()
    one.others.extend([0.0, 0.01, 0.9])
    assert "quiet enough" in tables.others(one)


def test_two_builds_are_compared_cell_by_cell_and_round_by_round() -> None:
    ours = [sample(1, against.THIS, 110), sample(2, against.THIS, 40), sample(3, against.THIS, 99)]
    theirs = [sample(1, against.OTHER, 100), sample(2, against.OTHER, 20), sample(3, against.OTHER, 100)]
    (row,) = against.compared(ours + theirs)
    assert (row.call, row.connections, row.faster, row.cheaper) == ("write", 16, 1.1, 1.0)
