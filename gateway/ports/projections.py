"""What is folded from the journal, read back: writes, sightings, runs, orders and tasks.

Here and in the other projections, a ``limit`` of ``None`` reads a list to its end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol, TypeVar

from gateway.model.effect import Sighting, Write
from gateway.model.run import Order, Run
from gateway.model.task import Task

T = TypeVar("T")


async def required(read: Awaitable[T | None], name: str) -> T:
    """What a projection holds under a name.

    Raises:
        KeyError: there is nothing of this name.
    """
    if (found := await read) is None:
        raise KeyError(name)
    return found


class Writes(Protocol):
    """Effects: the fold of intents, outcomes and reconciliations."""

    async def latest(self, tenant: str, workflow_id: str, key_digest: str) -> Write | None:
        """The newest attempt under a key."""
        ...

    async def of_run(self, run_id: str) -> Sequence[Write]: ...

    async def rewritten(self, workflow_id: str, target_object: str, since: int) -> bool:
        """Whether the workflow opened a write on the object at a seq above ``since`` that did not fail."""
        ...

    async def unsettled(self) -> Sequence[Write]:
        """All writes in flight or unknown, oldest first."""
        ...

    async def by_wire_key(self, wire_key: str) -> Write | None: ...


class Sightings(Protocol):
    """The version of each object last seen, by a read or by an own write; the newest post counts at once."""

    async def by_run(self, run_id: str, target_object: str) -> Sighting | None: ...

    async def by_workflow(self, workflow_id: str, target_object: str) -> Sighting | None: ...


class Registry(Protocol):
    """Runs and orders: the fold of ``run`` and ``order`` entries."""

    async def run(self, run_id: str) -> Run | None: ...

    async def runs(
        self,
        *,
        tenant: str | None = None,
        agent: str | None = None,
        parent: str | None = None,
        after: str | None = None,
        limit: int | None = 100,
    ) -> Sequence[Run]:
        """Ascending by run id, beginning after ``after``."""
        ...

    async def orders(self) -> Sequence[Order]:
        """Every order, ascending by epoch, released ones too."""
        ...

    async def task(self, task_id: str) -> Task | None: ...

    async def tasks(self, *, run: str | None = None, after: str | None = None, limit: int | None = 100) -> Sequence[Task]: ...

    async def counters(self, scope: str) -> Mapping[str, int]:
        """What a scope (``run:r1``) has used, by name; ``amount:<name>`` in millionths, ``tenants`` and ``systems`` distinct."""
        ...
