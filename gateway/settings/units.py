"""Durations, sizes, rates, amounts and addresses as users write them. Each raises ValueError saying what would be right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, InstanceOf

from gateway.core import addresses
from gateway.core.units import amount, count, duration, rate, shown
from gateway.model.run import Rate

_SIZE = re.compile(r"(\d{1,12})(B|KiB|MiB|GiB|kB|MB|GB)?", re.ASCII)
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})", re.ASCII)

__all__ = [
    "Address",
    "Amount",
    "Calls",
    "Count",
    "Duration",
    "Listen",
    "Size",
    "address",
    "amount",
    "count",
    "duration",
    "rate",
    "shown",
    "size",
]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a door listens: ``host`` and ``port``, or a Unix socket at ``path``."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def loopback(self) -> bool:
        """Whether only processes of this machine reach it."""
        return bool(self.path) or addresses.loopback(self.host)

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return str(self) if self.path else f"http://{self}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix://{self.path}" if self.path else f"{host}:{self.port}"


def size(value: object) -> int:
    """Bytes, at least one, of ``"1MiB"``, ``"64kB"`` or a number of bytes."""
    found = _SIZE.fullmatch(str(value)) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    count = int(found[1]) * _BYTES[found[2] or "B"] if found else 0
    if not 0 < count <= 2**40:
        raise ValueError(f"{shown(value)} is not a size; write 64KiB, 1MiB or a number of bytes above 0")
    return count


def address(value: object) -> Address:
    """``127.0.0.1:8090``, ``[::1]:8090`` or ``unix:///run/killcord.sock``; port 0 lets the system choose one."""
    if isinstance(value, str) and value.startswith("unix:///"):
        return Address(path=value.removeprefix("unix://"))
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[2]) > 65_535:
        raise ValueError(f"{shown(value)} is not an address; write 127.0.0.1:8090, [::1]:8090 or unix:///path")
    return Address(found[1].strip("[]"), int(found[2]))


Duration = Annotated[float, BeforeValidator(duration)]
Size = Annotated[int, BeforeValidator(size)]
Calls = Annotated[InstanceOf[Rate], BeforeValidator(rate)]
Amount = Annotated[int, BeforeValidator(amount)]
Count = Annotated[int, BeforeValidator(count)]
Listen = Annotated[Address, BeforeValidator(address)]
