"""ports.History and ports.Blobs: the journal read back, its sealed blobs, and its end checked before anything is appended."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from gateway import errors
from gateway.core.codec import entry as codec
from gateway.core.codec.record import position_of
from gateway.core.journal import chain
from gateway.model.entries import Entry
from gateway.model.entry import Head, Position, Sealed
from gateway.ports.journal import History, Query
from gateway.ports.vault import Blobs
from gateway.stores.sqlite.database import READING, WRITING, Database
from gateway.stores.sqlite.log.journal import Intake
from gateway.stores.sqlite.log.writer import Tip

PATIENCE = 1.0
"""Seconds that a reader waits for entries that are not on disk yet."""


class SqliteHistory:
    """Durable entries of this node's one stream; what was posted before the question is in the answer, unless the disk is stuck."""

    def __init__(self, reader: sqlite3.Connection, intake: Intake) -> None:
        self._reader = reader
        self._intake = intake

    async def entries(self, query: Query) -> Sequence[Entry]:
        return [codec.decode(line) for line in await self.lines(query)]

    async def lines(self, query: Query) -> Sequence[bytes]:
        after = position_of(query.after) if query.after else Position(self._intake.stream, 0)
        if after is None or after.stream != self._intake.stream:
            raise ValueError(f"{query.after!r} is not a cursor of this journal; a cursor is {self._intake.stream}/<seq>")
        narrowest = (
            "entries_of_run" if query.run else "entries_of_tenant" if query.tenant else "entries_of_kind" if query.kind else "entries"
        )
        await self._caught_up()
        wanted = {
            "after": after.seq,
            "run": query.run,
            "tenant": query.tenant,
            "kind": query.kind,
            "limit": -1 if query.limit is None else query.limit,
        }
        return [line for (line,) in self._reader.execute(READING[narrowest], wanted).fetchall()]

    async def entry(self, position: Position) -> Entry | None:
        line = await self.line(position)
        return None if line is None else codec.decode(line)

    async def line(self, position: Position) -> bytes | None:
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
        """Write what was posted now, and wait for it, so that every announced entry is found."""
        if self._intake.health().lag:
            with suppress(errors.JournalUnavailable, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._intake.perform(_nothing)


def _nothing(writer: sqlite3.Connection) -> None:
    """What waits in the queue before this is on disk once it has had its turn."""


if TYPE_CHECKING:
    _port_history: type[History] = SqliteHistory


class SqliteBlobs:
    """Blobs are stored with the entries that name them; keys separately."""

    def __init__(self, reader: sqlite3.Connection, intake: Intake) -> None:
        self._reader = reader
        self._intake = intake

    async def blob(self, ref: str) -> Sealed | None:
        row = self._reader.execute(READING["blob"], (ref,)).fetchone()
        return None if row is None else Sealed(ref, *row)

    async def tenant_key(self, tenant: str) -> bytes | None:
        row = self._reader.execute(READING["tenant_key"], (tenant,)).fetchone()
        return None if row is None else bytes(row[0])

    async def keep_tenant_key(self, tenant: str, wrapped: bytes) -> bytes:
        def keep(writer: sqlite3.Connection) -> bytes:
            writer.execute(WRITING["keep_tenant_key"], (tenant, wrapped))
            return bytes(writer.execute(READING["tenant_key"], (tenant,)).fetchone()[0])

        return await self._intake.perform(keep)

    async def forget_tenant_key(self, tenant: str) -> bool:
        return await self._intake.perform(lambda writer: writer.execute(WRITING["forget_tenant_key"], (tenant,)).rowcount > 0)


if TYPE_CHECKING:
    _port_blobs: type[Blobs] = SqliteBlobs


CHECKED = 1000
"""How many of the newest entries are checked at every start; ``killcord journal verify`` checks all."""


def newest(database: Database) -> Tip:
    """The entry to continue from.

    Raises:
        Misconfigured: the newest entries do not link, or end below the newest signed head. Nothing is truncated or repaired.
    """
    rows = database.reader.execute(READING["tail"], (CHECKED + 1,)).fetchall()[::-1]
    whole = len(rows) <= CHECKED
    tip = Tip(0, chain.GENESIS, "") if whole else _tip(database, *rows[0])
    for seq, line in rows if whole else rows[1:]:
        tip = _linked(database, tip, seq, line)
    _covered(database, tip)
    return tip


def _linked(database: Database, before: Tip, seq: int, line: bytes) -> Tip:
    if seq != before.seq + 1:
        raise _broken(database, before.seq + 1, "the entry is missing")
    found = _tip(database, seq, line)
    fields = orjson.loads(line)
    del fields["hash"]
    if fields.pop("prev_hash") != before.hash:
        raise _broken(database, seq, "its prev_hash is not the hash of the entry before it")
    if chain.draft(fields).link(before.hash).line != line or fields["seq"] != seq or fields["stream"] != database.stream:
        raise _broken(database, seq, "it was changed: its hash does not cover it")
    return found


def _tip(database: Database, seq: int, line: bytes) -> Tip:
    try:
        fields = orjson.loads(line)
        return Tip(seq, fields["hash"], fields["ts"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as broken:
        raise _broken(database, seq, "it is not a journal entry") from broken


def _covered(database: Database, tip: Tip) -> None:
    for stream, seq, *_ in database.reader.execute(READING["heads"]).fetchall():
        if stream == database.stream and seq > tip.seq:
            raise _broken(database, tip.seq + 1, f"a head was signed at seq {seq}, but the journal ends at {tip.seq}: its end was removed")


def _broken(database: Database, seq: int, problem: str) -> errors.Misconfigured:
    look = f"check it with 'killcord journal verify --file {database.path}'"
    advice = f"keep this file as evidence, {look}, and start on a restored copy or a new data_dir"
    return errors.Misconfigured([f"{database.path}: entry {database.stream}/{seq}: {problem}; {advice}"])
