"""ports.approvals.ApprovalRecords: what people were asked, and what they said."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.model.approval import Approval
from gateway.ports.approvals import ApprovalRecords
from gateway.stores.sqlite import rows
from gateway.stores.sqlite.statements import READING


class SqliteApprovals:
    """Durable ones only."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader

    async def approval(self, approval_id: str) -> Approval | None:
        row = self._reader.execute(READING["approval"], (approval_id,)).fetchone()
        return None if row is None else rows.approval(row)

    async def approvals(self, *, run: str | None = None, after: str | None = None, limit: int = 100) -> Sequence[Approval]:
        wanted = {"run": run, "after": after or "", "limit": limit}
        return [rows.approval(row) for row in self._reader.execute(READING["approvals"], wanted).fetchall()]

    async def newest_of(self, run_id: str, generation: int, action: str, content: str) -> Approval | None:
        row = self._reader.execute(READING["approval_of_call"], (run_id, generation, action, content)).fetchone()
        return None if row is None else rows.approval(row)


if TYPE_CHECKING:
    _port: type[ApprovalRecords] = SqliteApprovals
