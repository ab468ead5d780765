"""ports.History and ports.Blobs: the journal read back, its sealed blobs, and its end checked before anything is appended."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson
from msgspec.structs import astuple

from gateway import errors
from gateway.core.codec import entry as codec
from gateway.core.codec.record import position_of
from gateway.core.journal import chain
from gateway.model.entries import Entry
from gateway.model.entry import Head, Position, Sealed
from gateway.ports.journal import History, Query
from gateway.ports.vault import Blobs
from gateway.stores.sqlite import database
from gateway.stores.sqlite.database import READING, WRITING, Database
from gateway.stores.sqlite.log.journal import SqliteJournal
from gateway.stores.sqlite.log.writer import Tip

PATIENCE = 1.0
"""Seconds that a reader waits for entries that are not on disk yet."""


class SqliteHistory(History):
    """Durable entries of this node's one stream; what was posted before the question is in the answer, unless the disk is stuck."""

    def __init__(self, reader: sqlite3.Connection, journal: SqliteJournal) -> None:
        self._reader = reader
        self._journal = journal

    async def entries(self, query: Query) -> Sequence[Entry]:
        return [codec.decode(line) for line in await self.lines(query)]

    async def lines(self, query: Query) -> Sequence[bytes]:
        after = position_of(query.after) if query.after else Position(self._journal.stream, 0)
        if after is None or after.stream != self._journal.stream:
            raise ValueError(f"{query.after!r} is not a cursor of this journal; a cursor is {self._journal.stream}/<seq>")
        await self._catch_up()
        return list(database.entries(self._reader, query, after=after.seq))

    async def entry(self, position: Position) -> Entry | None:
        line = await self.line(position)
        return None if line is None else codec.decode(line)

    async def line(self, position: Position) -> bytes | None:
        if position.stream != self._journal.stream:
            return None
        if position.seq > self._journal.tip.seq:
            await self._catch_up()
        row = self._reader.execute(READING["entry"], (position.seq,)).fetchone()
        return None if row is None else row[0]

    async def heads(self) -> Sequence[Head]:
        return [Head(*row) for row in self._reader.execute(READING["heads"]).fetchall()]

    async def keep_head(self, head: Head) -> None:
        await self._journal.perform(lambda writer: writer.execute(WRITING["keep_head"], astuple(head)))

    async def tail(self) -> Head:
        tip = self._journal.tip
        return Head(self._journal.stream, tip.seq, tip.hash, tip.ts, "")

    async def _catch_up(self) -> None:
        """Write what was posted now, and wait for it, so that every announced entry is found."""
        if self._journal.health().lag:
            with suppress(errors.JournalUnavailable, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    # Nothing to write: once this has had its turn, what waited in the queue before it is on disk.
                    await self._journal.perform(lambda _: None)


Perform = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]
"""Runs a write in a transaction of the journal's; its result once that is durable."""


class SqliteBlobs(Blobs):
    """Blobs are stored with the entries that name them; keys separately."""

    def __init__(self, reader: sqlite3.Connection, perform: Perform) -> None:
        self._reader = reader
        self._perform = perform

    async def blob(self, ref: str) -> Sealed | None:
        row = self._reader.execute(READING["blob"], (ref,)).fetchone()
        return None if row is None else Sealed(ref, *row)

    async def blobs(self, refs: Collection[str]) -> Mapping[str, Sealed]:
        rows = self._reader.execute(READING["blobs"], (orjson.dumps(list(refs)).decode(),)).fetchall()
        return {row[0]: Sealed(*row) for row in rows}

    async def tenant_key(self, tenant: str) -> bytes | None:
        row = self._reader.execute(READING["tenant_key"], (tenant,)).fetchone()
        return None if row is None else bytes(row[0])

    async def keep_tenant_key(self, tenant: str, wrapped: bytes) -> bytes:
        def put(writer: sqlite3.Connection) -> bytes:
            writer.execute(WRITING["keep_tenant_key"], (tenant, wrapped))
            return bytes(writer.execute(READING["tenant_key"], (tenant,)).fetchone()[0])

        kept: bytes = await self._perform(put)
        return kept

    async def forget_tenant_key(self, tenant: str) -> bool:
        forgotten: bool = await self._perform(lambda writer: writer.execute(WRITING["forget_tenant_key"], (tenant,)).rowcount > 0)
        return forgotten


CHECKED = 1000
"""How many of the newest entries are checked at every start; ``killcord journal verify`` checks all."""


def newest(opened: Database) -> Tip:
    """The entry to continue from.

    Raises:
        Misconfigured: the newest entries do not link. Nothing is truncated or repaired.
    """
    rows = opened.reader.execute(READING["tail"], (CHECKED + 1,)).fetchall()[::-1]
    whole = len(rows) <= CHECKED
    tip = Tip(0, chain.GENESIS, "") if whole else _tip(opened, *rows[0])
    for seq, line in rows if whole else rows[1:]:
        tip = _linked(opened, tip, seq, line)
    (count,) = opened.reader.execute(READING["count_of_entries"]).fetchone()
    if count != tip.seq:
        raise _broken(opened, tip.seq, f"it is the newest of {count} entries, so {tip.seq - count} are missing before it")
    return tip


def _linked(opened: Database, before: Tip, seq: int, line: bytes) -> Tip:
    if seq != before.seq + 1:
        raise _broken(opened, before.seq + 1, "the entry is missing")
    found = _tip(opened, seq, line)
    fields = orjson.loads(line)
    del fields["hash"]
    if fields.pop("prev_hash") != before.hash:
        raise _broken(opened, seq, "its prev_hash is not the hash of the entry before it")
    if chain.draft(fields).link(before.hash).line != line or fields["seq"] != seq or fields["stream"] != opened.stream:
        raise _broken(opened, seq, "it was changed: its hash does not cover it")
    return found


def _tip(opened: Database, seq: int, line: bytes) -> Tip:
    try:
        fields = orjson.loads(line)
        return Tip(seq, fields["hash"], fields["ts"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as broken:
        raise _broken(opened, seq, "it is not a journal entry") from broken


def _broken(opened: Database, seq: int, problem: str) -> errors.Misconfigured:
    look = f"check it with 'killcord journal verify --file {opened.path}'"
    advice = f"keep this file as evidence, {look}, and start on a restored copy or a new data_dir"
    return errors.Misconfigured([f"{opened.path}: entry {opened.stream}/{seq}: {problem}; {advice}"])
