"""ports.Journal: entries are given their place on the loop's thread, sent to the writer, and readable before they are on disk."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from gateway import errors
from gateway.core.journal import projection
from gateway.model.effect import Charge, Sighting, State
from gateway.model.entries import ChargeRecord, Entry, IntentEntry, ReplayEntry
from gateway.model.entry import Position, Sealed
from gateway.model.run import Run
from gateway.ports.journal import IntentRefused, IntentRequest, Journal, JournalHealth
from gateway.stores.sqlite.database import Database
from gateway.stores.sqlite.log import writer
from gateway.stores.sqlite.projection import KnownKeys
from gateway.stores.sqlite.state_digest import StateDigest

BOUND = 20_000
"""Sightings kept in front of the table."""

Sight = tuple[str, str]
"""Scope (``run:r1``, ``workflow:w1``) and object."""


class PendingEntries:
    """Newest sightings and pending steps. Belongs to the event loop's thread."""

    def __init__(self, *, bound: int = BOUND) -> None:
        self._bound = bound
        self._sightings: OrderedDict[Sight, Sighting] = OrderedDict()
        self._steps: defaultdict[str, deque[int]] = defaultdict(deque)
        self._stepped: deque[tuple[int, tuple[str, str]]] = deque()
        self._durable = 0
        self.undecided: set[tuple[str, str]] = set()
        """Tenant and workflow of each write whose outcome was unknown at a time: none is missing of those to which that matters."""

    def take(self, entry: writer.Prepared) -> None:
        """Count an entry that was just given its place."""
        seq = entry.position.seq
        for change in entry.changes:
            if isinstance(change, projection.Stepped):
                self._stepped.append((seq, change.scopes))
                for scope in change.scopes:
                    self._steps[scope].append(seq)
            elif isinstance(change, projection.WriteSettled):
                if change.state is State.UNKNOWN and (workflow := entry.entry.workflow_id) is not None:
                    self.undecided.add((entry.entry.tenant or "", workflow))
            elif isinstance(change, projection.Seen):
                sighting = Sighting(change.version, seq)
                self.remember((f"run:{change.run_id}", change.object), sighting)
                self.remember((f"workflow:{change.workflow_id}", change.object), sighting)

    def remember(self, sight: Sight, sighting: Sighting) -> None:
        self._sightings[sight] = sighting
        self._sightings.move_to_end(sight)
        while len(self._sightings) > self._bound:
            oldest = next(iter(self._sightings))
            if self._sightings[oldest].seq > self._durable:
                return  # not on disk: this is the only place that knows it
            del self._sightings[oldest]

    def sighting(self, sight: Sight, find: Callable[[Sight], Sighting | None]) -> Sighting | None:
        """The newest sighting, submitted or, by ``find``, durable."""
        found = self._sightings.get(sight)
        if found is None:
            found = find(sight)
            if found is not None:
                self.remember(sight, found)
        return found

    def steps(self, scope: str, *, above: int) -> int:
        """How many steps of a scope were taken at a seq above the one a reader saw."""
        return sum(1 for seq in self._steps.get(scope, ()) if seq > above)

    def settle(self, durable: int) -> None:
        """All up to ``durable`` is on disk."""
        self._durable = durable
        while self._stepped and self._stepped[0][0] <= durable:
            for scope in self._stepped.popleft()[1]:
                pending = self._steps[scope]
                pending.popleft()
                if not pending:
                    del self._steps[scope]

    def fall_back(self, durable: int) -> None:
        """All above ``durable`` never was."""
        self._steps.clear()
        self._stepped.clear()
        for sight in [sight for sight, sighting in self._sightings.items() if sighting.seq > durable]:
            del self._sightings[sight]


WAITING = 20_000
"""Entries that may wait for the disk; past it none are taken."""

T = TypeVar("T")


class SqliteJournal:
    """Entries, in the order they are handed in; their members belong to the journal from then on.

    Belongs to the thread of the running loop; nothing in it waits for the writer. ``refresh`` gets changed runs once they are durable,
    before anyone who waited for it continues.
    """

    def __init__(
        self,
        database: Database,
        tip: writer.Tip,
        state: StateDigest,
        pending: PendingEntries,
        keys: KnownKeys,
        refresh: Callable[[Mapping[str, Run]], None],
    ) -> None:
        self.stream = database.stream
        self.tip = tip
        self._pending = pending
        self._keys = keys
        self._refresh = refresh
        self._loop = asyncio.get_running_loop()
        self._last = tip.seq
        self._term = 0
        self._down = ""
        self._writer = writer.Writer(database.writer, tip, database.stream, state, self._deliver)
        pending.settle(tip.seq)
        self._writer.start()

    def post(self, entry: Entry, blobs: Sequence[Sealed] = ()) -> Position:
        return self._submit(_no_intent(entry), blobs)

    async def append(self, entry: Entry, blobs: Sequence[Sealed] = ()) -> Position:
        if isinstance(entry, ReplayEntry) and entry.named is not None and entry.named.own is not None:
            self._keys.note(entry.tenant, entry.workflow_id, entry.named.own)
        future: asyncio.Future[Position] = self._loop.create_future()
        self._submit(_no_intent(entry), blobs, future=future)
        return await future

    async def intend(self, request: IntentRequest) -> Position | IntentRefused:
        _check_charges(request)
        future: asyncio.Future[Position | IntentRefused] = self._loop.create_future()
        self._submit(request.entry, request.blobs, request, future)
        return await future

    async def perform(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``write`` in the next batch's transaction; its result once that is durable.

        Raises:
            JournalUnavailable: nothing of it is, or will be, on disk.
        """
        self._admit()
        future: asyncio.Future[T] = self._loop.create_future()
        self._writer.put(writer.WriterCall(write, future))
        return await future

    def health(self) -> JournalHealth:
        return JournalHealth(ok=not self._down, reason=self._down, lag=self._last - self.tip.seq, seq=self.tip.seq)

    async def close(self) -> None:
        """Write what was taken, then end the writer."""
        if self._writer.is_alive():
            future: asyncio.Future[None] = self._loop.create_future()
            self._writer.put(writer.Stop(future))
            with contextlib.suppress(errors.JournalUnavailable):
                await future
        self._down = "it is closed"
        self._writer.join()

    def _submit(
        self, entry: Entry, blobs: Sequence[Sealed], request: IntentRequest | None = None, future: asyncio.Future[Any] | None = None
    ) -> Position:
        """Give an entry the next seq and send it to the writer.

        Raises:
            JournalUnavailable: the journal cannot be written now, or too many entries wait.
            TypeError: it holds what no entry can hold; no seq was used.
        """
        self._admit()
        prepared = writer.prepare(entry, Position(self.stream, self._last + 1))
        self._last += 1
        self._pending.take(prepared)
        if request is not None:
            self._keys.note(request.entry.tenant, request.entry.workflow_id, request.entry.key.digest)
            if request.entry.key.own is not None:
                self._keys.note(request.entry.tenant, request.entry.workflow_id, request.entry.key.own)
        self._writer.put(writer.Submission(prepared, self._term, blobs, request, future))
        return prepared.position

    def _admit(self) -> None:
        if self._down:
            raise errors.JournalUnavailable(
                f"The journal cannot be written; nothing is forwarded without it ({self._down}).", retry_after=1.0
            )
        if self._last - self.tip.seq >= WAITING:
            raise errors.JournalUnavailable(f"{WAITING} journal entries wait for the disk; no more are accepted.", retry_after=1.0)

    def _deliver(self, event: writer.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._handle, event)

    def _handle(self, event: writer.Event) -> None:
        if isinstance(event, writer.Durable):
            self._settle(event)
        else:
            self._fail(event)

    def _settle(self, event: writer.Durable) -> None:
        self.tip, self._down = event.tip, ""
        self._pending.settle(event.tip.seq)
        self._refresh(event.runs)
        for future, result in event.results:
            if not future.done():
                future.set_result(result)

    def _fail(self, event: writer.WriterFailed) -> None:
        if event.term != self._term:
            self._term = event.term
            self._last = self.tip.seq
            self._pending.fall_back(self.tip.seq)
            self._down = event.reason
        for future in [*event.futures, *(self._writer.leftover() if event.final else ())]:
            if not future.done():
                future.set_exception(errors.JournalUnavailable(retry_after=1.0))


_CHARGE: Callable[[Charge | ChargeRecord], tuple[object, ...]] = attrgetter("scope", "name", "amount", "member")


def _no_intent(entry: Entry) -> Entry:
    if isinstance(entry, IntentEntry):
        raise ValueError("append an intent with intend(), which checks its key and charges")
    return entry


def _check_charges(request: IntentRequest) -> None:
    """The entry must contain what is checked: a replay of the journal charges by the entry alone."""
    if tuple(map(_CHARGE, request.entry.charges or ())) != tuple(map(_CHARGE, request.charges)):
        raise ValueError("the intent's charges are not those of the request")


if TYPE_CHECKING:
    _port: type[Journal] = SqliteJournal
