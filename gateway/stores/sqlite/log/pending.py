"""What was taken but is not on disk yet, for readers who must not wait for it."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable

from gateway.core.journal import projection
from gateway.model.effect import Sighting
from gateway.stores.sqlite.log.jobs import Prepared

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

    def take(self, entry: Prepared) -> None:
        """Count an entry that was just given its place."""
        seq = entry.position.seq
        for change in entry.changes:
            if isinstance(change, projection.Stepped):
                self._stepped.append((seq, change.scopes))
                for scope in change.scopes:
                    self._steps[scope].append(seq)
            elif isinstance(change, projection.Seen):
                self.remember((f"run:{change.run_id}", change.object), Sighting(change.version, seq))
                self.remember((f"workflow:{change.workflow_id}", change.object), Sighting(change.version, seq))

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
