"""How far a run reaches: a limit met, or much of one in little time."""

from __future__ import annotations

from collections import OrderedDict

from gateway.core.triggers.thresholds import Share, Thresholds
from gateway.core.triggers.watch import Event, Watch, Window
from gateway.model.trigger import Trigger


def limit(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A limit of blast radius stood against a call (a rate is none, nor is a cost that the call does not tell)."""
    fields = event.fields
    if fields["code"] != "blast-radius" or fields.get("untold"):
        return None
    named = [f"{one['scope']} {one['name']}" for one in fields.get("violated", ())] or fields.get("violated-policies", [])
    return event.fired("blast.limit", limits=list(named))


def rate(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """Much of the records, tenants or systems that the run may touch, in little time; all are counted, the first is told."""
    if watch.limits is None:
        return None
    mine, told = f"run:{event.fields['run_id']}", None
    for charge in event.fields.get("charges", ()):
        if charge["scope"] != mine:
            continue
        match charge["name"]:
            case "records":
                fired = _records(watch, event, thresholds, charge["amount"])
            case "tenants":
                fired = _members(watch, event, thresholds, "tenants", watch.limits.tenants, thresholds.tenants, charge["member"])
            case "systems":
                fired = _members(watch, event, thresholds, "systems", watch.limits.systems, thresholds.systems, charge["member"])
            case _:
                fired = None
        told = told or fired
    return told


def _records(watch: Watch, event: Event, thresholds: Thresholds, amount: int) -> Trigger | None:
    assert watch.limits is not None
    if watch.limits.records is None:
        return None
    if watch.records is None:
        watch.records = Window(thresholds.blast_within)
    total, threshold = watch.records.add(event.at, event.seq, amount), thresholds.records.of(watch.limits.records)
    if total < threshold:
        return None
    return event.fired("blast.rate", count=total, threshold=threshold, seqs=watch.records.drain(), of="records", limit=watch.limits.records)


def _members(
    watch: Watch, event: Event, thresholds: Thresholds, name: str, limited: int | None, share: Share, member: str
) -> Trigger | None:
    """Distinct members, each at the time it was last met."""
    if limited is None:
        return None
    met = watch.members.setdefault(name, OrderedDict())
    met[member] = (event.at, event.seq)
    met.move_to_end(member)
    while met and next(iter(met.values()))[0] <= event.at - thresholds.blast_within:
        met.popitem(last=False)
    threshold = share.of(limited)
    if len(met) < threshold:
        return None
    seqs = tuple(seq for _, seq in met.values())
    met.clear()
    return event.fired("blast.rate", count=len(seqs), threshold=threshold, seqs=seqs, of=name, limit=limited)
