"""Long-running operations: writes that their tool accepts first and carries out later, as an adapter declares them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from msgspec import Struct

from gateway.core.adapter.expression import Expression

ACCEPTED = 202
"""The status of a reply that promises nothing but to begin."""


class Phase(Enum):
    """How far a write is that its tool has accepted."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class Pending(Struct, frozen=True, kw_only=True):
    """``when`` is exactly true of a reply that has only accepted the write, ``None``: a 202.

    ``done`` and ``failed`` are asked of the reply to a GET of ``job``, a reference that the first reply gives; ``on_object``: of the
    object. Seconds: ``every`` between two polls, ``within`` for which the agent's call waits, ``give_up`` after which a
    person is asked as well.
    """

    done: Expression
    job: Expression | None = None
    when: Expression | None = None
    failed: Expression | None = None
    on_object: bool = False
    every: float = 1.0
    within: float = 3.0
    give_up: float = 900.0

    def accepts(self, document: Mapping[str, object], status: int) -> bool:
        """Whether a reply has only accepted the write."""
        if not 200 <= status < 300:
            return False
        return status == ACCEPTED if self.when is None else self.when.holds(document)

    def phase(self, document: Mapping[str, object]) -> Phase:
        """What one poll shows; what is done and failed at once shows nothing."""
        done, failed = self.done.holds(document), self.failed is not None and self.failed.holds(document)
        if done is failed:
            return Phase.PENDING
        return Phase.DONE if done else Phase.FAILED
