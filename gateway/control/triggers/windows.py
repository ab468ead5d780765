"""What the runs' entries show together: one watch a run, fed with every entry, in the order of the journal."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from gateway.core.triggers import projection
from gateway.core.triggers.thresholds import Thresholds
from gateway.core.triggers.window import Watch
from gateway.model.call_entry import OutcomeEntry
from gateway.model.entries import Entry, RunEntry
from gateway.model.entry import Position
from gateway.model.run import Run
from gateway.model.trigger import Trigger

_KEPT = 50_000
"""Runs watched at once; the one not heard of for longest is forgotten."""


@dataclass(slots=True)
class TriggerWindows:
    thresholds: Thresholds
    _of: OrderedDict[str, Watch] = field(default_factory=OrderedDict)

    def meet(self, run: Run, steps: int) -> None:
        """A call of the run begins; it has taken ``steps`` so far. A new generation is watched anew."""
        watch = self._of.get(run.run_id)
        if watch is None or watch.generation < run.generation:
            watch = self._keep(run.run_id, Watch(run.generation))
        else:
            self._of.move_to_end(run.run_id)
        watch.limits = run.limits
        watch.steps = steps

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._of

    def told(self, run_id: str, trigger: Trigger) -> None:
        """A trigger of an earlier process: its signs count anew from there, as they did then."""
        watch = self._of.get(run_id)
        if watch is not None:
            projection.told(watch, trigger)

    def see(self, entry: Entry, position: Position) -> tuple[Trigger, ...]:
        """Take an entry into account; the triggers it sets off."""
        if isinstance(entry, RunEntry) and entry.change == "closed":
            self._of.pop(entry.run_id, None)
        if not isinstance(entry, projection.LOOKED_AT):
            return ()
        watch, generation = self._of.get(entry.run_id), entry.generation
        if watch is None or watch.generation < generation:
            watch = self._keep(entry.run_id, Watch(generation))
        elif watch.generation > generation:  # of a lease that has ended: how it behaves says nothing about the run now, what it left does
            return projection.late(entry, position, self.thresholds) if isinstance(entry, OutcomeEntry) else ()
        return projection.see(watch, entry, position, self.thresholds)

    def _keep(self, run_id: str, watch: Watch) -> Watch:
        self._of[run_id] = watch
        self._of.move_to_end(run_id)
        if len(self._of) > _KEPT:
            self._of.popitem(last=False)
        return watch
