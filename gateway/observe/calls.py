"""Calls counted and timed, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

Log = Callable[..., object]
"""Takes an event's name and its members."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Every metric of the gateway. Label values come from the catalog and from refusal codes, never from an agent's text."""

    calls: Counter
    stages: Histogram
    monotonic: Callable[[], float]
    log: Log

    @classmethod
    def of(cls, registry: CollectorRegistry, monotonic: Callable[[], float], log: Callable[[str, dict[str, object]], None]) -> Observer:
        calls = Counter("killcord_calls", "Calls by tool, action and decision.", ("tool", "action", "decision"), registry=registry)
        stages = Histogram(
            "killcord_stage_seconds", "Time spent in each stage of the line.", ("stage",), registry=registry, buckets=_BUCKETS
        )
        return cls(calls, stages, monotonic, log)

    def passed(self, tool: str, action: str, status: int, started: float, marks: Sequence[tuple[str, float]]) -> None:
        """A call that the line let through; its status is the tool's."""
        self._count(tool, action, "allow", started, marks)
        self.log("call", tool=tool, action=action, status=status, ms=round((self.monotonic() - started) * 1000, 2))

    def refused(self, tool: str, action: str, code: str, started: float, marks: Sequence[tuple[str, float]]) -> None:
        """A call that a stage stood against."""
        self._count(tool if action else "", action, code, started, marks)
        self.log("refusal", tool=tool, action=action, code=code)

    def _count(self, tool: str, action: str, decision: str, started: float, marks: Sequence[tuple[str, float]]) -> None:
        self.calls.labels(tool, action, decision).inc()
        before = started
        for stage, end in marks:
            self.stages.labels(stage).observe(end - before)
            before = end


def gauges(registry: CollectorRegistry, read: dict[str, tuple[str, Callable[[], float]]]) -> None:
    """Gauges that are read when they are asked for; ``read`` maps a name to its help text and source."""
    for name, (text, source) in read.items():
        Gauge(name, text, registry=registry).set_function(source)
