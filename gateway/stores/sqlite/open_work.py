"""What waits for a person, found by the partial indexes on what is open."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core import timestamps
from gateway.core.codec import entry as codec
from gateway.model.entries import TriggerEntry
from gateway.model.review import Approval, Task
from gateway.model.rollback import Rollback
from gateway.model.trigger import Incident
from gateway.ports.open_work import OpenCounts, OpenWork
from gateway.stores.sqlite import rows
from gateway.stores.sqlite.known_names import reading
from gateway.stores.sqlite.views import View


class SqliteOpenWork(View, OpenWork):
    async def counts(self, now: float) -> OpenCounts:
        with reading():
            (found,) = self._all("open_counts", lambda row: OpenCounts(*row), timestamps.micros(now))
            return found

    async def incidents(self, limit: int) -> Sequence[Incident]:
        with reading():
            return self._all("open_incidents", rows.INCIDENTS.value, limit)

    async def approvals(self, now: float, limit: int) -> Sequence[Approval]:
        with reading():
            return self._all("pending_approvals", rows.approval, timestamps.micros(now), limit)

    async def tasks(self, limit: int) -> Sequence[Task]:
        with reading():
            return self._all("open_tasks", rows.TASKS.value, limit)

    async def rollbacks(self, limit: int) -> Sequence[Rollback]:
        with reading():
            return self._all("waiting_rollbacks", rows.ROLLBACKS.value, limit)

    async def triggers(self, limit: int) -> Sequence[TriggerEntry]:
        with reading():
            found = self._all("newest_triggers", lambda row: codec.decode(row[0]), limit)
        return [one for one in found if isinstance(one, TriggerEntry)]

    async def timed(self, now: float) -> Sequence[Approval]:
        with reading():
            return self._all("timed_approvals", rows.approval, timestamps.micros(now))
