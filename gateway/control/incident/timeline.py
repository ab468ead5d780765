"""Reads what an incident's timeline is made of: its run's entries, effects and tasks, and the orders that hold the run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.control.containment.containment import Containment
from gateway.core.codec.record import position_of
from gateway.core.incident import timeline
from gateway.core.rollback.plan_objects import Undos
from gateway.core.triggers import window
from gateway.model.call import Target
from gateway.model.effect import Write
from gateway.model.entries import Entry, OrderEntry, OutcomeEntry, ReconciliationEntry
from gateway.model.entry import Kind
from gateway.model.run import Order, Scope
from gateway.model.trigger import Incident
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Query
from gateway.ports.projections import Registry, Writes

AT_ONCE = 250
"""Rows read between two turns of the event loop: the calls of agents do not wait for a timeline."""

EACH = 2_000
"""Entries of one kind, and made objects, read for a timeline at most."""

Sees = Callable[[Scope], Awaitable[bool]]
"""Whether the caller may see an order of a scope."""


@dataclass(frozen=True, slots=True)
class Timelines:
    history: History
    registry: Registry
    writes: Writes
    containment: Containment
    clock: Clock
    undos: Undos

    async def view(self, incident: Incident, sees: Sees) -> timeline.Json:
        """The timeline as it is now (``core.incident.timeline``), with the ``hashes`` of the entries it names.

        ``sees`` keeps out orders that reach beyond the reader's tenants and classes.
        """
        sources = await self._sources(incident, sees)
        # In a thread: a run of ten thousand effects takes a while, and the calls of agents must not wait for it.
        shown = await asyncio.to_thread(timeline.view, sources)
        known = {str(entry.position): entry for entry in sources.entries}
        cited = timeline.cited(shown)
        known |= {str(entry.position): entry for entry in await self._at([name for name in cited if name not in known])}
        return shown | {"hashes": {name: known[name].hash for name in cited if name in known}}

    async def _sources(self, incident: Incident, sees: Sees) -> timeline.Sources:
        now = self.clock.now()
        writes = await self.writes.of_run(incident.run_id)
        run = await self.registry.run(incident.run_id)
        holding = () if run is None else self.containment.replica.standing.of(run, now=now)
        seen = await _seen(holding, sees)
        return timeline.Sources(
            incident=incident,
            entries=await self._entries(incident, sees),
            writes=writes,
            became=await self._became(writes),
            undos=self.undos,
            tasks=await self.registry.tasks(run=incident.run_id, limit=1000),
            orders=await _seen([one for name in incident.orders if (one := self.containment.order(name)) is not None], sees),
            holding=seen,
            beyond=len(holding) - len(seen),
            now=now,
        )

    async def _entries(self, incident: Incident, sees: Sees) -> list[Entry]:
        """The entries of the timeline's kinds, and the evidence; nothing before the first evidence is part of it."""
        after = _before(incident)
        found: list[Entry] = []
        for kind in timeline.KINDS:
            page = await self._of_kind(Query(run=incident.run_id, kind=kind, after=after))
            # An order can name this run and another tenant: it holds nothing here, and is not this reader's to see.
            found += [one for one in page if not isinstance(one, OrderEntry) or await sees(one.order.scope)]
        found += await self._wider(incident, found, after, sees)
        known = {str(entry.position) for entry in found}
        return found + await self._at(window.ends([one for one in timeline.evidence(incident, found) if one not in known], timeline.BOUND))

    async def _of_kind(self, query: Query) -> list[Entry]:
        found: list[Entry] = []
        after = query.after
        while len(found) < EACH:
            page = await self.history.entries(replace(query, after=after, limit=AT_ONCE))
            found += page
            if len(page) < AT_ONCE:
                break
            after = str(page[-1].position)
            await asyncio.sleep(0)
        return found

    async def _wider(self, incident: Incident, found: Sequence[Entry], after: str | None, sees: Sees) -> list[Entry]:
        """Entries of the incident's orders that do not name the run: a response may hold more than it."""
        wanted = set(incident.orders) - {entry.order.order_id for entry in found if isinstance(entry, OrderEntry)}
        if not wanted:
            return []
        listed = await self._of_kind(Query(kind=Kind.ORDER, after=after))
        mine = [entry for entry in listed if isinstance(entry, OrderEntry) and entry.order.order_id in wanted]
        return [entry for entry in mine if await sees(entry.order.scope)]

    async def _became(self, writes: Iterable[Write]) -> dict[str, Target]:
        """What creates made, by the positions of their intents: their outcomes name it."""
        creates = {str(write.outcome): str(write.intent) for write in writes if not write.target.id and write.outcome is not None}
        outcomes = await self._at(list(creates)[:EACH])
        return {creates[str(one.position)]: one.target for one in outcomes if isinstance(one, OutcomeEntry | ReconciliationEntry)}

    async def _at(self, positions: Sequence[str]) -> list[Entry]:
        """The entries at positions, those that are there."""
        found: list[Entry] = []
        for count, name in enumerate(positions, start=1):
            place = position_of(name)
            entry = None if place is None else await self.history.entry(place)
            if entry is not None:
                found.append(entry)
            if count % AT_ONCE == 0:
                await asyncio.sleep(0)
        return found


async def _seen(orders: Iterable[Order], sees: Sees) -> list[Order]:
    return [order for order in orders if await sees(order.scope)]


def _before(incident: Incident) -> str | None:
    """The cursor right before the first entry in which the incident was seen."""
    places = [place for name in incident.evidence if (place := position_of(name)) is not None]
    first = min(places, key=lambda place: place.seq, default=None)
    return None if first is None else f"{first.stream}/{first.seq - 1}"
