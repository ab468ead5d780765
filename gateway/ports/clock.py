"""Time and randomness, as the line and everything beside it get them."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time and randomness."""

    def now(self) -> float:
        """Unix seconds; never runs backwards within a process."""

    def monotonic(self) -> float: ...

    def mint(self, prefix: str) -> str:
        """A new id, ``<prefix>_<26 characters>``, ascending with time."""
