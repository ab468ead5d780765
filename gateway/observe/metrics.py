"""Calls, tools' replies and webhook deliveries, counted for Prometheus, and gauges.

A call costs no more than a few additions; sums are made when they are read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.errors import Overloaded
from gateway.model.call import Effect

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of a stage's time, in seconds."""

Log = Callable[..., object]
"""Takes an event's name and its members."""


@dataclass(slots=True)
class _Spent:
    """Times of one stage, or of whole calls: how many fell into each bucket, and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


@dataclass(slots=True, eq=False)
class Observer(Collector):
    """Every call's metrics. Label values come from the catalog and from refusal codes, never from an agent's text."""

    monotonic: Callable[[], float]
    log: Log
    _calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _shed: Counter[str] = field(default_factory=lambda: Counter({effect.value: 0 for effect in Effect}))
    _stages: defaultdict[str, _Spent] = field(default_factory=lambda: defaultdict(_Spent))
    _effects: defaultdict[str, _Spent] = field(default_factory=lambda: defaultdict(_Spent))

    def passed(self, tool: str, action: str, effect: str, status: int, started: float, marks: Sequence[tuple[str, float]]) -> None:
        """A call that the pipeline let through; its status is the tool's."""
        seconds = self._count(tool, action, effect, "allow", started, marks)
        self.log("call", tool=tool, action=action, status=status, ms=round(seconds * 1000, 2))

    def refused(self, tool: str, action: str, effect: str, code: str, started: float, marks: Sequence[tuple[str, float]]) -> None:
        """A call that a stage refused; ``action`` and ``effect`` are empty if it was not classified."""
        self._count(tool if action else "", action, effect, code, started, marks)
        if code == Overloaded.code:
            self._shed[effect] += 1
        self.log("refusal", tool=tool, action=action, code=code)

    def collect(self) -> Iterable[Metric]:
        """The metrics as Prometheus reads them."""
        calls = CounterMetricFamily("killcord_calls", "Calls by tool, action and decision.", labels=("tool", "action", "decision"))
        for labels, count in self._calls.items():
            calls.add_metric(labels, count)
        shed = CounterMetricFamily("killcord_shed", "Calls refused under overload.", labels=("effect",))
        for effect, count in self._shed.items():
            shed.add_metric((effect,), count)
        stages = HistogramMetricFamily("killcord_stage_seconds", "Time spent in each stage of the line.", labels=("stage",))
        whole = HistogramMetricFamily("killcord_call_seconds", "Time from a call to the head of its reply.", labels=("effect",))
        for family, times in ((stages, self._stages), (whole, self._effects)):
            for label, spent in times.items():
                family.add_metric((label,), _cumulative(spent.counts), spent.total)
        return calls, shed, stages, whole

    def _count(self, tool: str, action: str, effect: str, decision: str, started: float, marks: Sequence[tuple[str, float]]) -> float:
        """Returns how long the call took, in seconds."""
        self._calls[tool, action, decision] += 1
        stages, before = self._stages, started
        for stage, end in marks:  # as in _Spent.add, whose call would cost as much as the rest
            spent, passed = stages[stage], end - before
            spent.counts[bisect_left(BUCKETS, passed)] += 1
            spent.total += passed
            before = end
        seconds = self.monotonic() - started
        if effect:
            self._effects[effect].add(seconds)
        return seconds


@dataclass(slots=True, eq=False)
class ToolReplies(Collector):
    """What came back from tools. What the fence stops is not sent, and not counted."""

    _replies: Counter[tuple[str, int]] = field(default_factory=Counter)
    _failures: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def replied(self, tool: str, status: int) -> None:
        self._replies[tool, status // 100] += 1

    def failed(self, tool: str, *, late: bool) -> None:
        """No whole reply head came; ``late`` if that was a matter of time."""
        self._failures[tool, late] += 1

    def collect(self) -> Iterable[Metric]:
        """The metrics as Prometheus reads them."""
        replies = CounterMetricFamily(
            "killcord_tool_replies", "Replies of tools by class of status, to the gateway's own requests too.", labels=("tool", "status")
        )
        for (tool, hundreds), count in self._replies.items():
            replies.add_metric((tool, f"{hundreds}xx"), count)
        failures = CounterMetricFamily("killcord_tool_failures", "Requests to tools without a whole reply head.", labels=("tool", "reason"))
        for (tool, late), count in self._failures.items():
            failures.add_metric((tool, "timeout" if late else "unreachable"), count)
        return replies, failures


class GaugeReading(NamedTuple):
    """A gauge with one sample for each value of its label; a ``label`` of ``None`` has one sample, under the empty value."""

    name: str
    text: str
    label: str | None
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Readings(Collector):
    """Gauges that are read together when they are asked for."""

    read: Callable[[], Iterable[GaugeReading]]

    def collect(self) -> Iterable[Metric]:
        """The metrics as Prometheus reads them."""
        for name, text, label, values in self.read():
            family = GaugeMetricFamily(name, text, labels=() if label is None else (label,))
            for value, number in values.items():
                family.add_metric(() if label is None else (value,), number)
            yield family


def gauges(registry: CollectorRegistry, read: dict[str, tuple[str, Callable[[], float]]]) -> None:
    """Gauges that are read when they are asked for; ``read`` maps a name to its help text and source."""
    for name, (text, source) in read.items():
        Gauge(name, text, registry=registry).set_function(source)


def _cumulative(counts: Sequence[int]) -> list[tuple[str, float]]:
    return [(bound, float(total)) for bound, total in zip((*map(str, BUCKETS), "+Inf"), accumulate(counts), strict=True)]


class Delivered(NamedTuple):
    """How far one webhook is; ``lag`` counts journal entries from the event in delivery on, 0 if there is none."""

    name: str
    delivered: int
    given_up: int
    lag: int


@dataclass(frozen=True, slots=True, eq=False)
class Deliveries(Collector):
    """Read when asked for. Names are the configuration's."""

    read: Callable[[], Iterable[Delivered]]

    def collect(self) -> Iterable[Metric]:
        """The metrics as Prometheus reads them."""
        delivered = CounterMetricFamily("killcord_webhook_delivered", "Events that the receiver accepted.", labels=("webhook",))
        given_up = CounterMetricFamily("killcord_webhook_given_up", "Events that the receiver never accepted.", labels=("webhook",))
        lag = GaugeMetricFamily("killcord_webhook_lag_entries", "Entries from the event in delivery to the newest.", labels=("webhook",))
        families: tuple[CounterMetricFamily | GaugeMetricFamily, ...] = (delivered, given_up, lag)
        for name, *counts in self.read():
            for family, count in zip(families, counts, strict=True):
                family.add_metric((name,), count)
        return families


class Counted(Protocol):
    """The connections of one API."""

    @property
    def refused(self) -> int: ...

    @property
    def evicted(self) -> int: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class Connections(Collector):
    """Read when asked for; ``tables`` are the connections of each API by its name."""

    tables: Mapping[str, Counted]

    def collect(self) -> Iterable[Metric]:
        """The metrics as Prometheus reads them."""
        opened = GaugeMetricFamily("killcord_connections", "Open connections.", labels=("api",))
        refused = CounterMetricFamily("killcord_connections_refused", "Connections refused at the bound.", labels=("api",))
        evicted = CounterMetricFamily("killcord_connections_evicted", "Waiting connections ended for a new one.", labels=("api",))
        for api, table in self.tables.items():
            opened.add_metric((api,), len(table))
            refused.add_metric((api,), table.refused)
            evicted.add_metric((api,), table.evicted)
        return opened, refused, evicted
