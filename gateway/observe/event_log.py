"""What happens to runs, logged and counted as it is journaled: one line and one count an event, whichever part caused it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.core.journal import events
from gateway.core.journal.events import Count, Event, Level
from gateway.model.entries import ApprovalEntry, Entry, IntentEntry, OrderEntry
from gateway.model.entry import Position
from gateway.model.review import Approval, ApprovalStatus
from gateway.model.run import Order

Write = Callable[[Level, str, Mapping[str, object]], object]
"""Takes the level of a log line, the event's name, and its members."""


@dataclass(slots=True, eq=False)
class EventLog(Collector):
    """A subscriber of the journal."""

    write: Write
    _counts: Counter[Count] = field(default_factory=Counter)

    def on_entry(self, entry: Entry, position: Position) -> None:
        for event in events.events(entry, position):
            self.tell(event)

    def tell(self, event: Event) -> None:
        """Count an event, and log it if it has a name."""
        self._counts[event.counts] += 1
        if event.name is None:
            return
        with suppress(OSError, ValueError):  # a log that cannot be written stops nothing that is logged
            self.write(event.level, event.name, {name: value for name, value in event.fields.items() if value is not None})

    def collect(self) -> Iterable[Metric]:
        """The counters since the start of this process."""
        for name, (text, labels) in events.COUNTERS.items():
            family = CounterMetricFamily(name, text, labels=labels)
            for (counted, values), count in self._counts.items():
                if counted == name:
                    family.add_metric(values, count)
            yield family


Timed = Order | Approval
"""What expires without an entry in the journal."""


@dataclass(slots=True)
class Expiries:
    """Reports each order and approval that expires while it is in force, or waits. Those that expired before the start are passed over."""

    log: EventLog
    now: Callable[[], float]
    _due: dict[str, Timed] = field(default_factory=dict)
    _ends: list[tuple[float, str]] = field(default_factory=list)

    def load(self, timed: Iterable[Timed]) -> None:
        """What the journal says, at start."""
        now = self.now()
        for one in timed:
            if one.expires_at is not None and one.expires_at > now:
                self._put(one)

    def on_entry(self, entry: Entry, _: Position) -> None:
        match entry:
            case IntentEntry():
                if entry.approval_id is not None:
                    self._due.pop(entry.approval_id, None)
            case OrderEntry():
                self._put(entry.order)
            case ApprovalEntry():
                self._put(entry.approval)
            case _:
                pass

    async def tick(self) -> None:
        """Report what has expired since the last time."""
        now = self.now()
        while self._ends and self._ends[0][0] <= now:
            end, name = heapq.heappop(self._ends)
            one = self._due.get(name)
            if one is not None and one.expires_at == end:
                del self._due[name]
                self.log.tell(_expired(one))

    def _put(self, one: Timed) -> None:
        name = one.order_id if isinstance(one, Order) else one.approval_id
        if one.expires_at is None or not _open(one):
            self._due.pop(name, None)
            return
        self._due[name] = one
        heapq.heappush(self._ends, (one.expires_at, name))


def _open(one: Timed) -> bool:
    return one.released_at is None if isinstance(one, Order) else one.status in (ApprovalStatus.PENDING, ApprovalStatus.GRANTED)


def _expired(one: Timed) -> Event:
    if isinstance(one, Order):
        return events.order_event(one, "expired", by=one.by, reason=one.reason)
    return events.approval_event(one, "expired", was=one.status.value)
