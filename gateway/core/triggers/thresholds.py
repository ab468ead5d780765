"""When a sign becomes a trigger. Every number is a configuration key; the defaults are those of docs/triggers.md."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
        return max(
            self.denied.within,
            self.loop.within,
            self.repeats.within,
            self.failures.within,
            self.writes_within,
            self.unknown.within,
            self.blast_within,
        )


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
