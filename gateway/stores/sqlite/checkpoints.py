"""ports.checkpoints: the checkpoints that were taken, and what stands from before one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.model.checkpoint import Checkpoint
from gateway.model.effect import Key, Write
from gateway.ports.checkpoints import CheckpointRecords, Standing
from gateway.stores.sqlite import rows
from gateway.stores.sqlite.statements import READING


class SqliteCheckpoints:
    """Durable ones only."""

    def __init__(self, reader: sqlite3.Connection, stream: str) -> None:
        self._reader = reader
        self._stream = stream

    async def checkpoint(self, checkpoint_id: str) -> Checkpoint | None:
        row = self._reader.execute(READING["checkpoint"], (checkpoint_id,)).fetchone()
        return None if row is None else rows.checkpoint(row)

    async def checkpoints(self, run: str, *, after: str | None = None, limit: int = 100) -> Sequence[Checkpoint]:
        wanted = {"run": run, "after": after or "", "limit": limit}
        return [rows.checkpoint(row) for row in self._reader.execute(READING["checkpoints"], wanted).fetchall()]

    async def standing(self, key: Key, until: int) -> Write | None:
        wanted = {"tenant": key.tenant, "workflow": key.workflow_id, "key": key.digest, "until": until}
        row = self._reader.execute(READING["standing_write"], wanted).fetchone()
        return None if row is None else rows.write(row, self._stream)


if TYPE_CHECKING:
    _records: type[CheckpointRecords] = SqliteCheckpoints
    _standing: type[Standing] = SqliteCheckpoints
