"""Where a process may be gone, by name."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from tests.support.failpoints import Crashed

CALLS = (
    "before intent", "after intent", "with a connection", "half sent", "applied", "reply read", "before outcome", "after outcome",
)  # fmt: skip
CONTROL = (
    "before run opened", "after run opened", "before run renewed", "after run renewed", "before run closed", "after run closed",
    "before order made", "after order made", "before order released", "after order released",
    "before reconciliation", "after reconciliation", "before task opened", "after task opened", "before task resolved",
    "after task resolved", "before finding", "after finding", "before trigger", "after trigger",
    "before response opened", "after response opened",
    "before approval requested", "after approval requested", "before approval granted", "after approval granted",
    "before checkpoint", "after checkpoint",
)  # fmt: skip
RECOVERY = (
    "before rollback started", "after rollback started", "before rollback node", "after rollback node", "before rollback claimed",
    "after rollback claimed", "before rollback continued", "after rollback continued", "before rollback stopped", "after rollback stopped",
    "before rollback waits", "after rollback waits", "before rollback ended", "after rollback ended",
    "before rollback recover", "after rollback recover", "before run resumed", "after run resumed", "before rollback closed",
    "after rollback closed",
)  # fmt: skip
POINTS = CALLS + CONTROL + RECOVERY
"""Every place; a ``rollback`` entry that says ``recover`` or ``closed`` is one of an incident."""


@dataclass(slots=True)
class Points:
    """The process is gone at each point that is ``armed``, the first time that it comes there; ``reached`` outlives it."""

    armed: set[str] = field(default_factory=set)
    reached: Counter[str] = field(default_factory=Counter)
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    def point(self, name: str) -> None:
        """Continue, or not."""
        self.alive()
        if name in self.armed:
            self.armed.remove(name)
            self.reached[name] += 1
            self.dead.set()
            raise Crashed(name)

    def alive(self) -> None:
        if self.dead.is_set():
            raise Crashed
