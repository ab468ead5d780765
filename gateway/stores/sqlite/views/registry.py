"""ports.Registry: runs, orders, tasks and counters."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.core.journal import projection
from gateway.model.order import Order
from gateway.model.run import Run
from gateway.model.task import Task
from gateway.ports.projections import Registry
from gateway.stores.sqlite import rows
from gateway.stores.sqlite.log.pending import PendingEntries
from gateway.stores.sqlite.statements import READING


class Runs:
    """Runs in memory: each call asks for one. ``refresh`` is called for every change before anyone hears of it."""

    def __init__(self, *, bound: int = 20_000) -> None:
        self._bound = bound
        self._kept: OrderedDict[str, Run] = OrderedDict()

    def get(self, run_id: str) -> Run | None:
        run = self._kept.get(run_id)
        if run is not None:
            self._kept.move_to_end(run_id)
        return run

    def keep(self, run: Run) -> None:
        self._kept[run.run_id] = run
        self._kept.move_to_end(run.run_id)
        if len(self._kept) > self._bound:
            self._kept.popitem(last=False)

    def refresh(self, changed: Mapping[str, Run]) -> None:
        for run in changed.values():
            self.keep(run)


class SqliteRegistry:
    """The fold of ``run``, ``order`` and ``task`` entries, and of all that is counted."""

    def __init__(self, reader: sqlite3.Connection, runs: Runs, ahead: PendingEntries) -> None:
        self._reader = reader
        self._runs = runs
        self._ahead = ahead

    async def run(self, run_id: str) -> Run | None:
        run = self._runs.get(run_id)
        if run is None:
            row = self._reader.execute(READING["run"], (run_id,)).fetchone()
            if row is None:
                return None
            run = rows.run(row)
            self._runs.keep(run)
        return run

    async def runs(
        self, *, tenant: str | None = None, agent: str | None = None, parent: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[Run]:
        wanted = {"tenant": tenant, "agent": agent, "parent": parent, "after": after or "", "limit": limit}
        return [rows.run(row) for row in self._reader.execute(READING["runs"], wanted).fetchall()]

    async def orders(self) -> Sequence[Order]:
        return [rows.order(row) for row in self._reader.execute(READING["orders"]).fetchall()]

    async def task(self, task_id: str) -> Task | None:
        row = self._reader.execute(READING["task"], (task_id,)).fetchone()
        return None if row is None else rows.task(row)

    async def tasks(self, *, run: str | None = None, after: str | None = None, limit: int = 100) -> Sequence[Task]:
        wanted = {"run": run, "after": after or "", "limit": limit}
        return [rows.task(row) for row in self._reader.execute(READING["tasks"], wanted).fetchall()]

    async def counters(self, scope: str) -> Mapping[str, int]:
        """Durable, with the steps that were taken since: two reads in a row cannot both be the last step."""
        found = self._reader.execute(READING["counters"], (scope,)).fetchall()
        used = {name: count for _, name, count in found if name is not None}
        ahead = self._ahead.steps(scope, above=found[0][0])
        if ahead:
            used[projection.STEPS] = used.get(projection.STEPS, 0) + ahead
        return used


if TYPE_CHECKING:
    _port: type[Registry] = SqliteRegistry
