"""The writer thread, its jobs, and its events. Group commit: all that is queued goes to disk in one transaction with one fsync."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gateway import errors
from gateway.core.codec import entry as codec
from gateway.core.journal import chain, projection
from gateway.model.entries import Entry, RefusalEntry
from gateway.model.entry import Position, Sealed
from gateway.model.run import Run
from gateway.ports.journal import SPENT, IntentRefused, IntentRequest
from gateway.stores.sqlite import database
from gateway.stores.sqlite.projection import Tables
from gateway.stores.sqlite.state_digest import StateDigest

BATCH = 512
PROBE_EVERY = 0.5
LINGER = 0.01
"""Seconds for which entries that nobody waits for gather before they go to disk; the first one that is waited for ends it."""


class Tip(Struct, frozen=True):
    """The newest durable entry; seq 0 and the genesis hash if there is none."""

    seq: int
    hash: str
    ts: str


class Prepared(Struct, frozen=True):
    """An entry that can no longer be refused for its form: serialised, and its changes known."""

    entry: Entry
    position: Position
    draft: chain.Draft
    changes: tuple[projection.Change, ...]


def prepare(entry: Entry, position: Position) -> Prepared:
    """Give an entry its place.

    Raises:
        TypeError: it holds what no entry can hold.
    """
    return Prepared(entry, position, codec.draft(entry, position), projection.changes(entry, position))


class Submission(Struct, frozen=True):
    """An entry on its way to the disk. ``term`` is the one its seq was given in: after a failed commit older terms are void."""

    prepared: Prepared
    term: int
    blobs: Sequence[Sealed] = ()
    request: IntentRequest | None = None
    future: asyncio.Future[Any] | None = None


class WriterCall(Struct, frozen=True):
    """Anything else to be written: ``run`` gets the connection inside the batch's transaction."""

    run: Callable[[sqlite3.Connection], object]
    future: asyncio.Future[Any]


class Stop(Struct, frozen=True):
    """Write what came before, then end."""

    future: asyncio.Future[Any]


Job = Submission | WriterCall | Stop


class Durable(Struct, frozen=True):
    """A batch is on disk (fsync returned), or after a failure an empty one: the journal can be written."""

    tip: Tip
    results: Sequence[tuple[asyncio.Future[Any], object]]
    runs: Mapping[str, Run]


class WriterFailed(Struct, frozen=True):
    """Nothing of these jobs is, or will be, on disk; seqs are assigned again, in a new ``term``. ``final``: the writer is gone."""

    reason: str
    term: int
    futures: Sequence[asyncio.Future[Any]]
    final: bool = False


Event = Durable | WriterFailed
Deliver = Callable[[Event], None]


class Writer(threading.Thread):
    """Takes jobs in the order queued. ``deliver`` is called on the writer's thread, once for each batch."""

    def __init__(self, connection: sqlite3.Connection, tip: Tip, stream: str, state: StateDigest, deliver: Deliver) -> None:
        super().__init__(name="killcord-journal", daemon=True)
        self._connection = connection
        self._tables = Tables(connection, state)
        self._tip = tip
        self._stream = stream
        self._state = state
        self._deliver = deliver
        self._term = 0
        self._queue: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._urgent = threading.Event()
        self._held: Sequence[Job] = ()
        self._stopped = False

    def put(self, job: Job) -> None:
        """Queue a job; takes no lock that the writer holds for long."""
        self._queue.put(job)
        # Setting it costs a lock; where it is set already, the writer has yet to clear it, and takes this job after that.
        if job.future is not None and not self._urgent.is_set():
            self._urgent.set()

    def leftover(self) -> list[asyncio.Future[Any]]:
        """Fails callers that still wait for a writer that has ended."""
        return _waiting(self._queued())

    def run(self) -> None:
        try:
            while not self._stopped:
                self._held = self._next_batch()
                self._write(self._held)
        finally:
            if not self._stopped:
                # Whatever ended the thread, nobody may wait for it, and nothing is taken any more.
                self._fail("the journal's writer ended unexpectedly; restart the gateway and check its log", final=True)

    def _next_batch(self) -> list[Job]:
        """The next batch. An fsync for each of many reads would cost more than all of them; no one waits for theirs."""
        first = self._queue.get()
        if first.future is None:
            self._urgent.wait(LINGER)
        # Cleared before the rest is taken: who comes after this is in a later batch, and sets it again.
        self._urgent.clear()
        return [first, *self._queued(BATCH - 1)]

    def _queued(self, most: int = 1 << 30) -> list[Job]:
        found: list[Job] = []
        with contextlib.suppress(queue.Empty):
            while len(found) < most:
                found.append(self._queue.get_nowait())
        return found

    def _write(self, jobs: Sequence[Job]) -> None:
        void = [job for job in jobs if self._void(job)]
        if void:
            self._deliver(WriterFailed("an earlier batch failed", self._term, _waiting(void)))
        try:
            event = self._commit([job for job in jobs if not self._void(job)] if void else jobs)
        except (sqlite3.Error, OSError) as failed:
            self._fail(f"the journal cannot be written: {failed}")
            self._recover()
            return
        self._held = ()
        self._stopped = any(isinstance(job, Stop) for job in jobs)
        self._deliver(event)

    def _void(self, job: Job) -> bool:
        return isinstance(job, Submission) and job.term != self._term

    def _commit(self, jobs: Sequence[Job]) -> Durable:
        results: list[tuple[asyncio.Future[Any], object]] = []
        lines: list[database.Row] = []
        blobs: list[database.Row] = []
        tip = self._tip
        self._connection.execute("BEGIN IMMEDIATE")
        self._tables.expect([_attempt(job.request) for job in jobs if isinstance(job, Submission) and job.request is not None])
        for job in jobs:
            if not isinstance(job, Submission):
                results.append((job.future, job.run(self._connection) if isinstance(job, WriterCall) else None))
                continue
            accepted, position = job.prepared, job.prepared.position
            result: Position | IntentRefused = position
            refusal = None if job.request is None else self._refusal(job.request)
            if refusal is None:
                blobs += [(blob.ref, blob.tenant, blob.data) for blob in job.blobs]
            else:
                accepted, result = prepare(refusal, position), IntentRefused(refusal, position)
            entry, linked = accepted.entry, accepted.draft.link(tip.hash)
            self._tables.apply(accepted.changes, position.seq)
            lines.append((position.seq, entry.kind.value, entry.run_id, entry.tenant, linked.line, None))
            tip = Tip(position.seq, linked.hash, entry.ts)
            if job.future is not None:
                results.append((job.future, result))
        runs = self._tables.flush()
        if lines:
            lines[-1] = (*lines[-1][:-1], self._state.seal(self._stream, tip.seq, tip.hash))
        database.put(self._connection, "keep_entries", lines)
        database.put(self._connection, "keep_blobs", blobs)
        self._connection.execute("COMMIT")
        self._state.keep()
        self._tip = tip
        return Durable(tip, results, runs)

    def _refusal(self, request: IntentRequest) -> RefusalEntry | None:
        """The refusal that takes an intent's place, if it must not be opened."""
        approval_id = request.entry.approval_id
        if self._tables.taken(_attempt(request)):
            return replace(request.refusal(), code=errors.InFlight.code)
        if approval_id is not None and not self._tables.granted(approval_id):
            code = errors.ApprovalRequired.code
            return replace(request.refusal(), code=code, status=403, detail=SPENT, approval_id=approval_id)
        violations = self._tables.over(request.charges)
        if not violations:
            return None
        return replace(request.refusal(), code=errors.BlastRadius.code, status=errors.BlastRadius.status, violated=violations)

    def _fail(self, reason: str, *, final: bool = False) -> None:
        """Void the batch and all that is queued behind it."""
        self._abort()
        self._tables.drop()
        self._state.drop()
        self._term += 1
        jobs = [*self._held, *self._queued()]
        self._held = ()
        self._stopped = final or any(isinstance(job, Stop) for job in jobs)
        self._deliver(WriterFailed(reason, self._term, _waiting(jobs), final=self._stopped))

    def _recover(self) -> None:
        """Probe until the disk takes writes again; what is queued meanwhile fails at once."""
        due = time.monotonic() + PROBE_EVERY
        while not self._stopped:
            try:
                job = self._queue.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                if self._probe():
                    self._deliver(Durable(self._tip, (), {}))
                    return
                due = time.monotonic() + PROBE_EVERY
            else:
                self._stopped = isinstance(job, Stop)
                self._deliver(WriterFailed("the journal cannot be written", self._term, _waiting([job]), final=self._stopped))

    def _probe(self) -> bool:
        try:
            for statement in ("BEGIN IMMEDIATE", database.WRITING["probe"], database.WRITING["end_probe"], "COMMIT"):
                self._connection.execute(statement)
        except (sqlite3.Error, OSError):
            self._abort()
            return False
        return True

    def _abort(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _attempt(request: IntentRequest) -> tuple[str, str, str, int]:
    entry = request.entry
    return (entry.tenant, entry.workflow_id, entry.key.digest, entry.attempt)


def _waiting(jobs: Sequence[Job]) -> list[asyncio.Future[Any]]:
    return [job.future for job in jobs if job.future is not None]
