"""``python -m bench``: run the comparison, then growth; show tables, keep JSON, and on request write ``docs/performance.md``."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table as Shown

from bench import commands, comparison, contenders, fairness, gate, growth, machine, page, resume, rollback, tables, triggers
from bench.children import ROOT, Broken
from bench.driving import Stretch
from bench.figures import Found
from bench.tables import Table

RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "performance.md"

_QUICK_COMPARISON = comparison.Plan(1, (1, 16), Stretch(0.05, 0.1))
_QUICK_GROWTH = growth.Plan(1, Stretch(0.05, 0.1), runs=50, entries=5000, open_calls=50)
_QUICK_ROLLBACK = rollback.Plan(1, effects=50, planned=1000)
_QUICK_RESUME = resume.Plan(1, steps=20)
_QUICK_FAIRNESS = fairness.Plan(1, Stretch(0.05, 0.1))
_QUICK_GATE = gate.Plan(1, runs=1000, orders=100, in_a_row=1000)
_GATE = gate.Plan(5, runs=100_000, orders=1000, in_a_row=10_000)
_QUICK_TRIGGERS = triggers.Plan(runs=1000, entries=10_000)
_TRIGGERS = triggers.Plan(runs=10_000, entries=300_000)


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Under a minute; shows that all of it works, its figures mean nothing.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; each figure is the median.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds of load that count, in each cell of each round.")] = 1.5,
    warm: Annotated[float, typer.Option(min=0.0, help="Seconds of load before that.")] = 0.5,
    runs: Annotated[int, typer.Option(min=1, help="Open runs to grow to.")] = 10_000,
    entries: Annotated[int, typer.Option(min=1000, help="Journal entries to grow to.")] = 1_000_000,
    out: Annotated[Path, typer.Option(help="The folder for the run's JSON; the journals lie there too while it continues.")] = RESULTS,
    write_docs: Annotated[bool, typer.Option("--write-docs", help=f"Write {PAGE.relative_to(ROOT)}.")] = False,
) -> None:
    """Compare Killcord with its peers on this machine, and see how it grows."""
    if quick and write_docs:
        raise typer.BadParameter("a quick run's figures mean nothing; leave out --quick", param_hint="--write-docs")
    stretch = Stretch(warm, seconds)
    undone = _QUICK_ROLLBACK if quick else rollback.Plan(rounds, effects=1000, planned=10_000)
    compared = _QUICK_COMPARISON if quick else comparison.Plan(rounds, (1, 16, 64), stretch)
    grown = _QUICK_GROWTH if quick else growth.Plan(rounds, stretch, runs=runs, entries=entries, open_calls=1000)
    found = _found(compared)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what lies in the folder goes with a run that is ended
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=out))
    try:
        gate.run(_QUICK_GATE if quick else _GATE, found, _note)
        triggers.run(_QUICK_TRIGGERS if quick else _TRIGGERS, found, _note)
        rollback.run(undone, folder, found, _note)
        resume.run(_QUICK_RESUME if quick else resume.Plan(rounds, steps=200), folder, found, _note)
        fairness.run(_QUICK_FAIRNESS if quick else fairness.Plan(rounds, stretch), folder, found, _note)
        _measure(compared, grown, folder, found)
    except Broken as broken:
        print(f"the run failed: {broken}", file=sys.stderr)
        raise typer.Exit(1) from broken
    finally:
        shutil.rmtree(folder)
    _keep(found, out)
    _show(found)
    if write_docs:
        PAGE.write_text(page.written(found))
        _note(f"wrote {PAGE.relative_to(ROOT)}")


def _found(plan: comparison.Plan) -> Found:
    settings: dict[str, object] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "rounds": plan.rounds,
        "seconds of load a cell and round": f"{plan.stretch.seconds:g}, after {plan.stretch.warm:g} of warm-up",
    }
    return Found(machine=machine.described(), versions=machine.versions(), settings=settings)


def _measure(compared: comparison.Plan, grown: growth.Plan, folder: Path, found: Found) -> None:
    with contenders.field_of(folder, note=_note) as field:
        found.skipped.extend(field.skipped)
        comparison.run(compared, field, found, folder, _note)
        commands.replay(field.gateway, found, _note)
    growth.run(grown, folder, found, _note)


def _keep(found: Found, out: Path) -> None:
    file = out / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    document = asdict(found) | {"fdatasync": found.fdatasync, "tables": [asdict(one) for one in tables.all_of(found)]}
    file.write_text(json.dumps(document, indent=1))
    _note(f"kept {file}")


def _show(found: Found) -> None:
    console = Console()
    console.print(f"other work on the machine meanwhile: {tables.others(found)}")
    for one in tables.all_of(found):
        console.print(_shown(one))


def _shown(table: Table) -> Shown:
    shown = Shown(title=table.title, title_justify="left")
    for column in table.columns:
        shown.add_column(column)
    for row in table.rows:
        shown.add_row(*row)
    return shown


def _note(text: str) -> None:
    """Progress, with the time since the run began."""
    print(f"[{time.monotonic() - _BEGAN:6.1f} s] {text}", flush=True)


_BEGAN = time.monotonic()

if __name__ == "__main__":
    typer.run(bench)
