"""ports.History: the journal, read back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway import errors
from gateway.core.codec.record import position_of
from gateway.model.entry import Head, Position
from gateway.ports.journal import History, Query
from gateway.stores.sqlite.log.intake import Intake
from gateway.stores.sqlite.statements import READING, WRITING

PATIENCE = 1.0
"""Seconds that a reader waits for entries that are not on disk yet."""


class SqliteHistory:
    """Durable entries of this node's one stream; what was posted before the question is in the answer, unless the disk is stuck."""

    def __init__(self, reader: sqlite3.Connection, intake: Intake) -> None:
        self._reader = reader
        self._intake = intake

    async def entries(self, query: Query) -> Sequence[bytes]:
        after = position_of(query.after) if query.after else Position(self._intake.stream, 0)
        if after is None or after.stream != self._intake.stream:
            raise ValueError(f"{query.after!r} is no cursor of this journal; a cursor is {self._intake.stream}/<seq>")
        narrowest = (
            "entries_of_run" if query.run else "entries_of_tenant" if query.tenant else "entries_of_kind" if query.kind else "entries"
        )
        await self._caught_up()
        wanted = {"after": after.seq, "run": query.run, "tenant": query.tenant, "kind": query.kind, "limit": query.limit}
        return [line for (line,) in self._reader.execute(READING[narrowest], wanted).fetchall()]

    async def entry(self, position: Position) -> bytes | None:
        if position.stream != self._intake.stream:
            return None
        if position.seq > self._intake.tip.seq:
            await self._caught_up()
        row = self._reader.execute(READING["entry"], (position.seq,)).fetchone()
        return None if row is None else row[0]

    async def heads(self) -> Sequence[Head]:
        return [Head(*row) for row in self._reader.execute(READING["heads"]).fetchall()]

    async def keep_head(self, head: Head) -> None:
        await self._intake.perform(
            lambda writer: writer.execute(WRITING["keep_head"], (head.stream, head.seq, head.hash, head.ts, head.note))
        )

    async def tail(self) -> Head:
        tip = self._intake.tip
        return Head(self._intake.stream, tip.seq, tip.hash, tip.ts, "")

    async def _caught_up(self) -> None:
        """Have what was posted written now, and wait for it: whoever was told of an entry finds it."""
        if self._intake.health().lag:
            with suppress(errors.JournalUnavailable, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._intake.perform(_nothing)


def _nothing(writer: sqlite3.Connection) -> None:
    """What waits in the queue before this is on disk once it has had its turn."""


if TYPE_CHECKING:
    _port: type[History] = SqliteHistory
