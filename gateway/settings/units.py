"""Durations, sizes, rates, amounts and addresses as users write them. Each raises ValueError saying what would be right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator

from gateway.model.run import Rate

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3_600), "d": Decimal(86_400)}
_SIZE = re.compile(r"(\d{1,12})(B|KiB|MiB|GiB|kB|MB|GB)?", re.ASCII)
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_RATE = re.compile(r"(\d{1,9})/(s|m|h)", re.ASCII)
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})", re.ASCII)

LONGEST = 10 * 366 * 86_400
"""Seconds in the longest duration taken."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a door listens: ``host`` and ``port``, or a Unix socket at ``path``."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def loopback(self) -> bool:
        """Whether only processes of this machine reach it."""
        return bool(self.path) or self.host in ("localhost", "::1") or self.host.startswith("127.")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix://{self.path}" if self.path else f"{host}:{self.port}"


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


def size(value: object) -> int:
    """Bytes, at least one, of ``"1MiB"``, ``"64kB"`` or a number of bytes."""
    found = _SIZE.fullmatch(str(value)) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    count = int(found[1]) * _BYTES[found[2] or "B"] if found else 0
    if not 0 < count <= 2**40:
        raise ValueError(f"{shown(value)} is not a size; write 64KiB, 1MiB or a number of bytes above 0")
    return count


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


def address(value: object) -> Address:
    """``127.0.0.1:8090``, ``[::1]:8090`` or ``unix:///run/killcord.sock``; port 0 lets the system choose one."""
    if isinstance(value, str) and value.startswith("unix:///"):
        return Address(path=value.removeprefix("unix://"))
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[2]) > 65_535:
        raise ValueError(f"{shown(value)} is not an address; write 127.0.0.1:8090, [::1]:8090 or unix:///path")
    return Address(found[1].strip("[]"), int(found[2]))


def shown(value: object) -> str:
    """A value as its author wrote it, more or less, and bounded."""
    plain = {True: "true", False: "false", None: "an empty value"}
    text = plain[value] if value is None or isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


Duration = Annotated[float, BeforeValidator(duration)]
Size = Annotated[int, BeforeValidator(size)]
Calls = Annotated[Rate, BeforeValidator(rate)]
Amount = Annotated[int, BeforeValidator(amount)]
Count = Annotated[int, BeforeValidator(count)]
Listen = Annotated[Address, BeforeValidator(address)]
