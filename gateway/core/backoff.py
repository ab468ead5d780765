"""How long to wait before something is tried again: each pause is twice as long as the one before, up to a bound. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_DOUBLINGS = 32
"""Every bound is reached by then; the power must not grow without end."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """All in seconds: the ``first`` pause, the ``longest`` one, and the most that the other side may ask for (``Retry-After``)."""

    first: float
    longest: float
    most_asked: float = 0.0

    def pause(self, tries: int, *, chance: float = 0.0, asked: float = 0.0) -> float:
        """The pause after so many tries (1 or more); ``chance`` (0 to 1) takes up to half of it off, ``asked`` makes it longer."""
        grown: float = min(self.first * 2 ** min(tries - 1, _MOST_DOUBLINGS), self.longest)
        return max(grown * (1 - chance / 2), min(asked, self.most_asked))

    def pause_at_age(self, age: float) -> float:
        """The pause of something that began ``age`` seconds ago and whose tries nobody counted: it is tried as its age doubles."""
        return min(self.longest, max(self.first, age))
