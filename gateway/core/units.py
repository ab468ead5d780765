"""Durations, rates, amounts and counts as users write them, in files and in requests. Each raises ValueError saying what would be right."""

from __future__ import annotations

import re
from decimal import Decimal

from gateway.model.run import Rate

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3_600), "d": Decimal(86_400)}
_RATE = re.compile(r"(\d{1,9})/(s|m|h)", re.ASCII)

LONGEST = 10 * 366 * 86_400
"""Seconds in the longest duration taken."""


def duration(value: object) -> float:
    """Seconds, more than zero, of ``"15m"``, ``"200ms"`` or a number of seconds."""
    seconds: Decimal | None = None
    if isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        seconds = Decimal(found[1]) * _SECONDS[found[2]]
    elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        seconds = Decimal(value)
    if seconds is None or not 0 < seconds <= LONGEST:
        raise ValueError(f"{shown(value)} is not a duration; write 200ms, 10s, 15m, 8h, 7d or a number of seconds above 0")
    return float(seconds)


def rate(value: object) -> Rate:
    """Calls per time of ``"50/s"``, ``"10/m"`` or ``"100/h"``."""
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[1]) == 0:
        raise ValueError(f"{shown(value)} is not a rate; write 50/s, 10/m or 100/h")
    return Rate(int(found[1]), float(_SECONDS[found[2]]))


def amount(value: object) -> int:
    """Millionths of a unit, exactly as written: ``1000`` is 1_000_000_000."""
    number = Decimal(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else None
    if number is None or not 0 <= number * 1_000_000 < 2**53 or number * 1_000_000 % 1:
        raise ValueError(f"{shown(value)} is not an amount; write a number from 0 to 9007199254, with at most six decimals")
    return int(number * 1_000_000)


def count(value: object) -> int:
    """A whole number, zero or more."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError(f"{shown(value)} is not a count; write a whole number, 0 or more")
    return value


def shown(value: object) -> str:
    """A value as its author wrote it, more or less, and bounded."""
    plain = {True: "true", False: "false", None: "an empty value"}
    text = plain[value] if value is None or isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
