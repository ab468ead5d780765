"""The journal with its subscribers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.model.entries import Entry, FindingEntry, OutcomeEntry
from gateway.model.entry import Position, Sealed
from gateway.ports.journal import IntentRefused, IntentRequest, Journal, JournalHealth

Subscriber = Callable[[Entry, Position], object]
Subscribers = Mapping[str, Sequence[Subscriber]]
"""The subscribers of an entry, by its kind and in this order."""


async def _nothing_answered(_: str) -> bool:
    return False


@dataclass(slots=True)
class PublishingJournal:
    """Subscribers get an entry when it is accepted (posted) or durable (appended, intended).

    A write is sent only after every trigger of its run has a response: the write that completes a loop, or exceeds a rate, meets its own
    order at the fence.
    """

    journal: Journal
    subscribers: Subscribers = field(default_factory=dict, repr=False)
    answered: Callable[[str], Awaitable[bool]] = field(default=_nothing_answered, repr=False)

    def connect(self, subscribers: Subscribers, answered: Callable[[str], Awaitable[bool]]) -> None:
        """Set the subscribers; ``answered`` waits until the triggers of a run's entries have a response."""
        self.subscribers, self.answered = subscribers, answered

    @property
    def stream(self) -> str:
        return self.journal.stream

    def post(self, entry: Entry, blobs: Sequence[Sealed] = ()) -> Position:
        position = self.journal.post(entry, blobs)
        self._publish(entry, position)
        return position

    async def append(self, entry: Entry, blobs: Sequence[Sealed] = ()) -> Position:
        position = await self.journal.append(entry, blobs)
        self._publish(entry, position)
        if isinstance(entry, OutcomeEntry | FindingEntry):  # the caller continues only after the triggers that it fired had their responses
            await self.answered(entry.run_id)
        return position

    async def intend(self, request: IntentRequest) -> Position | IntentRefused:
        result = await self.journal.intend(request)
        if isinstance(result, IntentRefused):
            self._publish(result.entry, result.position)
        else:
            self._publish(request.entry, result)
        await self.answered(request.entry.run_id)
        return result

    def health(self) -> JournalHealth:
        return self.journal.health()

    def _publish(self, entry: Entry, position: Position) -> None:
        for subscriber in self.subscribers.get(entry.kind, ()):
            subscriber(entry, position)
