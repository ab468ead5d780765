"""The journal: entries in, positions and entries out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.model.effect import Charge
from gateway.model.entries import Entry, IntentEntry, RefusalEntry
from gateway.model.entry import Head, Position, Sealed

SPENT = "The approval was used by another call, or has expired: one approval is for one call."


class IntentRequest(Struct, frozen=True):
    """All that one intent asks of the journal, all or nothing.

    ``refusal`` makes the entry that takes the intent's place where the key's attempt is taken, a charge passes its limit, or the grant
    that it is made with (``approval_id``) is not there to be spent. Then nothing is charged and no blob is kept. ``charges`` are those of
    the entry, with their limits.
    """

    entry: IntentEntry
    refusal: Callable[[], RefusalEntry]
    charges: tuple[Charge, ...] = ()
    blobs: tuple[Sealed, ...] = ()


class IntentRefused(Struct, frozen=True):
    """The refusal that was written in an intent's place, and nothing else; nothing was charged."""

    entry: RefusalEntry
    position: Position

    @property
    def code(self) -> str:
        """``in-flight``: another call has this attempt of the key. ``approval-required``: its grant was spent, or is good no longer.
        ``blast-radius``: it would pass a limit.
        """
        return self.entry.code


class JournalHealth(Struct, frozen=True):
    """``lag`` is how many entries wait for the disk."""

    ok: bool
    reason: str
    lag: int
    seq: int


class Journal(Protocol):
    """The one way in. Every entry is projected into the tables that the other ports read, in its own transaction."""

    @property
    def stream(self) -> str: ...

    def post(self, entry: Entry, blobs: Sequence[Sealed] = ()) -> Position:
        """Take an entry without waiting for the disk; its position is provisional until its batch is written.

        Raises:
            JournalUnavailable: the journal cannot be written now.
        """

    async def append(self, entry: Entry, blobs: Sequence[Sealed] = ()) -> Position:
        """Take an entry and return once it is durable (fsync returned).

        Raises:
            JournalUnavailable: it is not, and will not be, on disk.
        """

    async def intend(self, request: IntentRequest) -> Position | IntentRefused:
        """Open an attempt in one transaction: unique key, grant, charges, blobs, entry. Durable on return; the position is the intent's.

        Raises:
            JournalUnavailable: nothing of it is, or will be, on disk.
        """

    def health(self) -> JournalHealth: ...


class Query(Struct, frozen=True, kw_only=True):
    """Which entries, ascending; ``after`` is a cursor ``stream/seq``."""

    run: str | None = None
    tenant: str | None = None
    kind: str | None = None
    after: str | None = None
    limit: int | None = 100


class History(Protocol):
    """The journal, read back: durable entries only, with their places.

    Reads wait briefly for earlier posts, so that every announced entry is found.
    """

    async def entries(self, query: Query) -> Sequence[Entry]: ...

    async def lines(self, query: Query) -> Sequence[bytes]:
        """The entries as they are stored: each its canonical JSON bytes."""

    async def entry(self, position: Position) -> Entry | None: ...

    async def line(self, position: Position) -> bytes | None: ...

    async def heads(self) -> Sequence[Head]:
        """The latest signed head of each stream."""

    async def keep_head(self, head: Head) -> None: ...

    async def tail(self) -> Head:
        """Stream, seq, hash and time of the newest durable entry, unsigned (``note`` is empty; seq 0 if there is none)."""
