"""The loop's side of the writer: gives each entry its seq, in order, and hears what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, assert_never

from gateway import errors
from gateway.model.entry import Fields, Position, Sealed
from gateway.model.run import Run
from gateway.ports.journal import IntentRequest, JournalHealth
from gateway.stores.sqlite.log.jobs import Durable, Event, Stop, Submission, Tip, WriterCall, WriterFailed, WriterRecovered, prepare
from gateway.stores.sqlite.log.pending import PendingEntries
from gateway.stores.sqlite.log.writer import Writer
from gateway.stores.sqlite.projection.known_keys import KnownKeys

T = TypeVar("T")

WAITING = 20_000
"""Entries that may wait for the disk; past it none are taken."""


class Intake:
    """Belongs to the thread of the running loop; nothing in it waits for the writer.

    ``refresh`` hears of changed runs once they are durable, before anyone who waited for it goes on.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        stream: str,
        tip: Tip,
        ahead: PendingEntries,
        keys: KnownKeys,
        refresh: Callable[[Mapping[str, Run]], None],
    ) -> None:
        self.stream = stream
        self.tip = tip
        self._ahead = ahead
        self._keys = keys
        self._refresh = refresh
        self._loop = asyncio.get_running_loop()
        self._last = tip.seq
        self._term = 0
        self._down = ""
        self._writer = Writer(connection, tip, self._deliver)
        ahead.settle(tip.seq)
        self._writer.start()

    def submit(
        self,
        fields: Fields,
        *,
        blobs: Sequence[Sealed] = (),
        opening: IntentRequest | None = None,
        future: asyncio.Future[Any] | None = None,
    ) -> Position:
        """Give an entry the next seq and send it to the writer.

        Raises:
            JournalUnavailable: the journal cannot be written now, or too many entries wait.
            TypeError, KeyError, ValueError: it is no entry; no seq was used.
        """
        self._admit()
        entry = prepare(fields, Position(self.stream, self._last + 1))
        self._last += 1
        self._ahead.take(entry)
        if opening is not None:
            self._keys.note(opening.key.tenant, opening.key.workflow_id, opening.key.digest)
        self._writer.put(Submission(entry, self._term, blobs, opening, future))
        return entry.position

    async def perform(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``write`` in the next batch's transaction; its result once that is durable.

        Raises:
            JournalUnavailable: nothing of it is, or will be, on disk.
        """
        self._admit()
        future: asyncio.Future[T] = self._loop.create_future()
        self._writer.put(WriterCall(write, future))
        return await future

    def future(self) -> asyncio.Future[Any]:
        return self._loop.create_future()

    def health(self) -> JournalHealth:
        return JournalHealth(ok=not self._down, reason=self._down, lag=self._last - self.tip.seq, seq=self.tip.seq)

    async def close(self) -> None:
        """Write what was taken, then end the writer."""
        if self._writer.alive:
            future = self.future()
            self._writer.put(Stop(future))
            with contextlib.suppress(errors.JournalUnavailable):
                await future
        self._down = "it is closed"
        self._writer.join()

    def _admit(self) -> None:
        if self._down:
            raise errors.JournalUnavailable(
                f"The journal cannot be written; nothing is forwarded without it ({self._down}).", retry_after=1.0
            )
        if self._last - self.tip.seq >= WAITING:
            raise errors.JournalUnavailable(f"{WAITING} journal entries wait for the disk; no more are taken.", retry_after=1.0)

    def _deliver(self, event: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._hear, event)

    def _hear(self, event: Event) -> None:
        match event:
            case Durable():
                self._settle(event)
            case WriterFailed():
                self._fall(event)
            case WriterRecovered():
                self._down = ""
            case _:
                assert_never(event)

    def _settle(self, event: Durable) -> None:
        self.tip = event.tip
        self._ahead.settle(event.tip.seq)
        self._refresh(event.runs)
        for future, result in event.results:
            if not future.done():
                future.set_result(result)

    def _fall(self, event: WriterFailed) -> None:
        if event.term != self._term:
            self._term = event.term
            self._last = self.tip.seq
            self._ahead.fall_back(self.tip.seq)
            self._down = event.reason
        for future in [*event.futures, *(self._writer.leftover() if event.final else ())]:
            if not future.done():
                future.set_exception(errors.JournalUnavailable(retry_after=1.0))
