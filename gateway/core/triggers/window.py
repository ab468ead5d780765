"""The bounded record of one generation of a run, and the thresholds at which a signal in it becomes a trigger.

Every threshold is a configuration key; the defaults are those of docs/triggers.md.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from msgspec import Struct

from gateway.model.entries import CallBase
from gateway.model.entry import EntryBase, Position
from gateway.model.run import Limits
from gateway.model.trigger import Trigger

T = TypeVar("T")
E = TypeVar("E", bound=EntryBase)
E_co = TypeVar("E_co", bound=EntryBase, covariant=True)

REMEMBERED = 512
"""Writes of a run whose content is remembered, and step trees whose siblings are."""
RETRACED = 10_000
"""Effects from before a checkpoint that may answer a resumed run once each without being repeats."""
SHOWN = 50
"""Positions that a trigger names as evidence at most: the first and the latest of them."""


class Event(Struct, Generic[E_co], frozen=True, gc=False):
    """One entry at its place. ``at`` is its own time (Unix seconds)."""

    stream: str
    seq: int
    at: float
    entry: E_co

    def fired(
        self, name: str, *, count: int = 1, threshold: int = 1, seqs: tuple[int, ...] = (), severity: str | None = None, **facts: object
    ) -> Trigger:
        """The trigger that this entry sets off; ``seqs`` are those of the entries before it that count, too."""
        entry = self.entry
        call = entry if isinstance(entry, CallBase) else None
        return Trigger(
            name=name,
            at=self.at,
            count=count,
            threshold=threshold,
            evidence=tuple(f"{self.stream}/{seq}" for seq in ends(seqs or (self.seq,), SHOWN)),
            effect=None if call is None else call.effect,
            severity=severity,
            tool=None if call is None else call.tool,
            action=None if call is None else call.action,
            facts=facts,
        )


def event(entry: E, position: Position) -> Event[E]:
    """An entry as the detectors read it."""
    return Event(position.stream, position.seq, entry.at, entry)


def ends(rows: Sequence[T], most: int) -> Sequence[T]:
    """The first and the latest rows, if there are more than ``most``."""
    return rows if len(rows) <= most else [*rows[: most // 2], *rows[-(most // 2) :]]


class Window:
    """Occurrences within the last ``seconds`` of event time, each with its entry and an amount."""

    __slots__ = ("_seen", "_total", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._seen: deque[tuple[float, int, int]] = deque()
        self._total = 0

    def add(self, at: float, seq: int, amount: int = 1) -> int:
        """The total within the window, this occurrence included."""
        self._seen.append((at, seq, amount))
        self._total += amount
        return self.total(at)

    def total(self, at: float) -> int:
        """What is within the window at a time."""
        seen, oldest = self._seen, at - self.seconds
        while seen and seen[0][0] <= oldest:
            self._total -= seen.popleft()[2]
        return self._total

    def remove(self, seq: int) -> None:
        """Remove what an entry counted, if it still counts."""
        for place, (_, one, amount) in enumerate(self._seen):
            if one == seq:
                del self._seen[place]
                self._total -= amount
                return

    def drain(self) -> tuple[int, ...]:
        """The entries that count, oldest first; counting then starts again."""
        seqs = tuple([seq for _, seq, _ in self._seen])
        self._seen.clear()
        self._total = 0
        return seqs


class Contents:
    """How often each content was asked for lately: the newest ``REMEMBERED`` writes within the last ``seconds``."""

    __slots__ = ("_counts", "_seen", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._seen: deque[tuple[float, int, int]] = deque()
        self._counts: dict[int, int] = {}

    def add(self, at: float, seq: int, content: int) -> int:
        """How often this content was seen within the window, this time included."""
        seen, counts = self._seen, self._counts
        seen.append((at, seq, content))
        counts[content] = counts.get(content, 0) + 1
        while seen[0][0] <= at - self.seconds or len(seen) > REMEMBERED:
            self._forget(seen.popleft()[2])
        return counts[content]

    def remove(self, seq: int) -> None:
        """Remove what an entry counted, if it still counts."""
        for place, (_, one, content) in enumerate(self._seen):
            if one == seq:
                del self._seen[place]
                self._forget(content)
                return

    def drain(self, content: int) -> tuple[int, ...]:
        """The entries of a content, oldest first; its counting then starts again."""
        found = tuple([seq for _, seq, one in self._seen if one == content])
        self._seen = deque(one for one in self._seen if one[2] != content)
        self._counts.pop(content, None)
        return found

    def _forget(self, content: int) -> None:
        self._counts[content] -= 1
        if not self._counts[content]:
            del self._counts[content]


@dataclass(slots=True)
class Siblings:
    """The newest succeeded writes under one parent step; ``reported`` once their failure was reported."""

    succeeded: deque[int] = field(default_factory=lambda: deque(maxlen=SHOWN))
    reported: bool = False


@dataclass(slots=True)
class Watch:
    """One generation of a run. A window opens with the first thing that it counts: most runs need few of them."""

    generation: int
    limits: Limits | None = None
    steps: int = 0
    boundary_reads: int = 0
    scope_reads: int = 0
    unsure: list[int] = field(default_factory=list)
    steps_reported: bool = False
    windows: dict[str, Window] = field(default_factory=dict)
    members: dict[str, OrderedDict[str, tuple[float, int]]] = field(default_factory=dict)
    contents: Contents | None = None
    siblings: OrderedDict[str, Siblings] = field(default_factory=OrderedDict)
    retraced: set[str] | None = None

    def window(self, name: str, seconds: float) -> Window:
        """The window of this name, opened if there is none."""
        found = self.windows.get(name)
        if found is None:
            found = self.windows[name] = Window(seconds)
        return found

    def retraces(self, effect: str) -> bool:
        """Whether an effect from before the run's checkpoint answers for the first time in this generation."""
        if self.retraced is None:
            self.retraced = set()
        if effect in self.retraced or len(self.retraced) >= RETRACED:
            return False
        self.retraced.add(effect)
        return True


@dataclass(frozen=True, slots=True)
class Times:
    """``count`` occurrences within ``within`` seconds."""

    count: int
    within: float


@dataclass(frozen=True, slots=True)
class Share:
    """A share (0 < ``share`` <= 1) of a limit, and never fewer than ``at_least``."""

    share: float
    at_least: int

    def of(self, limit: int) -> int:
        """The count from which on it is reached."""
        return max(self.at_least, math.ceil(limit * self.share))


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """``confidence`` is in millionths, the ``*_within`` in seconds. ``off`` names triggers that never fire."""

    boundary_reads: int = 2
    denied: Times = Times(5, 60.0)
    loop: Times = Times(10, 300.0)
    repeats: Times = Times(20, 60.0)
    failures: Times = Times(5, 60.0)
    steps: Share = Share(0.8, 50)
    writes: Share = Share(0.5, 20)
    writes_within: float = 60.0
    confidence: int = 500_000
    unsure: int = 3
    unknown: Times = Times(3, 300.0)
    records: Share = Share(0.5, 20)
    tenants: Share = Share(0.5, 2)
    systems: Share = Share(0.5, 2)
    blast_within: float = 60.0
    off: frozenset[str] = frozenset()

    @property
    def longest(self) -> float:
        """Seconds for which entries have to be remembered."""
        counted = (self.denied, self.loop, self.repeats, self.failures, self.unknown)
        return max(self.writes_within, self.blast_within, *(times.within for times in counted))


NAMES = (
    "policy.tenant-boundary",
    "policy.out-of-scope",
    "policy.denied",
    "verify.postcondition-failed",
    "verify.finding",
    "anomaly.loop",
    "anomaly.retry-spike",
    "anomaly.step-count",
    "anomaly.mutation-volume",
    "uncertain.low-confidence",
    "uncertain.schema-drift",
    "uncertain.partial-failure",
    "uncertain.outcome-unknown",
    "uncertain.identity",
    "blast.limit",
    "blast.rate",
)
"""Every trigger there is."""


def restart(watch: Watch, trigger: Trigger) -> None:
    """A trigger that fired before: its detectors start counting again from there, as they did then."""
    match trigger.name:
        case "policy.tenant-boundary":
            watch.boundary_reads = trigger.count if trigger.count < trigger.threshold else 0
        case "anomaly.loop":
            watch.contents = None
        case "anomaly.retry-spike":
            watch.windows.pop("failures" if trigger.facts.get("of") == "failures" else "repeats", None)
        case "anomaly.step-count":
            watch.steps_reported = True
        case "uncertain.low-confidence" if trigger.count >= trigger.threshold:
            watch.unsure.clear()
        case "blast.rate":
            watch.windows.pop("records", None)
            watch.members.clear()
        case name:
            watch.windows.pop(name, None)
