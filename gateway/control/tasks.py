"""Work handed to a person, and what the person said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from gateway.core import records, stamp
from gateway.model.effect import State, Write
from gateway.model.entry import Kind
from gateway.model.task import Task
from gateway.ports import Clock, Journal, Registry, Writes

RESOLUTIONS = frozenset({"applied", "not_applied"})

Conclude = Callable[[Write, bool, str, str], Awaitable[None]]


class WrongResolution(ValueError):
    """The task cannot be resolved like this; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """``conclude`` journals what became of a write: ``(write, applied, by, note)``."""

    journal: Journal
    registry: Registry
    writes: Writes
    clock: Clock
    conclude: Conclude

    async def find(self, task_id: str) -> Task | None:
        after: str | None = None
        while page := await self.registry.tasks(after=after, limit=1000):
            for task in page:
                if task.task_id == task_id:
                    return task
            after = page[-1].task_id
        return None

    async def resolve(self, task_id: str, *, resolution: str, note: str, by: str) -> Task:
        """Close a task about an unknown outcome with what a person found at the tool.

        Raises:
            KeyError: there is no such task.
            WrongResolution: the word is not one of ``applied`` and ``not_applied``, or the task is closed.
        """
        if resolution not in RESOLUTIONS:
            raise WrongResolution(f"resolution must be one of {', '.join(sorted(RESOLUTIONS))}, not {resolution!r}.")
        task = await self.find(task_id)
        if task is None:
            raise KeyError(task_id)
        if task.resolution is not None:
            raise WrongResolution(f"Task {task_id} was resolved as {task.resolution} by {task.resolved_by}.")
        write = await self.writes.by_wire_key(task.wire_key)
        if write is not None and write.state is State.UNKNOWN:
            await self.conclude(write, resolution == "applied", by, note)
        now = self.clock.now()
        closed = replace(task, resolution=resolution, note=note, resolved_by=by, resolved_at=now)
        await self.journal.append(
            {
                "ts": stamp.rfc3339(now),
                "kind": Kind.TASK.value,
                "tenant": task.tenant,
                "run_id": task.run_id,
                "task": records.task_entry(closed),
                "change": "resolved",
                "by": by,
                "reason": note,
            }
        )
        return closed
