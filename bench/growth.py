"""Does it stay as fast with much behind it? Two gateways at once, one with nothing and one with much, take turns at one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import children, commands, contenders, driving, entries, killcord, start
from bench.contenders import Contender
from bench.driving import Stretch
from bench.figures import Found, Growth, Memory
from bench.killcord import Gateway

Note = Callable[[str], None]

CALLS = ("read", "write", "change")


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    stretch: Stretch
    runs: int
    entries: int
    open_calls: int


def run(plan: Plan, folder: Path, found: Found, note: Note) -> None:
    """Growth of runs and of the journal into ``found``; what goes through a whole journal is timed on the long one."""
    core, other = children.cores()
    with contenders.tool(folder, other) as (tool, _):
        with _pair(folder / "runs", tool, core) as (small, large):
            _of_runs(plan, small, large, found, note)
        long = folder / "entries" / "large" / "var"
        note(f"writing a journal of {plan.entries:,} entries")
        asyncio.run(entries.written(long, plan.entries, note))
        with _pair(folder / "entries", tool, core) as (small, large):
            _of_entries(plan, small, large, found, note)
            commands.run(large, folder, found, note)
        starts = start.Plan(plan.rounds, plan.entries, plan.open_calls)
        start.run(starts, folder / "entries" / "empty", folder / "entries" / "large", tool, core, found, note)


@contextmanager
def _pair(folder: Path, tool: int, core: int) -> Iterator[tuple[Gateway, Gateway]]:
    for name in ("small", "large"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with (
        killcord.serving("small", folder / "small", tool=tool, core=core) as small,
        killcord.serving("large", folder / "large", tool=tool, core=core) as large,
    ):
        yield small, large


def _of_runs(plan: Plan, small: Gateway, large: Gateway, found: Found, note: Note) -> None:
    """Calls go round all the runs; each lease has been seen once before it counts."""
    note(f"opening {plan.runs:,} runs")
    many = contenders.gateway("many runs", large, runs=plan.runs)
    driving.drive(many, "read", 1, plan.stretch, warm_calls=plan.runs)
    _compare(plan, f"1 to {plan.runs:,} open runs", contenders.gateway("one run", small), many, found, note)
    found.memory.append(Memory(of=f"with {plan.runs:,} open runs", rss=large.child.rss()))


def _of_entries(plan: Plan, small: Gateway, large: Gateway, found: Found, note: Note) -> None:
    found.starts["an empty journal"] = small.started_in
    found.starts[f"{plan.entries:,} entries"] = large.started_in
    short, long = contenders.gateway("short journal", small), contenders.gateway("long journal", large)
    _compare(plan, f"0 to {plan.entries:,} journal entries", short, long, found, note)
    found.memory.append(Memory(of=f"with {plan.entries:,} journal entries", rss=large.child.rss()))


def _compare(plan: Plan, of: str, small: Contender, large: Contender, found: Found, note: Note) -> None:
    for call in CALLS:
        pairs = [_turn(plan, call, small, large, forwards=number % 2 == 0) for number in range(plan.rounds)]
        growth = Growth(
            of=of,
            call=call,
            p50_small=median(few for few, _ in pairs),
            p50_large=median(many for _, many in pairs),
            ratio=median(many / few for few, many in pairs),
        )
        found.growth.append(growth)
        note(f"{of}, {call}: p50 {growth.p50_small * 1e3:.3f} to {growth.p50_large * 1e3:.3f} ms, ratio {growth.ratio:.2f}")


def _turn(plan: Plan, call: str, small: Contender, large: Contender, *, forwards: bool) -> tuple[float, float]:
    """Both once; the order changes from round to round, so that being second is nobody's lot."""
    order = (small, large) if forwards else (large, small)
    p50 = {one.name: driving.drive(one, call, 1, plan.stretch).p50 for one in order}
    return p50[small.name], p50[large.name]
