"""Watches every entry as it is journaled, and responds to the triggers that it fires before the reply of its call leaves.

Each run has a window of what its entries show together, fed in the order of the journal.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway import errors
from gateway.control.triggers.responder import VIOLATIONS, Responder
from gateway.core.triggers import detectors, window
from gateway.core.triggers.window import Thresholds, Watch
from gateway.model.decision import Reason
from gateway.model.entries import Entry, OutcomeEntry, ReconciliationEntry, RunEntry
from gateway.model.entry import Position
from gateway.model.run import Run
from gateway.model.trigger import Incident, RollbackState, Trigger

PARTIAL = "uncertain.partial-failure"
"""The trigger for which the state matters too: some of what belongs together was done, some not."""

Spawn = Callable[[Coroutine[object, object, None]], asyncio.Task[None]]
RollBack = Callable[[Incident], Coroutine[object, object, None]]
"""Rolls back the contained run of an incident."""
Violations = Callable[[str], Awaitable[Sequence[Reason]]]
"""What is unsound about the objects that a run touched, as the tools show them now."""
Due = tuple[int, Trigger]
"""A generation, and the trigger that its entries fired."""


@dataclass(slots=True)
class TriggerMonitor:
    """``spawn`` runs a coroutine to its end, even if the call that caused it has ended. ``log`` reports what could not be written."""

    watches: TriggerWindows
    respond: Responder
    spawn: Spawn
    log: Callable[..., object]
    _roll_back: RollBack | None = field(default=None, repr=False)
    _violations: Violations | None = field(default=None, repr=False)
    _due: dict[str, deque[Due]] = field(default_factory=dict)
    _answering: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _unwritten: list[tuple[str, int, Trigger]] = field(default_factory=list)

    def connect(self, roll_back: RollBack, violations: Violations) -> None:
        """Set what compensates. It calls tools through the pipeline, which this monitor checks, and so is made after the monitor."""
        self._roll_back, self._violations = roll_back, violations

    def begin_call(self, run: Run, steps: int) -> None:
        self.watches.begin_call(run, steps)

    def on_entry(self, entry: Entry, position: Position) -> None:
        """Take an entry into account. Nothing waits here: a task responds to the triggers that it fires."""
        for trigger in self.watches.observe(entry, position):
            assert entry.run_id is not None
            assert entry.generation is not None
            self.enqueue(entry.run_id, entry.generation, trigger)

    def enqueue(self, run_id: str, generation: int, trigger: Trigger) -> None:
        """Respond to a trigger, after those of the run that came before it."""
        self._due.setdefault(run_id, deque()).append((generation, trigger))
        if run_id not in self._answering:
            self._answering[run_id] = self.spawn(self._answer(run_id))

    async def answered(self, run_id: str) -> bool:
        answering = self._answering.get(run_id)
        if answering is None:
            return False
        await asyncio.shield(answering)
        return True

    async def idle(self) -> None:
        """Wait until nothing is being answered."""
        while self._answering:
            await asyncio.wait(set(self._answering.values()))

    async def turn(self) -> None:
        """Respond again, durably, to what could not be journaled: orders in force on this node must survive it."""
        if self._unwritten and self.respond.journal.health().ok:
            unwritten, self._unwritten = self._unwritten, []
            for due in unwritten:
                self.enqueue(*due)

    async def _answer(self, run_id: str) -> None:
        try:
            due = self._due[run_id]
            while due:
                generation, trigger = due.popleft()
                try:
                    await self._followed(run_id, generation, trigger)
                except errors.JournalUnavailable as down:
                    # The order, if there is one, holds on this node; nothing else is admitted before the journal is back.
                    self._unwritten.append((run_id, generation, trigger))
                    self.log("response-not-durable", run=run_id, trigger=trigger.name, error=down.detail)
        finally:
            del self._answering[run_id], self._due[run_id]

    async def _followed(self, run_id: str, generation: int, trigger: Trigger) -> None:
        try:
            incident = await self.respond(run_id, generation, trigger)
        except errors.JournalUnavailable:
            raise
        except Exception as broken:  # noqa: BLE001 - whatever went wrong must not leave the run as it is
            # A disk that cannot be read, or a defect of the gateway: in any case the run must not continue.
            self.log("response-failed", run=run_id, trigger=trigger.name, error=f"{type(broken).__name__}: {broken}")
            await self.respond.quarantine(run_id, trigger)
            return
        if incident is not None and incident.rollback is RollbackState.DUE and self._roll_back is not None:
            self.spawn(self._roll_back(incident))
        elif trigger.name == PARTIAL and VIOLATIONS not in trigger.facts and self._violations is not None:
            self.spawn(self._check_state(run_id, generation, trigger, self._violations))

    async def _check_state(self, run_id: str, generation: int, trigger: Trigger, violations: Violations) -> None:
        """Read the objects of the contained run; if their state is unsound, respond to the trigger once more."""
        found = [[one.code, one.message] for one in await violations(run_id)]
        if found:
            self.enqueue(run_id, generation, replace(trigger, facts={**trigger.facts, VIOLATIONS: found}))


_KEPT = 50_000
"""Runs watched at once; the one not learned of for longest is forgotten."""


@dataclass(slots=True)
class TriggerWindows:
    thresholds: Thresholds
    _of: OrderedDict[str, Watch] = field(default_factory=OrderedDict)

    def begin_call(self, run: Run, steps: int) -> None:
        """A call of the run begins; it has taken ``steps`` so far. A new generation is watched again."""
        watch = self._of.get(run.run_id)
        if watch is None or watch.generation < run.generation:
            watch = self._add(run.run_id, Watch(run.generation))
        else:
            self._of.move_to_end(run.run_id)
        watch.limits = run.limits
        watch.steps = steps

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._of

    def restart(self, run_id: str, trigger: Trigger) -> None:
        """A trigger of an earlier process: its signals start counting again from there, as they did then."""
        watch = self._of.get(run_id)
        if watch is not None:
            window.restart(watch, trigger)

    def observe(self, entry: Entry, position: Position) -> tuple[Trigger, ...]:
        """Take an entry into account; the triggers that it fires."""
        if isinstance(entry, RunEntry) and entry.change == "closed":
            self._of.pop(entry.run_id, None)
        if not isinstance(entry, detectors.WATCHED):
            return ()
        watch, generation = self._of.get(entry.run_id), entry.generation
        if watch is None or watch.generation < generation:
            watch = self._add(entry.run_id, Watch(generation))
        elif (
            watch.generation > generation
        ):  # of a lease that has ended: its behaviour is not the run's any more, but its results still count
            return detectors.late(entry, position, self.thresholds) if isinstance(entry, OutcomeEntry | ReconciliationEntry) else ()
        return detectors.observe(watch, entry, position, self.thresholds)

    def _add(self, run_id: str, watch: Watch) -> Watch:
        self._of[run_id] = watch
        self._of.move_to_end(run_id)
        if len(self._of) > _KEPT:
            self._of.popitem(last=False)
        return watch
