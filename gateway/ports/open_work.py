"""What waits for a person, and what was detected last: read by index, however much was there before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gateway.model.entries import TriggerEntry
from gateway.model.review import Approval, Task
from gateway.model.rollback import Rollback
from gateway.model.trigger import Incident


class OpenCounts(Struct, frozen=True):
    """Open incidents, approvals that can still be decided, open tasks, and rollbacks that need an operator."""

    incidents: int
    approvals: int
    tasks: int
    rollbacks: int


class OpenWork(Protocol):
    """Lists begin with the newest. Every method raises ``JournalUnavailable`` if the journal cannot be read."""

    async def counts(self, now: float) -> OpenCounts: ...

    async def incidents(self, limit: int) -> Sequence[Incident]: ...

    async def approvals(self, now: float, limit: int) -> Sequence[Approval]: ...

    async def tasks(self, limit: int) -> Sequence[Task]: ...

    async def rollbacks(self, limit: int) -> Sequence[Rollback]:
        """Those that need an operator."""

    async def triggers(self, limit: int) -> Sequence[TriggerEntry]: ...

    async def timed(self, now: float) -> Sequence[Approval]:
        """Pending and granted approvals that will expire."""
