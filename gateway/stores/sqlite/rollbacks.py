"""ports.rollback.RollbackRecords: rollbacks, and what was tried for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from gateway.model.effect import Write
from gateway.model.entry import Kind
from gateway.model.rollback import Rollback
from gateway.ports.rollback import RollbackRecords
from gateway.stores.sqlite import rows
from gateway.stores.sqlite.statements import READING

_PAGE = 1000


class SqliteRollbacks:
    """Durable ones only."""

    def __init__(self, reader: sqlite3.Connection, stream: str) -> None:
        self._reader = reader
        self._stream = stream

    async def rollback(self, rollback_id: str) -> Rollback | None:
        row = self._reader.execute(READING["rollback"], (rollback_id,)).fetchone()
        return None if row is None else rows.rollback(row)

    async def rollbacks(self, *, run: str | None = None, after: str | None = None, limit: int = 100) -> Sequence[Rollback]:
        wanted = {"run": run, "after": after or "", "limit": limit}
        return [rows.rollback(row) for row in self._reader.execute(READING["rollbacks"], wanted).fetchall()]

    async def unfinished(self) -> Sequence[Rollback]:
        found: list[Rollback] = []
        after: str | None = None
        while page := await self.rollbacks(after=after, limit=_PAGE):
            found += [one for one in page if not one.status.ended]
            after = page[-1].rollback_id
        return found

    async def compensations(self, rollback_id: str, node_id: str | None = None) -> Sequence[Write]:
        wanted = {"rollback": rollback_id, "node": node_id}
        return [rows.write(row, self._stream) for row in self._reader.execute(READING["compensations"], wanted).fetchall()]

    async def marks(self, rollback_id: str, run_id: str) -> Mapping[str, Mapping[str, object]]:
        found: dict[str, Mapping[str, object]] = {}
        wanted = {"run": run_id, "kind": Kind.ROLLBACK, "tenant": None, "limit": -1, "after": 0}
        for (line,) in self._reader.execute(READING["entries_of_run"], wanted):
            entry = orjson.loads(line)
            if entry.get("rollback_id") == rollback_id and "node" in entry:
                found[entry["node"]] = entry
        return found


if TYPE_CHECKING:
    _port: type[RollbackRecords] = SqliteRollbacks
