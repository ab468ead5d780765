"""At start: takes the latest entries of the runs into account again, and responds to triggers that have no response."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.control.triggers.monitor import TriggerMonitor, TriggerWindows
from gateway.core import timestamps
from gateway.core.incident import findings
from gateway.model.entries import Entry, FindingEntry, OrderEntry, ResponseEntry, TriggerEntry
from gateway.model.entry import Position
from gateway.model.trigger import Trigger
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Query
from gateway.ports.projections import Registry

MOST = 50_000
"""Entries looked at, the newest."""
RECENT = 5.0
"""Seconds before the journal's end in which a trigger may have fired without its response being journaled. Earlier triggers had their
response: a window rebuilt from the middle of a run can count differently, so what it fires must not contain the run.
"""
_PAGE = 1000

Cause = tuple[str, int, str]
"""A run, its generation, and what was detected."""
Seen = tuple[Cause, tuple[str, ...]]
"""A cause, and the last entry that it was seen in."""


@dataclass(slots=True)
class _Found:
    """What the entries fired; the last entry that each cause was seen in; the triggers that have no response yet, and their positions.

    Findings are not among them: of these each has to be answered (``core.incident.findings``). ``with_findings``: their runs.
    """

    fired: dict[Cause, Trigger] = field(default_factory=dict)
    seen: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    unanswered: dict[Seen, Trigger] = field(default_factory=dict)
    triggers: dict[str, Seen] = field(default_factory=dict)
    with_findings: dict[str, None] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        match entry:
            case FindingEntry():
                self.with_findings[entry.run_id] = None
            case TriggerEntry(trigger=trigger) if trigger.name != findings.CAUSE:
                cause = (entry.run_id, entry.generation, trigger.name)
                self.triggers[str(entry.position)] = seen = (cause, trigger.evidence[-1:])
                self.unanswered[seen] = trigger
                if cause in self.fired and self.fired[cause].evidence[-1:] == trigger.evidence[-1:]:
                    del self.fired[cause]
            case ResponseEntry() if (answered := self.triggers.get(str(entry.trigger))) is not None:
                self.unanswered.pop(answered, None)
            case OrderEntry(change="released", order=order) if entry.run_id is not None:
                self._released(entry.run_id, order.by)

    def _released(self, run_id: str, by: str) -> None:
        """Repeats that were only counted while an order was in force were answered by it; its release decided about them."""
        for cause in list(self.fired):
            if cause[0] == run_id and by == f"trigger:{cause[2]}":
                del self.fired[cause]

    def open(self) -> dict[Cause, Trigger]:
        return {cause: trigger for (cause, _), trigger in self.unanswered.items()} | self.fired


@dataclass(frozen=True, slots=True)
class CatchUp:
    history: History
    registry: Registry
    watches: TriggerWindows
    monitor: TriggerMonitor
    clock: Clock

    async def __call__(self) -> int:
        """Project the entries of the longest window; returns how many triggers had no response and get one now.

        Triggers of runs that were closed since, and findings about them, get a response too: their effects may have to be rolled back.
        """
        tail = await self.history.tail()
        if not tail.seq:
            return 0
        end = timestamps.instant(tail.ts)
        # The window ends with the journal, however long the process was down.
        since = min(end, self.clock.now()) - self.watches.thresholds.longest
        seq, found = await self._since(tail.stream, tail.seq, since), _Found()
        while page := await self.history.entries(Query(after=f"{tail.stream}/{seq}", limit=_PAGE)):
            for entry in page:
                await self._replay(entry, found, end - RECENT)
            seq = page[-1].position.seq
        due = [(run_id, generation, trigger) for (run_id, generation, _), trigger in found.open().items()]
        due += [(run_id, *one) for run_id in found.with_findings for one in findings.unanswered(await self._of_findings(run_id))]
        for run_id, generation, trigger in due:
            self.monitor.enqueue(run_id, generation, trigger)
        return len(due)

    async def _replay(self, entry: Entry, found: _Found, recent: float) -> None:
        run_id = entry.run_id
        if run_id is None:
            return
        if run_id not in self.watches:
            run = await self.registry.run(run_id)
            if run is None:
                return
            if run.closed_at is not None:
                found.take(entry)
                return
            self.watches.begin_call(run, 0)
        for trigger in self.watches.observe(entry, entry.position):
            found.seen[run_id, trigger.name] = trigger.evidence[-1:]
            if trigger.at >= recent and trigger.name != findings.CAUSE:
                assert entry.generation is not None
                found.fired[run_id, entry.generation, trigger.name] = trigger
        if isinstance(entry, TriggerEntry):
            fired = entry.trigger
            if found.seen.get((run_id, fired.name)) != fired.evidence[-1:]:  # watched in another phase than it is read again
                self.watches.restart(run_id, fired)
        found.take(entry)

    async def _of_findings(self, run_id: str) -> list[Entry]:
        """The run's entries that say which of its findings were answered, ascending."""
        read = self.history.entries
        found = [entry for kind in findings.KINDS for entry in await read(Query(run=run_id, kind=kind, limit=None))]
        return sorted(found, key=lambda entry: entry.position.seq)

    async def _since(self, stream: str, newest: int, time: float) -> int:
        """The seq before the first entry of a time, or of the newest ``MOST``."""
        low, high = max(0, newest - MOST), newest
        while low < high:
            middle = (low + high + 1) // 2
            entry = await self.history.entry(Position(stream, middle))
            if entry is not None and entry.at < time:
                low = middle
            else:
                high = middle - 1
        return low
