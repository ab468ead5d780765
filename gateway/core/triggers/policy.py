"""What policy refused: a boundary crossed, a scope overstepped, one denial after the other."""

from __future__ import annotations

from gateway.core.policy import UNUSABLE
from gateway.core.triggers.thresholds import Thresholds
from gateway.core.triggers.watch import Event, Watch, Window
from gateway.model.trigger import Trigger

SCOPE_REASONS = frozenset({"scope", "tool"})
"""Codes of the reasons by which a policy says that a lease does not reach that far."""


def boundary(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A call aimed outside its tenant: a write at once, reads each time, and they reach their threshold by being repeated."""
    if event.fields["code"] != "tenant-boundary":
        return None
    if event.fields.get("effect") == "write":
        return event.fired("policy.tenant-boundary")
    watch.boundary_reads += 1
    if watch.boundary_reads not in (1, thresholds.boundary_reads):
        return None
    count = watch.boundary_reads
    if count >= thresholds.boundary_reads:
        watch.boundary_reads = 0
    return event.fired("policy.tenant-boundary", count=count, threshold=thresholds.boundary_reads)


def out_of_scope(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A write beyond the lease's scopes; of reads the first, second, fourth and so on, since they are only told."""
    if event.fields["code"] != "policy-denied" or not _overstepped(event):
        return None
    if event.fields.get("effect") == "write":
        return event.fired("policy.out-of-scope")
    watch.scope_reads += 1
    count = watch.scope_reads
    return event.fired("policy.out-of-scope", count=count) if count & (count - 1) == 0 else None


def denied(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """Denials that come quicker than an agent that listens would cause them; those of a policy that cannot answer say nothing of it."""
    if event.fields["code"] != "policy-denied" or any(reason["code"] in UNUSABLE for reason in event.fields.get("reasons", ())):
        return None
    if watch.denied is None:
        watch.denied = Window(thresholds.denied.within)
    count = watch.denied.add(event.at, event.seq)
    if count < thresholds.denied.count:
        return None
    return event.fired("policy.denied", count=count, threshold=thresholds.denied.count, seqs=watch.denied.drain())


def _overstepped(event: Event) -> bool:
    return any(reason["code"] in SCOPE_REASONS for reason in event.fields.get("reasons", ()))
