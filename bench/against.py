"""``python -m bench.against CHECKOUT``: this build beside another one, in one run, cell by cell.

Both gateways run at the same time on the same core in front of the same tool, and take turns: what disturbs the machine disturbs both.
A row is the median, over the rounds, of this build's figure over the other's: calls a second and CPU a call.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from bench import children, contenders, driving, figures, killcord
from bench.contenders import Contender
from bench.driving import Stretch
from bench.figures import Sample

CALLS = ("read", "write", "change")
THIS, OTHER = "this build", "the other build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One cell: ``faster`` is calls a second of this build over the other's, ``cheaper`` CPU a call of the other over this one's."""

    call: str
    connections: int
    faster: float
    cheaper: float
    cpu: float
    cpu_other: float


def against(
    checkout: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A checkout of another version, set up by `make setup`.")],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; each figure is the median.")] = 7,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds of load that count, in each cell of each round.")] = 1.0,
    warm: Annotated[float, typer.Option(min=0.0, help="Seconds of load before that.")] = 0.3,
    least: Annotated[float, typer.Option(help="Exit 1 if a row is slower than this.")] = 0.97,
    out: Annotated[Path | None, typer.Option(help="A file for the rows as JSON.")] = None,
) -> None:
    """Compare this build with another checkout of Killcord."""
    samples: list[Sample] = []
    with _both(checkout.resolve()) as both:
        for number in range(1, rounds + 1):
            for connections in (1, 16, 64):
                for call in CALLS:
                    for one in both if number % 2 else reversed(both):
                        measured = driving.drive(one, call, connections, Stretch(warm, seconds))
                        samples.append(Sample(round=number, connections=connections, subject=one.name, call=call, measured=measured))
            print(f"round {number}/{rounds} done", flush=True)
    rows = compared(samples)
    for row in rows:
        verdict = "" if row.faster >= least else f"  SLOWER than {least} x"
        print(
            f"{row.call:<7} c={row.connections:<3} {row.faster:5.2f} x calls/s   {row.cheaper:5.2f} x by CPU "
            f"({row.cpu * 1e6:.0f} us a call, {row.cpu_other * 1e6:.0f} us before){verdict}"
        )
    if out is not None:
        out.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    if any(row.faster < least for row in rows):
        raise typer.Exit(1)


def compared(samples: list[Sample]) -> list[Compared]:
    """A row for each cell, in the order first measured."""
    rows = []
    for connections, call in dict.fromkeys((one.connections, one.call) for one in samples):
        ours, theirs = (_cpu(samples, connections, name, call) for name in (THIS, OTHER))
        faster = figures.ratio(samples, connections, (THIS, call), (OTHER, call))
        cheaper = median(theirs[number] / ours[number] for number in ours)
        cell = {"cpu": median(ours.values()), "cpu_other": median(theirs.values())}
        rows.append(Compared(call=call, connections=connections, faster=faster or 0.0, cheaper=cheaper, **cell))
    return rows


def _cpu(samples: list[Sample], connections: int, subject: str, call: str) -> dict[int, float]:
    return {one.round: one.measured.cpu for one in samples if (one.connections, one.subject, one.call) == (connections, subject, call)}


@contextmanager
def _both(checkout: Path) -> Iterator[list[Contender]]:
    core, other = children.cores()
    folder = Path(tempfile.mkdtemp(prefix="against-"))
    try:
        with contenders.tool(folder, other) as (port, _):
            homes = {THIS: children.ROOT, OTHER: checkout}
            for name in homes:
                (folder / name).mkdir()
            with (
                killcord.serving(THIS, folder / THIS, tool=port, core=core, checkout=homes[THIS]) as this,
                killcord.serving(OTHER, folder / OTHER, tool=port, core=core, checkout=homes[OTHER]) as that,
            ):
                yield [contenders.gateway(THIS, this), contenders.gateway(OTHER, that)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    typer.run(against)
