"""Rate meters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from gateway.model.run import Rate


class Quota(Struct, frozen=True):
    """What is left of the tightest rate after a call; ``wait`` > 0 (seconds) means the call came too soon."""

    name: str
    rate: Rate
    remaining: int
    wait: float = 0.0


class Rates(Protocol):
    async def take(self, meters: Sequence[tuple[str, Rate]], *, now: float) -> Quota | None:
        """Take one call from every meter, or, if one has none left, from none of them; raises RateLimited if they cannot be asked."""

    async def check(self) -> None:
        """Find out whether the meters can be asked: ``health`` reports it, even if no call comes."""

    def health(self) -> tuple[bool, str]: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """``socket`` is a path and stands in place of ``host`` and ``port``; ``ca`` is a file of certificates that verifies ``tls``."""

    host: str = ""
    port: int = 6379
    socket: str = ""
    tls: bool = False
    ca: Path | None = None
    database: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.socket or f'{host}:{self.port}'}/{self.database}"
