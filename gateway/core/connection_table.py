"""The connections of one server: how many there may be, and which one is closed for a newcomer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import IntEnum
from typing import Generic, Protocol, TypeVar


class Waiting(IntEnum):
    """What a connection waits for, unless a call is under way. The first here is closed first."""

    STRANGER = 0  # whatever it waits for: its last request had no token of an operator
    UNREAD = 1  # for its client to read an answer
    STREAM = 2  # for what it streams: its client can continue on another connection
    SILENT = 3  # for the end of its first request
    SECOND = 4  # for the end of its second request: a connection that was used for long is closed later
    IDLE = 5  # for its next head
    BODY = 6  # for the rest of a body


class Evictable(Protocol):
    """A connection that can be made to end; it need not have ended on return."""

    def abort(self) -> None: ...


C = TypeVar("C", bound=Evictable)


class ConnectionTable(Generic[C]):
    """Admits connections up to ``total``, and up to ``per_peer`` from one address.

    At a bound, the connection that has waited longest is evicted for a new one; one with a call in progress never is. A peer is
    ``None`` if all clients share an address (loopback, a Unix socket): then only ``total`` applies.
    """

    def __init__(self, total: int, per_peer: int) -> None:
        self.total, self.per_peer = total, per_peer
        self.refused = self.evicted = 0
        self._peers: dict[C, str | None] = {}
        self._of_peer: Counter[str] = Counter()
        # Each holds its connections by how long they have waited.
        self._waiting: tuple[dict[C, None], ...] = tuple({} for _ in Waiting)

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[C]:
        return iter(tuple(self._peers))

    def admit(self, connection: C, peer: str | None) -> bool:
        """Admit a new connection, which starts silent; ``False`` if none could be evicted for it."""
        if peer is not None and self._of_peer[peer] >= self.per_peer and not self._evict(peer):
            self.refused += 1
            return False
        if len(self._peers) >= self.total and not self._evict(None):
            self.refused += 1
            return False
        self._peers[connection] = peer
        if peer is not None:
            self._of_peer[peer] += 1
        self._waiting[Waiting.SILENT][connection] = None
        return True

    def waits(self, connection: C, was: Waiting | None, now: Waiting | None) -> None:
        """Note that an admitted connection waits for something else from now on; ``None`` stands for a call in progress."""
        if was is not None:
            self._waiting[was].pop(connection, None)
        if now is not None and connection in self._peers:
            self._waiting[now][connection] = None

    def forget(self, connection: C) -> None:
        """Note that a connection has ended; again, or if it was never admitted, changes nothing."""
        if connection not in self._peers:
            return
        peer = self._peers.pop(connection)
        if peer is not None:
            self._of_peer[peer] -= 1
            if not self._of_peer[peer]:
                del self._of_peer[peer]
        for waiting in self._waiting:
            waiting.pop(connection, None)

    def _evict(self, peer: str | None) -> bool:
        """End the connection that has waited longest; of this peer, if one is named."""
        for waiting in self._waiting:
            for connection in waiting:
                if peer is None or self._peers[connection] == peer:
                    self.forget(connection)
                    self.evicted += 1
                    connection.abort()
                    return True
        return False
