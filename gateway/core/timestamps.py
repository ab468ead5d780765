"""Times as the journal and the API write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(seconds: float) -> str:
    """Unix seconds as ``2026-11-24T20:08:03.123456Z``, always with microseconds, so that texts sort as times do."""
    whole, part = divmod(micros(seconds), 1_000_000)
    return f"{_second(whole)}.{part:06}Z"


@lru_cache(maxsize=64)
def _second(whole: int) -> str:
    """The text of a second: many entries share one."""
    return (_EPOCH + timedelta(seconds=whole)).strftime("%Y-%m-%dT%H:%M:%S")


def micros(seconds: float) -> int:
    """Unix seconds as whole microseconds: the journal holds no floats."""
    return round(seconds * 1_000_000)


def seconds(micros: int) -> float:
    return micros / 1_000_000


def instant(text: str) -> float:
    """RFC 3339 as Unix seconds."""
    return datetime.fromisoformat(text).timestamp()
