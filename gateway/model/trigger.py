"""A detected fact about a run: what its entries show together, before anyone has decided what it means."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

LAYERS = {
    "policy": "policy",
    "verify": "verification",
    "anomaly": "behaviour",
    "uncertain": "uncertainty",
    "blast": "blast radius",
    "recoverable": "recoverable",
}
"""The layer of detection, by the first word of a trigger's name."""


class Trigger(Struct, frozen=True, kw_only=True, gc=False):
    """``count`` of ``threshold`` occurrences were seen when it fired; ``at`` is the event's time, Unix seconds.

    ``evidence`` are the positions (``stream/seq``) of the entries that it was seen in, oldest first. ``facts`` are JSON
    values that go with its kind, never an argument of a call.
    """

    name: str
    at: float
    count: int = 1
    threshold: int = 1
    evidence: tuple[str, ...] = ()
    effect: str | None = None
    severity: str | None = None
    tool: str | None = None
    action: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def layer(self) -> str:
        return LAYERS[self.name.partition(".")[0]]
