"""Which triggers one more entry fires."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from gateway.core.triggers import detectors
from gateway.core.triggers.window import Event, Thresholds, Watch, event
from gateway.model.call_entry import CallBase, IntentEntry, OutcomeEntry, ReadEntry, RefusalEntry, ReplayEntry
from gateway.model.entries import Entry, FindingEntry
from gateway.model.entry import EntryBase, Position
from gateway.model.trigger import Trigger

E = TypeVar("E", bound=EntryBase)
Detector = Callable[[Watch, Event[E], Thresholds], Trigger | None]

_CALL: tuple[Detector[CallBase], ...] = (detectors.steps, detectors.confidence)

_BY_ENTRY: Mapping[type[Entry], tuple[Detector[Any], ...]] = {
    ReadEntry: (*_CALL, detectors.drift),
    IntentEntry: (detectors.loop, detectors.rate, detectors.mutations, *_CALL),
    ReplayEntry: (detectors.loop, detectors.replay, *_CALL),
    FindingEntry: (detectors.finding,),
    OutcomeEntry: (
        detectors.postcondition,
        detectors.identity,
        detectors.unknown,
        detectors.failures,
        detectors.deferred,
        detectors.repeats,
        detectors.partial,
        detectors.drift,
    ),
}
"""The detectors that read a kind of entry, in order: repeated writes are a loop before they are a spike."""

LATE: tuple[Detector[OutcomeEntry], ...] = (detectors.postcondition, detectors.identity)
"""The detectors that read the outcome of a write whose lease had ended: it shows the state, not how the run behaves now."""

REFUSALS: Mapping[str, tuple[Detector[RefusalEntry], ...]] = {
    "tenant-boundary": (detectors.boundary,),
    "policy-denied": (detectors.out_of_scope, detectors.denied),
    "in-flight": (detectors.repeat_in_flight,),
    "blast-radius": (detectors.limit,),
    "precondition-changed": (detectors.identity,),
}
"""The detectors that read a refusal, by its code."""

WATCHED = (ReadEntry, IntentEntry, OutcomeEntry, ReplayEntry, RefusalEntry, FindingEntry)
"""The entries that a detector reads."""


def observe(watch: Watch, entry: Entry, position: Position, thresholds: Thresholds) -> tuple[Trigger, ...]:
    """Take an entry into account; the triggers that it fires, most of the time none."""
    # A compensation is the gateway's own work, not the run's behaviour.
    if isinstance(entry, CallBase) and entry.rollback_id is not None:
        return ()
    read_by: tuple[Detector[Any], ...] = _BY_ENTRY.get(type(entry), ())
    if isinstance(entry, RefusalEntry):
        read_by = (*REFUSALS.get(entry.code, ()), *(_CALL if entry.metered else ()))
    return _fired(read_by, watch, event(entry, position), thresholds)


def late(outcome: OutcomeEntry, position: Position, thresholds: Thresholds) -> tuple[Trigger, ...]:
    """What the outcome of a write of an earlier generation fires."""
    if outcome.rollback_id is not None:
        return ()
    return _fired(LATE, Watch(outcome.generation), event(outcome, position), thresholds)


def _fired(read_by: Iterable[Detector[E]], watch: Watch, event: Event[E], thresholds: Thresholds) -> tuple[Trigger, ...]:
    fired = [trigger for detect in read_by if (trigger := detect(watch, event, thresholds)) is not None]
    return tuple(trigger for trigger in fired if trigger.name not in thresholds.off) if fired else ()


def restart(watch: Watch, trigger: Trigger) -> None:
    """A trigger that fired before: its detectors start counting again from there, as they did then."""
    match trigger.name:
        case "policy.tenant-boundary":
            watch.boundary_reads = trigger.count if trigger.count < trigger.threshold else 0
        case "anomaly.loop":
            watch.contents = None
        case "anomaly.retry-spike":
            watch.windows.pop("failures" if trigger.facts.get("of") == "failures" else "repeats", None)
        case "anomaly.step-count":
            watch.steps_reported = True
        case "uncertain.low-confidence" if trigger.count >= trigger.threshold:
            watch.unsure.clear()
        case detectors.BLAST_RATE:
            watch.windows.pop("records", None)
            watch.members.clear()
        case name:
            watch.windows.pop(name, None)
