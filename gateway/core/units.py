"""Durations, sizes, rates, amounts and counts as users write them. Each raises ValueError saying what is right."""

from __future__ import annotations

import re
from decimal import Decimal

from gateway.model.run import Rate

_DURATION = re.compile(r"([0-9.]+)(ms|s|m|h|d)")
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3_600), "d": Decimal(86_400)}
_SIZE = re.compile(r"(\d{1,12})(B|KiB|MiB|GiB|kB|MB|GB)?", re.ASCII)
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}

_PART = r"(\.[0-9]{1,6})?"
_WORDS = (f"[0-9]{{1,9}}{_PART}ms", f"([0-9]{{1,8}}|[1-7][0-9]{{8}}){_PART}s", f"[0-9]{{1,7}}{_PART}m", f"[0-9]{{1,5}}{_PART}h")
DURATION = rf"^(?=[0-9.]*[1-9])({'|'.join(_WORDS)}|[0-9]{{1,4}}{_PART}d)$"
"""A duration as a text, as a regular expression of JSON Schema: what it matches is above zero and at most ``LONGEST``."""
RATE = r"^[1-9][0-9]{0,8}/[smh]$"
"""A rate, as a regular expression of JSON Schema."""

LONGEST = 10_000 * 86_400
"""Seconds in the longest duration taken: 10,000 days."""
LARGEST_AMOUNT = 9_007_199_254
"""Units in the largest amount taken: its millionths are exact in JSON numbers."""
LARGEST_COUNT = 2**53 - 1


def duration(value: object) -> float:
    """Seconds, more than zero, of ``"15m"``, ``"200ms"`` or a number of seconds."""
    seconds: Decimal | None = None
    if isinstance(value, str) and re.fullmatch(DURATION, value) and (found := _DURATION.fullmatch(value)):
        seconds = Decimal(found[1]) * _SECONDS[found[2]]
    elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        seconds = Decimal(value)
    if seconds is None or not 0 < seconds <= LONGEST:
        raise ValueError(f"{shown(value)} is not a duration; write 200ms, 10s, 15m, 8h, 7d or a number of seconds above 0")
    return float(seconds)


def size(value: object) -> int:
    """Bytes, at least one, of ``"1MiB"``, ``"64kB"`` or a number of bytes."""
    found = _SIZE.fullmatch(str(value)) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    size = int(found[1]) * _BYTES[found[2] or "B"] if found else 0
    if not 0 < size <= 2**40:
        raise ValueError(f"{shown(value)} is not a size; write 64KiB, 1MiB or a number of bytes above 0")
    return size


def rate(value: object) -> Rate:
    """Calls per time of ``"50/s"``, ``"10/m"`` or ``"100/h"``."""
    if not isinstance(value, str) or not re.fullmatch(RATE, value):
        raise ValueError(f"{shown(value)} is not a rate; write 50/s, 10/m or 100/h")
    count, _, unit = value.partition("/")
    return Rate(int(count), float(_SECONDS[unit]))


def amount(value: object) -> int:
    """Millionths of a unit, exactly as written: ``1000`` is 1_000_000_000."""
    number = Decimal(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else None
    if number is None or not 0 <= number <= LARGEST_AMOUNT or number * 1_000_000 % 1:
        raise ValueError(f"{shown(value)} is not an amount; write a number from 0 to {LARGEST_AMOUNT}, with at most six decimals")
    return int(number * 1_000_000)


def count(value: object) -> int:
    """A whole number, zero or more."""
    if isinstance(value, Decimal) and value.is_finite() and value == int(value):
        value = int(value)  # in JSON, 3 and 3.0 are the same number
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_COUNT:
        raise ValueError(f"{shown(value)} is not a count; write a whole number, 0 or more")
    return value


def shown(value: object) -> str:
    """A value as its author wrote it, more or less, and bounded."""
    plain = {True: "true", False: "false", None: "an empty value"}
    text = plain[value] if value is None or isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
