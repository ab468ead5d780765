"""The journal, with everyone who has to hear of each entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import asdict

from gateway.model.entry import Fields, Kind, Position, Sealed
from gateway.ports.journal import AlreadyTaken, Exceeded, IntentRequest, Journal, JournalHealth, Opened, Unapproved

Listener = Callable[[Fields, Position], object]


class Watcher(Protocol):
    def saw(self, fields: Fields, position: Position) -> None: ...

    async def answered(self, run_id: str) -> bool: ...


_AWAITED = frozenset({Kind.OUTCOME, Kind.FINDING})
"""Who brings such an entry goes on only once what it set off has been answered."""


@dataclass(slots=True)
class PublishingJournal:
    """Listeners hear of an entry once it is taken (posted) or durable (appended, intended).

    A write goes on to be sent only once everything that its run has set off was answered: the one that makes a loop, or
    passes what is allowed in a minute, meets its own order at the fence.
    """

    journal: Journal
    listeners: list[Listener] = field(default_factory=list)
    _answered: Callable[[str], Awaitable[bool]] | None = None

    def watch(self, sentinel: Watcher) -> None:
        """Have a sentinel see every entry, and wait for what it answers."""
        self.listeners.append(sentinel.saw)
        self._answered = sentinel.answered

    @property
    def stream(self) -> str:
        return self.journal.stream

    def post(self, fields: Fields, blobs: Sequence[Sealed] = ()) -> Position:
        position = self.journal.post(fields, blobs)
        self._tell(fields, position)
        return position

    async def append(self, fields: Fields, blobs: Sequence[Sealed] = ()) -> Position:
        position = await self.journal.append(fields, blobs)
        self._tell(fields, position)
        if fields["kind"] in _AWAITED:
            await self._settled(fields)
        return position

    async def intend(self, opening: IntentRequest) -> Opened | AlreadyTaken | Unapproved | Exceeded:
        opened = await self.journal.intend(opening)
        match opened:
            case Opened(position):
                self._tell(opening.fields, position)
            case AlreadyTaken(position):
                self._tell({**opening.refusal(), "code": "in-flight"}, position)
            case Unapproved(position):
                self._tell(opening.unapproved(), position)
            case Exceeded(position, violations):
                self._tell({**opening.refusal(), "code": "blast-radius", "violated": [asdict(one) for one in violations]}, position)
        await self._settled(opening.fields)
        return opened

    def health(self) -> JournalHealth:
        return self.journal.health()

    async def _settled(self, fields: Fields) -> None:
        if self._answered is not None:
            await self._answered(str(fields["run_id"]))

    def _tell(self, fields: Fields, position: Position) -> None:
        for listener in self.listeners:
            listener(fields, position)


if TYPE_CHECKING:
    _port: type[Journal] = PublishingJournal
