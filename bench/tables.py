"""What a run found, as tables of text: the same for the terminal and for the page."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from bench import figures, goals
from bench.figures import Found, Row
from bench.goals import MIB

CALLS = {
    "read": "Reads (GET, one call to the tool)",
    "write": "Writes without snapshot (POST, one call to the tool)",
    "change": "Writes with snapshot and verify (PATCH, three calls to the tool)",
}

QUIET = 0.05
"""The share of the cores that others may use before a run's figures are no good."""

_VERDICT = {True: "reached", False: "MISSED", None: "not measured"}


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def all_of(found: Found) -> list[Table]:
    """The goals first, then every figure behind them."""
    tables = [_goals(found), *_comparison(found), _growth(found), _parts(found), _memory(found), _commands(found)]
    return [one for one in tables if one.rows]


def others(found: Found) -> str:
    """How much of the machine was not the run's, and what that means for its figures."""
    share = median(found.others)
    verdict = "quiet enough" if share <= QUIET else "TOO MUCH: these figures are too low and scattered, run it again on a quiet machine"
    return f"{share:.0%} of its cores (median of the rounds); {verdict}"


def _goals(found: Found) -> Table:
    judged = [(goal.what, goal.want, goal.got, _VERDICT[goal.reached]) for goal in goals.judged(found)]
    return Table("Must reach", ("what", "wanted", "found", ""), tuple(judged))


def _comparison(found: Found) -> list[Table]:
    kept = figures.rows(found.samples)
    columns = ("c", "", "calls/s", "of the aiohttp proxy", "p50 ms", "p99 ms", "CPU us/call")
    return [Table(title, columns, tuple(_cell(row) for row in kept if row.call == call)) for call, title in CALLS.items()]


def _cell(row: Row) -> tuple[str, ...]:
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f} x"
    speed, latency = f"{row.per_second:,.0f}", (f"{row.p50 * 1e3:.2f}", f"{row.p99 * 1e3:.2f}")
    return (str(row.connections), row.subject, speed, ratio, *latency, f"{row.cpu * 1e6:.0f}")


def _growth(found: Found) -> Table:
    rows = [(one.of, one.call, f"{one.p50_small * 1e3:.3f}", f"{one.p50_large * 1e3:.3f}", f"{one.ratio:.2f} x") for one in found.growth]
    return Table("Growth, at one connection", ("from", "", "p50 ms, small", "p50 ms, large", "ratio"), tuple(rows))


def _parts(found: Found) -> Table:
    rows = [(one.of, f"{one.seconds * 1e6:.2f}") for one in found.parts]
    return Table("Parts of the line alone, in one process", ("", "CPU us"), tuple(rows))


def _memory(found: Found) -> Table:
    rows = [(f"resident memory {one.of}", f"{one.rss / MIB:.0f} MiB") for one in found.memory]
    rows += [(f"start until ready, {of}", f"{seconds:.2f} s") for of, seconds in found.starts.items()]
    for one in found.started:
        rows += [
            ("start until ready, an empty journal, median", f"{one.empty:.2f} s"),
            (f"start until ready, {one.entries:,} entries and {one.open_calls:,} open calls, median", f"{one.full:.2f} s"),
        ]
    return Table("Memory and start", ("", ""), tuple(rows))


def _commands(found: Found) -> Table:
    rows = [
        (f"killcord {one.of}", f"{one.count:,}", one.note if one.per_second is None else f"{one.per_second:,.0f}") for one in found.speeds
    ]
    return Table("Commands over a whole journal", ("", "entries or decisions", "a second"), tuple(rows))
