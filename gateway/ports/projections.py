"""What the journal's projection holds, read back: writes, sightings, runs, orders, tasks, incidents, approvals and checkpoints.

Here and in the other projections, a ``limit`` of ``None`` reads a list to its end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol, TypeVar

from gateway.model.call import Target
from gateway.model.effect import Charge, Key, Sighting, Violation, Write
from gateway.model.review import Approval, Task
from gateway.model.rollback import Checkpoint
from gateway.model.run import Order, Run
from gateway.model.trigger import Incident

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
    """Effects: the projection of intents, outcomes and reconciliations."""

    async def latest(self, tenant: str, workflow_id: str, key_digest: str) -> Write | None:
        """The newest attempt under a key."""

    async def of_run(self, run_id: str) -> Sequence[Write]: ...

    async def later(self, workflow_id: str, target_object: str, since: int) -> Sequence[Write]:
        """The writes on the object that the workflow opened at a seq above ``since`` and that did not fail, oldest first."""

    async def named(self, key: Key) -> Write | None:
        """The newest attempt under the agent's own key that a key is looked up beside (``key.own``), or the write that answered a call
        under it since: that one with the content of that call.
        """

    def may_have_undecided(self, tenant: str, workflow_id: str) -> bool:
        """Whether a write of the workflow may ever have been of unknown outcome; a no is certain."""

    async def undecided_equals(self, key: Key) -> Sequence[Write]:
        """Writes of the workflow that do the same under another key, oldest first: those of unknown outcome, and those that stand and were
        not known to by their reply.
        """

    async def others(self, write: Write) -> Sequence[Write]:
        """All other writes of its object, of any run or workflow, oldest first: those that did not fail and began after it, were open when
        it began, or are still open.
        """

    async def of_object(self, target: Target) -> Sequence[Write]:
        """All writes of an object that did not fail, of any run or workflow, oldest first."""

    async def outdated(self, target: Target, version: str, until: int, run_id: str) -> bool:
        """Whether an object is known to have been at this version before the entry numbered ``until``: by its writes, of any workflow, or
        by the reads of this run and of the runs that wrote it.
        """

    async def unsettled(self) -> Sequence[Write]:
        """All writes in flight or unknown, oldest first."""

    async def by_wire_key(self, wire_key: str) -> Write | None: ...

    async def standing(self, key: Key, until: int) -> Write | None:
        """The newest attempt under a key that was begun up to an entry's number and stands, whatever came after it."""


class Sightings(Protocol):
    """The version of each object last seen, by a read or by an own write; the newest post counts at once."""

    async def by_run(self, run_id: str, target_object: str) -> Sighting | None: ...

    async def by_workflow(self, workflow_id: str, target_object: str) -> Sighting | None: ...


class Registry(Protocol):
    """Runs and orders: the projection of ``run`` and ``order`` entries."""

    def latest(self, run_id: str) -> Run | None:
        """A run as it durably is now, without a wait: the check at the socket asks for it."""

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

    async def orders(self) -> Sequence[Order]:
        """Every order, ascending by epoch, released ones too."""

    async def task(self, task_id: str) -> Task | None: ...

    async def tasks(self, *, run: str | None = None, after: str | None = None, limit: int | None = 100) -> Sequence[Task]: ...

    async def counters(self, scope: str) -> Mapping[str, int]:
        """What a scope (``run:r1``) has used, by name; ``amount:<name>`` in millionths, ``tenants`` and ``systems`` distinct."""

    async def over(self, charges: Sequence[Charge]) -> Sequence[Violation]:
        """The limits that these charges, taken together, would pass as things stand; nothing is charged."""


class Incidents(Protocol):
    """The projection of ``response`` entries."""

    async def incident(self, incident_id: str) -> Incident | None: ...

    async def incidents(self, *, run: str | None = None, after: str | None = None, limit: int | None = 100) -> Sequence[Incident]:
        """Ascending by id, beginning after ``after``."""

    async def incident_of(self, run_id: str, generation: int, cause: str) -> Incident | None:
        """The one incident of a run's generation for a cause."""


class ApprovalRecords(Protocol):
    """The projection of ``approval`` entries, and of the intents that were made with one. Statuses are as stored: none is ``EXPIRED``."""

    async def approval(self, approval_id: str) -> Approval | None: ...

    async def approvals(self, *, run: str | None = None, after: str | None = None, limit: int | None = 100) -> Sequence[Approval]:
        """Ascending by id, beginning after ``after``."""

    async def newest_of(self, run_id: str, generation: int, action: str, content: str) -> Approval | None:
        """The approval that was asked for last for a call of a run's generation."""


class CheckpointRecords(Protocol):
    """The projection of ``checkpoint`` entries: those that somebody took."""

    async def checkpoint(self, checkpoint_id: str) -> Checkpoint | None: ...

    async def checkpoints(self, run: str, *, after: str | None = None, limit: int | None = 100) -> Sequence[Checkpoint]:
        """Those of a run, ascending by id, beginning after ``after``."""
