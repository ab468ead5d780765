"""How long to wait before something is tried again: as the other side asks, else twice as long each time, up to a bound. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

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


def requested_pause(retry_after: str, *, now: float) -> float | None:
    """Seconds of a ``Retry-After`` header's value, in either of its forms; ``None`` if it cannot be read."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    until = date(text)
    return None if until is None else max(0.0, until - now)


def date(text: str) -> float | None:
    """An HTTP date as Unix seconds; ``None`` if it cannot be read."""
    try:
        read = parsedate_to_datetime(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
