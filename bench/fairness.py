"""Tenants beside each other: what the others' calls take while one tenant sends ten times as many at once as it usually does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from bench import contenders, driving
from bench.contenders import Contender
from bench.driving import Stretch
from bench.figures import Beside, Found, Measured

Note = Callable[[str], None]

USUAL = 16
"""Connections of the tenant that is watched, and those that the other one usually has."""
TIMES = 10
CALLS = ("read", "write")


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    stretch: Stretch


def run(plan: Plan, folder: Path, found: Found, note: Note) -> None:
    """Rounds of both loads in turn, into ``found``."""
    with contenders.gateway_alone("fairness", folder) as gateway:
        watched = contenders.gateway("watched", gateway)
        crowd = replace(watched, name="crowd", leases=gateway.open_runs(1, tenant="globex"), tenant="globex")
        for call in CALLS:
            rounds = [_round(watched, crowd, call, plan.stretch) for _ in range(plan.rounds)]
            one = Beside(
                call=call,
                usual=median(usual.p99 for usual, _ in rounds),
                crowded=median(crowded.p99 for _, crowded in rounds),
                ratio=median(crowded.p99 / usual.p99 for usual, crowded in rounds),
            )
            found.beside.append(one)
            note(
                f"p99 of a tenant's {call}s beside another with {USUAL} connections {one.usual * 1e3:.1f} ms, "
                f"with {USUAL * TIMES} {one.crowded * 1e3:.1f} ms, ratio {one.ratio:.2f}"
            )


def _round(watched: Contender, crowd: Contender, call: str, stretch: Stretch) -> tuple[Measured, Measured]:
    """What the watched tenant measured: beside the usual load, and beside the crowd."""
    return _beside(watched, crowd, call, USUAL, stretch), _beside(watched, crowd, call, USUAL * TIMES, stretch)


def _beside(watched: Contender, crowd: Contender, call: str, connections: int, stretch: Stretch) -> Measured:
    # The crowd is there from before the first call that counts until after the last.
    longer = Stretch(0.0, stretch.warm + stretch.seconds + 0.3)
    with ThreadPoolExecutor(1) as pool:
        crowding = pool.submit(driving.drive, crowd, call, connections, longer)
        measured = driving.drive(watched, call, USUAL, stretch)
        crowding.result()
    return measured
