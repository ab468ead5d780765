"""How long a gateway takes until it is ready with a long journal behind it, and with calls that the one before it left open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import entries, killcord
from bench.figures import Found, Started

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """``entries`` are in the long journal; ``open_calls`` are left behind in it before each round's start."""

    rounds: int
    entries: int
    open_calls: int


def run(plan: Plan, empty: Path, long: Path, tool: int, core: int, found: Found, note: Note) -> None:
    """Starts on an empty journal and on a long one with open calls, in turn, into ``found``; both are folders of gateways."""
    empty.mkdir()
    pairs = []
    for number in range(plan.rounds):
        asyncio.run(entries.left_open(long / "var", plan.open_calls, f"round-{number}"))
        pairs.append((_seconds(empty, tool, core), _seconds(long, tool, core)))
    one = Started(
        entries=plan.entries,
        open_calls=plan.open_calls,
        empty=median(empty for empty, _ in pairs),
        full=median(full for _, full in pairs),
        more=median(full - empty for empty, full in pairs),
    )
    found.started.append(one)
    note(f"start until ready: {one.empty:.2f} s empty, {one.full:.2f} s with {plan.open_calls:,} open calls")


def _seconds(folder: Path, tool: int, core: int) -> float:
    with killcord.serving(folder.name, folder, tool=tool, core=core) as gateway:
        return gateway.started_in
