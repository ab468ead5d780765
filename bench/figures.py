"""What a run found, as values: samples of rounds, their medians, and the ratios between them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

YARDSTICK = "aiohttp proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One stretch of load. Latencies in seconds; ``cpu`` is seconds of CPU of what was measured, a call."""

    calls: int
    per_second: float
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One cell of one round: who (``subject``) did what (``call``: read, write or change) for how many connections."""

    round: int
    connections: int
    subject: str
    call: str
    measured: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A cell over all rounds, each figure its median; ``ratio`` is to the aiohttp proxy that makes the same calls, round by round."""

    connections: int
    subject: str
    call: str
    per_second: float
    p50: float
    p99: float
    cpu: float
    ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Latency with much behind it over latency with nothing, median of the rounds, at one connection."""

    of: str
    call: str
    p50_small: float
    p50_large: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast a command goes through entries or decisions; ``per_second`` is ``None`` with a ``note`` that says why."""

    of: str
    count: int
    per_second: float | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a part of the line alone costs per call or order; ``goal`` is the promised bound."""

    of: str
    goal: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """A run's independent effects, and their rollback, in seconds; ``first``: from the call to the first compensation's intent.

    ``ratio``: how much faster than the writes the rollback was, the median of the rounds.
    """

    effects: int
    written: float
    taken_back: float
    first: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneOn:
    """A resumed run, in seconds: ``first`` from the resume to its first forwarded write's answer (three calls to the tool).

    ``replay`` is the p50 of a step that answers from the journal, ``read`` that of a read, taken in turn; ``ratio`` is between them.
    """

    first: float
    replay: float
    read: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The p99 of one tenant's calls in seconds, while another one has its usual connections, and while it has ten times as many.

    ``ratio`` is between them, round by round; each figure is the median of the rounds.
    """

    call: str
    usual: float
    crowded: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Seconds until a gateway was ready: with nothing, and with all the ``entries`` and ``open_calls`` behind it; medians of the rounds."""

    entries: int
    open_calls: int
    empty: float
    full: float
    more: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    of: str
    rss: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that one run found.

    ``plans`` are CPU seconds of the plan of a tenth of the effects, and of all of them. ``starts`` and ``syncs`` are seconds: until
    a gateway was ready, by what was in its journal, and of fdatasync on the journal's disk. ``others`` is the share of the machine's
    cores that was not the run's, round by round. ``skipped`` names what could not take part, and why.
    """

    machine: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, object]
    samples: list[Sample] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    undone: list[Undone] = field(default_factory=list)
    plans: dict[str, tuple[float, float]] = field(default_factory=dict)
    gone_on: list[GoneOn] = field(default_factory=list)
    beside: list[Beside] = field(default_factory=list)
    started: list[Started] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    starts: dict[str, float] = field(default_factory=dict)
    syncs: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def fdatasync(self) -> float | None:
        return median(self.syncs) if self.syncs else None


def rows(samples: Iterable[Sample]) -> list[Row]:
    """The cells in the order first measured."""
    kept = list(samples)
    cells = list(dict.fromkeys((one.connections, one.subject, one.call) for one in kept))
    return [_row(kept, *cell) for cell in sorted(cells, key=lambda cell: cell[0])]


def ratio(samples: Iterable[Sample], connections: int, one: tuple[str, str], other: tuple[str, str]) -> float | None:
    """Calls a second of ``(subject, call)`` over those of another, in each round; the median. ``None`` if one of them is not there."""
    kept = list(samples)
    ours = _by_round(kept, connections, *one)
    theirs = _by_round(kept, connections, *other)
    both = [measured.per_second / theirs[number].per_second for number, measured in ours.items() if number in theirs]
    return median(both) if both else None


def p50(samples: Iterable[Sample], connections: int, subject: str, call: str) -> float | None:
    found = [measured.p50 for measured in _by_round(list(samples), connections, subject, call).values()]
    return median(found) if found else None


def added(samples: Iterable[Sample], connections: int, one: tuple[str, str], other: tuple[str, str]) -> float | None:
    """What one adds to the p50 of another, in each round; the median, in seconds."""
    kept = list(samples)
    ours = _by_round(kept, connections, *one)
    theirs = _by_round(kept, connections, *other)
    both = [measured.p50 - theirs[number].p50 for number, measured in ours.items() if number in theirs]
    return median(both) if both else None


def _by_round(samples: list[Sample], connections: int, subject: str, call: str) -> dict[int, Measured]:
    return {one.round: one.measured for one in samples if (one.connections, one.subject, one.call) == (connections, subject, call)}


def _row(samples: list[Sample], connections: int, subject: str, call: str) -> Row:
    found = list(_by_round(samples, connections, subject, call).values())
    return Row(
        connections=connections,
        subject=subject,
        call=call,
        per_second=median(one.per_second for one in found),
        p50=median(one.p50 for one in found),
        p99=median(one.p99 for one in found),
        cpu=median(one.cpu for one in found),
        ratio=ratio(samples, connections, (subject, call), (YARDSTICK, call)),
    )
