"""Webhooks: orders, triggers and incidents sent to the outside, from the journal and as far as it is durable.

Each webhook gets its events in order: the journal is read behind its cursor, and an event is finished before the next one begins.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom

import msgspec
import orjson

from gateway import errors
from gateway.clients.webhook.post import Answer, Post
from gateway.core.backoff import Backoff, requested_pause
from gateway.core.webhook import cloudevents, delivery
from gateway.core.webhook.delivery import Verdict
from gateway.model.entries import Entry
from gateway.model.entry import Position
from gateway.model.webhook import Webhook
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Query
from gateway.ports.projections import Registry

FOLDER = "webhooks"
FIRST_WAIT = 1.0
"""Seconds before an event is tried a second time."""

_CHANCE = SystemRandom()
_TOPICS = {kind: topic for topic, kinds in cloudevents.KINDS.items() for kind in kinds}


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of the last entry that is dealt with. One writer at a time."""

    path: Path

    def read(self) -> Position | None:
        """The position that was written last; ``None`` if none ever was.

        Raises:
            Misconfigured: the file is there, and is not a cursor.
        """
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Position)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as broken:
            message = "not a cursor of a webhook; delete it, and the webhook gets what happens from then on"
            raise errors.Misconfigured([f"{self.path}: {message}"]) from broken

    async def write(self, position: Position) -> None:
        """Durable on return: the file holds this position or the one before, whole.

        Raises:
            OSError: it could not be written; the one before stands.
        """
        # In a thread: an fsync here must not hold up the calls of agents.
        await asyncio.to_thread(self._write, msgspec.json.encode(position))

    def _write(self, content: bytes) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


PAGE = 100
"""Entries of a kind that are held at once."""

IDLE = 1.0
"""Seconds after which the journal is looked at without a bell."""

Log = Callable[..., object]


@dataclass(slots=True)
class Delivery:
    """At least once, in the journal's order, one at a time. ``first`` is the wait before the second attempt, in seconds.

    ``delivered`` and ``given_up`` count events since the start.
    """

    webhook: Webhook
    history: History
    registry: Registry
    cursor: Cursor
    post: Post
    clock: Clock
    log: Log
    stream: str
    first: float
    at: int = 0
    delivered: int = 0
    given_up: int = 0
    gone: bool = False
    busy: bool = False
    _newest: int = 0
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self) -> None:
        """Find the position to continue from; a new webhook, or one with a cursor of another journal, begins at the journal's end.

        Raises:
            Misconfigured: there is a cursor that cannot be read.
        """
        end, kept = (await self.history.tail()).seq, self.cursor.read()
        if kept is not None and kept.stream == self.stream and kept.seq <= end:
            self.at = kept.seq
            self.wake(0)
            return
        if kept is not None:
            self.log("webhook-begins-anew", webhook=self.webhook.name, cursor=str(kept), why="the journal does not contain this position")
        self.at = end
        await self._save_cursor()

    def wake(self, seq: int) -> None:
        """There is, or will in a moment be, something to send at this seq. Never waits."""
        self._newest = max(self._newest, seq)
        self._bell.set()

    async def turn(self) -> None:
        """Wait for the bell, or a while without it; then send all that is durable."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._bell.wait(), IDLE)
        end = (await self.history.tail()).seq
        if end >= self._newest:  # else the bell stays on: what it rang for is not durable yet
            self._bell.clear()
        while self.at < end and not self.gone:
            due, reach = await self._due(end)
            for entry in due:
                if not await self._sent(entry):
                    return
                self.at = entry.position.seq
                await self._save_cursor()
            self.at = reach

    async def _due(self, end: int) -> tuple[list[Entry], int]:
        """What is due, in order, and up to which seq nothing else is. Only up to ``end``: above it, kinds could overtake each other."""
        found: list[Entry] = []
        reach = end
        for kind in (kind for topic in self.webhook.topics for kind in cloudevents.KINDS[topic]):
            entries = await self.history.entries(Query(kind=kind, after=f"{self.stream}/{self.at}", limit=PAGE))
            found += entries
            if len(entries) == PAGE:
                reach = min(reach, entries[-1].position.seq)
        found.sort(key=lambda entry: entry.position.seq)
        return [entry for entry in found if entry.position.seq <= reach and await self._concerned(entry)], reach

    async def _concerned(self, entry: Entry) -> bool:
        """Whether an entry is of the webhook's tenants: by what it says itself, else by its run."""
        if self.webhook.tenants is None:
            return True
        tenant, run_id = entry.tenant, entry.run_id
        if tenant is None and run_id is not None and (held := await self.registry.run(run_id)) is not None:
            tenant = held.tenant
        return tenant in self.webhook.tenants

    async def _sent(self, entry: Entry) -> bool:
        """Whether the entry is done; false if the webhook is gone, and the entry waits for a restart."""
        if (event := cloudevents.event(entry)) is not None:
            self.busy = True
            await self._attempts(str(event["id"]), orjson.dumps(event))
            # Not in a ``finally``: what a failure cut off is still to be sent.
            self.busy = self.gone
        return not self.gone

    async def _attempts(self, event_id: str, body: bytes) -> None:
        """Until it is taken, or will never be, or was tried often enough."""
        webhook = self.webhook
        for attempt in range(1, webhook.attempts + 1):
            now = self.clock.now()
            headers = delivery.headers(webhook.key, event_id, int(now), body) | {"Content-Type": cloudevents.CONTENT_TYPE}
            answer = await self.post.send(webhook.url, body, headers, ca=webhook.ca, within=webhook.timeout)
            match delivery.verdict(answer.status):
                case Verdict.DELIVERED:
                    self.delivered += 1
                    return
                case Verdict.GONE:
                    self.gone = True
                    self._log_failure("webhook-gone", event_id, answer, now="nothing more is sent there until a restart")
                    return
                case Verdict.NEVER:
                    break
                case Verdict.AGAIN:
                    if attempt < webhook.attempts:
                        asked = requested_pause(answer.retry_after or "", now=self.clock.now()) or 0.0
                        backoff = Backoff(self.first, delivery.LONGEST, most_asked=delivery.LONGEST)
                        await asyncio.sleep(backoff.pause(attempt, chance=_CHANCE.random(), asked=asked))
        self.given_up += 1
        self._log_failure("webhook-event-given-up", event_id, answer, attempts=attempt)

    def _log_failure(self, what: str, event_id: str, answer: Answer, **more: object) -> None:
        """By the host alone: paths and queries of webhooks hold secrets."""
        why = answer.why or f"status {answer.status}"
        self.log(what, webhook=self.webhook.name, host=self.webhook.host, entry=event_id, why=why, **more)

    async def _save_cursor(self) -> None:
        """A cursor that cannot be written costs no event: after a restart some are sent twice."""
        try:
            await self.cursor.write(Position(self.stream, self.at))
        except OSError as error:
            self.log("webhook-cursor-not-kept", webhook=self.webhook.name, error=error.strerror or type(error).__name__)


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Deliveries that know nothing of each other: each is a routine of its own, and has its own place in the journal."""

    deliveries: tuple[Delivery, ...]
    post: Post

    def on_entry(self, entry: Entry, position: Position) -> None:
        """Observe every entry as it enters the journal; wakes the deliveries that it concerns. Never waits."""
        topic = _TOPICS.get(entry.kind)
        if topic is not None:
            for delivery in self.deliveries:
                if topic in delivery.webhook.topics:
                    delivery.wake(position.seq)

    async def close(self) -> None:
        await self.post.close()


async def open_webhooks(
    declared: Sequence[Webhook], folder: Path, history: History, registry: Registry, clock: Clock, log: Log, *, first: float = FIRST_WAIT
) -> Webhooks:
    """Webhooks at their places in the journal, to be closed. ``folder`` keeps their cursors, a file for each.

    Raises:
        Misconfigured: a cursor cannot be read.
    """
    post = Post()
    stream = (await history.tail()).stream
    try:
        deliveries = tuple(
            Delivery(one, history, registry, Cursor(folder / f"{one.name}.json"), post, clock, log, stream, first) for one in declared
        )
        for delivery in deliveries:
            await delivery.begin()
    except BaseException:
        await post.close()
        raise
    return Webhooks(deliveries, post)
