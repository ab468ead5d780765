"""Rate meters."""

from __future__ import annotations

from collections.abc import Sequence
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
        """Take one call from every meter, or, where one has none left, from none of them; raises RateLimited where they cannot be asked."""
        ...

    async def check(self) -> None:
        """Find out whether the meters can be asked: ``health`` tells it, with a line about it, even where no call comes."""
        ...

    def health(self) -> tuple[bool, str]: ...

    async def close(self) -> None: ...
