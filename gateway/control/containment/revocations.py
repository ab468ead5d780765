"""The runs whose leases an order revoked, one by one: the order's own entry names a scope."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from gateway.control.containment.scope_lookup import ScopeLookup
from gateway.core.authorization import gate
from gateway.core.journal import events
from gateway.core.journal.events import Event
from gateway.model.entries import Entry, OrderEntry
from gateway.model.entry import Position
from gateway.model.run import Mode, Order


@dataclass(frozen=True, slots=True)
class Revocations:
    """A subscriber of ``order`` entries; ``tell`` gets an event for each open run."""

    scopes: ScopeLookup
    spawn: Callable[[Coroutine[object, object, None]], object]
    tell: Callable[[Event], object]

    def on_entry(self, entry: Entry, _: Position) -> None:
        if isinstance(entry, OrderEntry) and entry.change == "made":
            order = entry.order
            if order.mode is Mode.REVOKED and order.scope.tool is None:  # a lease is good for all tools: an order on one leaves it
                self.spawn(self._tell(order))

    async def _tell(self, order: Order) -> None:
        seen: set[str] = set()
        async for one in self.scopes.open_runs(whole=True):
            run = one.run
            if run is None or run.run_id in seen or run.opened_under >= order.epoch or not gate.covers(order.scope, run):
                continue
            seen.add(run.run_id)
            self.tell(events.revoked_event(order, run.run_id, run.tenant))
