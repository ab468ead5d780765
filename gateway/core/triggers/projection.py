"""One entry more: which triggers it sets off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from gateway.core.triggers import detectors
from gateway.core.triggers.window import Event, Thresholds, Watch, event
from gateway.model.call_entry import CallBase, IntentEntry, OutcomeEntry, ReadEntry, RefusalEntry, ReplayEntry
from gateway.model.entries import Entry, FindingEntry
from gateway.model.entry import EntryBase, Position
from gateway.model.trigger import Trigger

LOOKED_AT = (ReadEntry, IntentEntry, OutcomeEntry, ReplayEntry, RefusalEntry, FindingEntry)
"""The entries that a sign looks at."""

E = TypeVar("E", bound=EntryBase)
Sign = Callable[[Watch, Event[E], Thresholds], Trigger | None]

# The detectors of a kind of entry, in order: repeated writes are a loop before they are a spike.
_CALL: tuple[Sign[CallBase], ...] = (detectors.steps, detectors.confidence)
_READ: tuple[Sign[ReadEntry], ...] = (*_CALL, detectors.drift)
_INTENT: tuple[Sign[IntentEntry], ...] = (detectors.loop, detectors.rate, detectors.mutations, *_CALL)
_REPLAY: tuple[Sign[ReplayEntry], ...] = (detectors.loop, detectors.repeats, *_CALL)
_FINDING: tuple[Sign[FindingEntry], ...] = (detectors.finding,)
_OUTCOME: tuple[Sign[OutcomeEntry], ...] = (
    detectors.postcondition,
    detectors.identity,
    detectors.unknown,
    detectors.failures,
    detectors.put_off,
    detectors.waited,
    detectors.partial,
    detectors.drift,
)

LATE: tuple[Sign[OutcomeEntry], ...] = (detectors.postcondition, detectors.identity)
"""The signs that look at the outcome of a write whose lease had ended by then: what it says of the state, not of the run's behaviour."""

REFUSALS: Mapping[str, tuple[Sign[RefusalEntry], ...]] = {
    "tenant-boundary": (detectors.boundary,),
    "policy-denied": (detectors.out_of_scope, detectors.denied),
    "in-flight": (detectors.waiting,),
    "blast-radius": (detectors.limit,),
    "precondition-changed": (detectors.identity,),
}
"""The signs that look at a refusal, by its code."""


def see(watch: Watch, entry: Entry, position: Position, thresholds: Thresholds) -> tuple[Trigger, ...]:
    """Take an entry into account; the triggers it sets off, most of the time none."""
    # A compensation is the gateway's own work, not the run's behaviour.
    if isinstance(entry, CallBase) and entry.rollback_id is not None:
        return ()
    match entry:
        case ReadEntry():
            return _fired(_READ, watch, event(entry, position), thresholds)
        case IntentEntry():
            return _fired(_INTENT, watch, event(entry, position), thresholds)
        case OutcomeEntry():
            return _fired(_OUTCOME, watch, event(entry, position), thresholds)
        case ReplayEntry():
            return _fired(_REPLAY, watch, event(entry, position), thresholds)
        case FindingEntry():
            return _fired(_FINDING, watch, event(entry, position), thresholds)
        case RefusalEntry():
            signs = REFUSALS.get(entry.code, ())
            return _fired((*signs, *_CALL) if entry.metered else signs, watch, event(entry, position), thresholds)
        case _:
            return ()


def late(outcome: OutcomeEntry, position: Position, thresholds: Thresholds) -> tuple[Trigger, ...]:
    """What the outcome of a write of an earlier generation sets off."""
    if outcome.rollback_id is not None:
        return ()
    return _fired(LATE, Watch(outcome.generation), event(outcome, position), thresholds)


def _fired(signs: Iterable[Sign[E]], watch: Watch, event: Event[E], thresholds: Thresholds) -> tuple[Trigger, ...]:
    fired = [trigger for sign in signs if (trigger := sign(watch, event, thresholds)) is not None]
    return tuple(trigger for trigger in fired if trigger.name not in thresholds.off) if fired else ()


def told(watch: Watch, trigger: Trigger) -> None:
    """A trigger that fired before: its detectors start counting again from there, as they did then."""
    match trigger.name:
        case "policy.denied":
            watch.denied = None
        case "policy.tenant-boundary":
            watch.boundary_reads = trigger.count if trigger.count < trigger.threshold else 0
        case "anomaly.loop":
            watch.contents = None
        case "anomaly.retry-spike" if trigger.facts.get("of") == "failures":
            watch.failures = None
        case "anomaly.retry-spike":
            watch.repeats = None
        case "anomaly.step-count":
            watch.told_steps = True
        case "anomaly.mutation-volume":
            watch.writes = None
        case "uncertain.low-confidence" if trigger.count >= trigger.threshold:
            watch.unsure.clear()
        case "uncertain.outcome-unknown":
            watch.unknown = None
        case "blast.rate":
            watch.records = None
            watch.members.clear()
        case _:
            pass
