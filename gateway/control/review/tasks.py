"""Tasks for people, and how people resolve them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gateway.core import tasks
from gateway.core.tasks import Owner
from gateway.model.effect import State, Write
from gateway.model.review import Task, TaskKind
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.projections import Registry, Writes, required

Conclude = Callable[[Write, bool, str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Tasks:
    """``conclude`` journals what became of a write: ``(write, applied, by, note)``."""

    journal: Journal
    registry: Registry
    writes: Writes
    clock: Clock
    conclude: Conclude
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def open(self, task: Task, owner: Owner) -> Task:
        """Open a task under its stable id; one that stands there already, open or resolved, is returned as it is.

        Raises:
            JournalUnavailable: it is not durable.
        """
        async with self._turn:
            known = await self.registry.task(task.task_id)
            if known is not None:
                return known
            await self.journal.append(tasks.entry(task, owner))
            return task

    async def resolve(self, task_id: str, *, resolution: str, note: str, by: str, writes: Sequence[str] | None = None) -> Task:
        """Close a task with what a person found or did; what was found of an unknown outcome settles its write.

        ``writes`` are the wire keys of those that were applied, where the task is about several.

        Raises:
            KeyError: there is no such task.
            WrongResolution: this resolution does not close a task of this kind.
            AlreadyResolved: it is already closed.
            JournalUnavailable: it is not durable.
        """
        async with self._turn:  # of two who say different things, the second has to see the first
            task = await required(self.registry.task(task_id), task_id)
            meant = tasks.closing(task, resolution)
            if task.kind is TaskKind.OUTCOME_UNKNOWN:
                await self._settle(task, tasks.applied_of(task, meant, writes), note, by)
            elif writes:
                raise tasks.WrongResolution(f"'writes' is for tasks of kind {TaskKind.OUTCOME_UNKNOWN}.")
            closed = tasks.resolved(task, meant, note=note, by=by, at=self.clock.now())
            await self.journal.append(tasks.entry(closed))
            return closed

    async def _settle(self, task: Task, applied: frozenset[str], note: str, by: str) -> None:
        for wire_key in task.wire_keys:
            write = await self.writes.by_wire_key(wire_key)
            if write is not None and write.state is State.UNKNOWN:
                await self.conclude(write, wire_key in applied, by, note)
