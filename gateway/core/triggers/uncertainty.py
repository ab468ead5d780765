"""What nobody can be sure of: the agent of what it read, the gateway of what a tool did, or did it to."""

from __future__ import annotations

from gateway.core.triggers.behaviour import failed
from gateway.core.triggers.thresholds import Thresholds
from gateway.core.triggers.watch import REMEMBERED, Event, Siblings, Watch, Window
from gateway.model.trigger import Trigger

MULTI_STATUS = 207


def confidence(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """The agent says itself that it is not sure: told once, and when it has happened too often."""
    sure = event.fields.get("confidence")
    if sure is None or sure >= thresholds.confidence:
        return None
    watch.unsure.append(event.seq)
    count, seqs = len(watch.unsure), tuple(watch.unsure)
    if count >= thresholds.unsure:
        watch.unsure.clear()
    elif count > 1:
        return None
    return event.fired("uncertain.low-confidence", count=count, threshold=thresholds.unsure, seqs=seqs, confidence=sure)


def drift(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A reply of another form than its adapter declares."""
    if event.fields.get("conforms") is not False:
        return None
    return event.fired("uncertain.schema-drift")


def partial(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """Some of what belongs together was done and some was not: told once for each parent step."""
    fields = event.fields
    if fields.get("status") == MULTI_STATUS:
        return event.fired("uncertain.partial-failure", status=MULTI_STATUS)
    if not fields.get("parent_named"):
        return None
    siblings = _siblings(watch, fields["parent_step_id"])
    if fields["result"] == "success":
        siblings.succeeded.append(event.seq)
        return None
    if siblings.told or not siblings.succeeded or not failed(event):
        return None
    siblings.told = True
    return event.fired("uncertain.partial-failure", seqs=(*siblings.succeeded, event.seq), parent_step_id=fields["parent_step_id"])


def unknown(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """Outcomes that nobody knows, one after the other."""
    if event.fields["result"] != "unknown":
        return None
    if watch.unknown is None:
        watch.unknown = Window(thresholds.unknown.within)
    count = watch.unknown.add(event.at, event.seq)
    if count < thresholds.unknown.count:
        return None
    return event.fired("uncertain.outcome-unknown", count=count, threshold=thresholds.unknown.count, seqs=watch.unknown.drain())


def identity(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A target that turned out to be more, or other, than the one object it names."""
    if event.fields.get("identity") != "other":
        return None
    return event.fired("uncertain.identity")


def _siblings(watch: Watch, parent: str) -> Siblings:
    found = watch.siblings.get(parent)
    if found is None:
        found = watch.siblings[parent] = Siblings()
        if len(watch.siblings) > REMEMBERED:
            watch.siblings.popitem(last=False)
    return found
