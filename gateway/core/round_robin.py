"""Queues that are served in turn: a key with ten times as many items is served no more often."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


@dataclass(slots=True)
class RoundRobin(Generic[Key, Item]):
    """First in, first out for each key; each key that has items gives one in turn. A key without items takes no memory."""

    _queues: dict[Key, deque[Item]] = field(default_factory=dict)
    _turns: deque[Key] = field(default_factory=deque)

    def push(self, key: Key, item: Item) -> None:
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
            self._turns.append(key)
        queue.append(item)

    def pop(self) -> Item | None:
        """The oldest item of the key whose turn it is, ``None`` if there is none."""
        if not self._turns:
            return None
        key = self._turns.popleft()
        queue = self._queues[key]
        item = queue.popleft()
        if queue:
            self._turns.append(key)
        else:
            del self._queues[key]
        return item

    def queued(self, key: Key) -> int:
        """How many items the key has."""
        queue = self._queues.get(key)
        return 0 if queue is None else len(queue)

    def __bool__(self) -> bool:
        return bool(self._turns)

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))
