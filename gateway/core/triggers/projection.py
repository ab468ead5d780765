"""One entry more: which triggers it sets off."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.core.triggers import detectors
from gateway.core.triggers.thresholds import Thresholds
from gateway.core.triggers.window import Event, Watch
from gateway.model.entry import Kind
from gateway.model.trigger import Trigger

Sign = Callable[[Watch, Event, Thresholds], Trigger | None]

_CALL: tuple[Sign, ...] = (detectors.steps, detectors.confidence)
_OUTCOME: tuple[Sign, ...] = (
    detectors.postcondition,
    detectors.identity,
    detectors.unknown,
    detectors.failures,
    detectors.put_off,
    detectors.waited,
    detectors.partial,
    detectors.drift,
)

SIGNS: Mapping[str, tuple[Sign, ...]] = {
    Kind.READ: (*_CALL, detectors.drift),
    Kind.INTENT: (detectors.loop, detectors.rate, detectors.mutations, *_CALL),
    Kind.OUTCOME: _OUTCOME,
    Kind.REPLAY: (detectors.loop, detectors.repeats, *_CALL),
    Kind.FINDING: (detectors.finding,),
}
"""The signs that look at a kind of entry, in the order in which they are heard: what goes in circles is a loop before it is a spike."""

LATE: tuple[Sign, ...] = (detectors.postcondition, detectors.identity)
"""The signs that look at the outcome of a write whose lease had ended by then: what it says of the state, not of the run's behaviour."""

REFUSALS: Mapping[str, tuple[Sign, ...]] = {
    "tenant-boundary": (detectors.boundary,),
    "policy-denied": (detectors.out_of_scope, detectors.denied),
    "in-flight": (detectors.waiting,),
    "blast-radius": (detectors.limit,),
    "precondition-changed": (detectors.identity,),
}
"""The signs that look at a refusal, by its code."""


def see(watch: Watch, event: Event, thresholds: Thresholds) -> tuple[Trigger, ...]:
    """Take an entry into account; the triggers it sets off, most of the time none."""
    fields = event.fields
    # A compensation is the gateway's own work, not the run's behaviour.
    if "rollback_id" in fields:
        return ()
    signs = SIGNS.get(fields["kind"]) if fields["kind"] != Kind.REFUSAL else _of_refusal(fields["code"], bool(fields.get("metered")))
    if signs is None:
        return ()
    fired = [trigger for sign in signs if (trigger := sign(watch, event, thresholds)) is not None]
    return tuple(trigger for trigger in fired if trigger.name not in thresholds.off) if fired else ()


def late(event: Event, thresholds: Thresholds) -> tuple[Trigger, ...]:
    """What an entry of an earlier generation sets off."""
    if event.fields["kind"] != Kind.OUTCOME or "rollback_id" in event.fields:
        return ()
    nothing = Watch(event.fields["generation"])
    fired = [trigger for sign in LATE if (trigger := sign(nothing, event, thresholds)) is not None]
    return tuple(trigger for trigger in fired if trigger.name not in thresholds.off)


def _of_refusal(code: str, metered: bool) -> tuple[Sign, ...]:
    signs = REFUSALS.get(code, ())
    return (*signs, *_CALL) if metered else signs


def told(watch: Watch, trigger: Trigger) -> None:
    """A trigger that was set off before: what it counted counts anew from there, as it did then."""
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
