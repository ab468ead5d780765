"""The detectors: each reads one entry and what the run did lately, and returns a trigger if it fires. Pure.

They detect how a run behaves (loops, repeats, failures, steps, writes), how much it reaches in little time (blast radius), what policy
refused it, what is uncertain (confidence, form of replies, partial failures, unknown outcomes, identity), and what verification disproved.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from gateway.core.incident import findings
from gateway.core.policy.decision import UNUSABLE
from gateway.core.triggers.window import REMEMBERED, Contents, Event, Siblings, Thresholds, Watch, event
from gateway.model.call import Effect
from gateway.model.entries import (
    CallBase,
    Entry,
    FindingEntry,
    IntentEntry,
    OutcomeEntry,
    ReadEntry,
    ReconciliationEntry,
    RefusalEntry,
    ReplayEntry,
)
from gateway.model.entry import EntryBase, Position, Result, Verification
from gateway.model.trigger import Trigger

PLAIN_FAILURES = frozenset({412, 429})
"""Statuses of a tool that are no failure of the run: it should read again, or wait."""

_DEFERRED = PLAIN_FAILURES | {None}
"""Statuses of a failed write that the tool deferred, or (without one) that was never sent."""

MUTATION_VOLUME = "anomaly.mutation-volume"
BLAST_RATE = "blast.rate"


def _counted(
    watch: Watch, event: Event[CallBase], name: str, threshold: int, within: float, *, window: str = "", amount: int = 1, **facts: Any
) -> Trigger | None:
    """Count the event in a window of ``within`` seconds (``name``'s only one, or the named ``window``), and fire at the threshold.

    Counting starts again from there.
    """
    counted = watch.window(window or name, within)
    total = counted.add(event.at, event.seq, amount)
    return None if total < threshold else event.fired(name, count=total, threshold=threshold, seqs=counted.drain(), **facts)


def loop(watch: Watch, event: Event[IntentEntry | ReplayEntry], thresholds: Thresholds) -> Trigger | None:
    """The same action, target and content again and again, under whatever keys, replays included."""
    entry = event.entry
    content = None if entry.requested is None else entry.requested.args_digest
    if content is None or entry.effect is not Effect.WRITE:
        return None
    if watch.contents is None:
        watch.contents = Contents(thresholds.loop.within)
    asked = hash((entry.action, content))
    count = watch.contents.add(event.at, event.seq, asked)
    if count < thresholds.loop.count:
        return None
    return event.fired("anomaly.loop", count=count, threshold=thresholds.loop.count, seqs=watch.contents.drain(asked))


def deferred(watch: Watch, event: Event[OutcomeEntry], thresholds: Thresholds) -> Trigger | None:
    """Never fires: a write that the tool deferred (412, 429), or that was never sent, changed nothing and no longer counts."""
    entry = event.entry
    if entry.result is Result.FAILED and entry.status in _DEFERRED:
        for counted in (watch.contents, watch.windows.get(MUTATION_VOLUME), watch.windows.get("records")):
            if counted is not None:
                counted.remove(int(entry.intent.rpartition("/")[2]))
    return None


def repeat_in_flight(watch: Watch, event: Event[RefusalEntry], thresholds: Thresholds) -> Trigger | None:
    """Never fires: the repeat counts now and is reported with an outcome. An order now would stop the very write that it waits for."""
    watch.window("repeats", thresholds.repeats.within).add(event.at, event.seq)
    return None


def replay(watch: Watch, event: Event[ReplayEntry], thresholds: Thresholds) -> Trigger | None:
    """Replays, and repeats of what was still in flight.

    A resumed run goes again over what it did before its checkpoint: an effect that answers for the first time since is no repeat.
    """
    if event.entry.resumed and watch.retraces(event.entry.replay_of):
        return None
    watch.window("repeats", thresholds.repeats.within).add(event.at, event.seq)
    return repeats(watch, event, thresholds)


def repeats(watch: Watch, event: Event[OutcomeEntry | ReplayEntry], thresholds: Thresholds) -> Trigger | None:
    """Whether enough was repeated, now that there is an outcome."""
    counted, threshold = watch.windows.get("repeats"), thresholds.repeats.count
    if counted is None or (count := counted.total(event.at)) < threshold:
        return None
    return event.fired("anomaly.retry-spike", count=count, threshold=threshold, seqs=counted.drain(), of="repeats")


def failures(watch: Watch, event: Event[OutcomeEntry], thresholds: Thresholds) -> Trigger | None:
    """Writes that failed or have an unknown outcome; not those that the tool deferred or that never reached it."""
    result, times = event.entry.result, thresholds.failures
    if event.entry.pending or (result is not Result.UNKNOWN and (result is not Result.FAILED or event.entry.status in _DEFERRED)):
        return None
    return _counted(watch, event, "anomaly.retry-spike", times.count, times.within, window="failures", of="failures")


def steps(watch: Watch, event: Event[CallBase], thresholds: Thresholds) -> Trigger | None:
    """Most of the run's steps are used up; reported once."""
    watch.steps += 1
    if watch.steps_reported or watch.limits is None or watch.limits.steps is None:
        return None
    threshold = thresholds.steps.of(watch.limits.steps)
    if watch.steps < threshold:
        return None
    watch.steps_reported = True
    return event.fired("anomaly.step-count", count=watch.steps, threshold=threshold, limit=watch.limits.steps)


def mutations(watch: Watch, event: Event[IntentEntry], thresholds: Thresholds) -> Trigger | None:
    """A large share of the run's writes in little time."""
    if watch.limits is None or (limit := watch.limits.writes) is None:
        return None
    return _counted(watch, event, MUTATION_VOLUME, thresholds.writes.of(limit), thresholds.writes_within, limit=limit)


def failed(outcome: OutcomeEntry) -> bool:
    """Whether a write's outcome is a failure that counts against the run."""
    return outcome.result is Result.FAILED and outcome.status not in PLAIN_FAILURES


def limit(watch: Watch, event: Event[RefusalEntry], thresholds: Thresholds) -> Trigger | None:
    """A limit of blast radius refused a call (not a rate, nor a missing cost)."""
    refusal = event.entry
    if refusal.code != "blast-radius" or refusal.missing_amount is not None:
        return None
    named = [f"{one.scope} {one.name}" for one in refusal.violated or ()] or list(refusal.violated_policies or ())
    return event.fired("blast.limit", limits=named)


def rate(watch: Watch, event: Event[IntentEntry], thresholds: Thresholds) -> Trigger | None:
    """Many of the records, tenants or systems that the run may touch, in a short time; all are counted, the first is reported."""
    if watch.limits is None:
        return None
    own, first = f"run:{event.entry.run_id}", None
    for charge in event.entry.charges or ():
        if charge.scope != own or charge.name not in ("records", "tenants", "systems"):
            continue
        if (limit := getattr(watch.limits, charge.name)) is None:
            continue
        threshold, within = getattr(thresholds, charge.name).of(limit), thresholds.blast_within
        facts = {"of": charge.name, "limit": limit}
        if charge.name == "records":
            fired = _counted(watch, event, BLAST_RATE, threshold, within, window="records", amount=charge.amount, **facts)
        else:
            fired = None if charge.member is None else _members(watch, event, charge.member, threshold, within, facts)
        first = first or fired
    return first


def _members(
    watch: Watch, event: Event[IntentEntry], member: str, threshold: int, within: float, facts: Mapping[str, Any]
) -> Trigger | None:
    """Distinct members, each at the time it was last touched."""
    touched = watch.members.setdefault(str(facts["of"]), OrderedDict())
    touched[member] = (event.at, event.seq)
    touched.move_to_end(member)
    while touched and next(iter(touched.values()))[0] <= event.at - within:
        touched.popitem(last=False)
    if len(touched) < threshold:
        return None
    seqs = tuple(seq for _, seq in touched.values())
    touched.clear()
    return event.fired(BLAST_RATE, count=len(seqs), threshold=threshold, seqs=seqs, **facts)


SCOPE_REASONS = frozenset({"scope", "tool"})
"""Codes of the reasons by which a policy says that a lease does not reach that far."""


def boundary(watch: Watch, event: Event[RefusalEntry], thresholds: Thresholds) -> Trigger | None:
    """A call aimed outside its tenant: a write at once, reads each time, and they reach their threshold by being repeated."""
    if event.entry.code != "tenant-boundary":
        return None
    if event.entry.effect is Effect.WRITE:
        return event.fired("policy.tenant-boundary")
    watch.boundary_reads += 1
    if watch.boundary_reads not in (1, thresholds.boundary_reads):
        return None
    count = watch.boundary_reads
    if count >= thresholds.boundary_reads:
        watch.boundary_reads = 0
    return event.fired("policy.tenant-boundary", count=count, threshold=thresholds.boundary_reads)


def out_of_scope(watch: Watch, event: Event[RefusalEntry], thresholds: Thresholds) -> Trigger | None:
    """A write beyond the lease's scopes; of reads the first, second, fourth and so on, since they are only reported."""
    if event.entry.code != "policy-denied" or not any(reason.code in SCOPE_REASONS for reason in event.entry.reasons or ()):
        return None
    if event.entry.effect is Effect.WRITE:
        return event.fired("policy.out-of-scope")
    watch.scope_reads += 1
    count = watch.scope_reads
    return event.fired("policy.out-of-scope", count=count) if count & (count - 1) == 0 else None


def denied(watch: Watch, event: Event[RefusalEntry], thresholds: Thresholds) -> Trigger | None:
    """Denials that come quicker than an agent that listens would cause them; those of a policy that cannot answer say nothing of it."""
    if event.entry.code != "policy-denied" or any(reason.code in UNUSABLE for reason in event.entry.reasons or ()):
        return None
    return _counted(watch, event, "policy.denied", thresholds.denied.count, thresholds.denied.within)


MULTI_STATUS = 207


def confidence(watch: Watch, event: Event[CallBase], thresholds: Thresholds) -> Trigger | None:
    """The agent says itself that it is not sure: reported once, and when it has happened too often."""
    sure = event.entry.confidence
    if sure is None or sure >= thresholds.confidence:
        return None
    watch.unsure.append(event.seq)
    count, seqs = len(watch.unsure), tuple(watch.unsure)
    if count >= thresholds.unsure:
        watch.unsure.clear()
    elif count > 1:
        return None
    return event.fired("uncertain.low-confidence", count=count, threshold=thresholds.unsure, seqs=seqs, confidence=sure)


def drift(watch: Watch, event: Event[ReadEntry | OutcomeEntry], thresholds: Thresholds) -> Trigger | None:
    """A reply of another form than its adapter declares."""
    return None if event.entry.conforms else event.fired("uncertain.schema-drift")


def partial(watch: Watch, event: Event[OutcomeEntry], thresholds: Thresholds) -> Trigger | None:
    """Some of what belongs together was done and some was not: reported once for each parent step."""
    outcome = event.entry
    if outcome.status == MULTI_STATUS:
        return event.fired("uncertain.partial-failure", status=MULTI_STATUS)
    if not outcome.parent_named or outcome.parent_step_id is None:
        return None
    siblings = _siblings(watch, outcome.parent_step_id)
    if outcome.result is Result.SUCCESS:
        siblings.succeeded.append(event.seq)
        return None
    if siblings.reported or not siblings.succeeded or not failed(outcome):
        return None
    siblings.reported = True
    return event.fired("uncertain.partial-failure", seqs=(*siblings.succeeded, event.seq), parent_step_id=outcome.parent_step_id)


def unknown(watch: Watch, event: Event[OutcomeEntry], thresholds: Thresholds) -> Trigger | None:
    """Consecutive unknown outcomes; what the tool has accepted and not finished does not count."""
    if event.entry.result is not Result.UNKNOWN or event.entry.pending:
        return None
    return _counted(watch, event, "uncertain.outcome-unknown", thresholds.unknown.count, thresholds.unknown.within)


def identity(watch: Watch, event: Event[OutcomeEntry | RefusalEntry], thresholds: Thresholds) -> Trigger | None:
    """A target that turned out to be more, or other, than the one object it names."""
    return event.fired("uncertain.identity") if event.entry.identity == "other" else None


def _siblings(watch: Watch, parent: str) -> Siblings:
    found = watch.siblings.get(parent)
    if found is None:
        found = watch.siblings[parent] = Siblings()
        if len(watch.siblings) > REMEMBERED:
            watch.siblings.popitem(last=False)
    return found


def postcondition(watch: Watch, event: Event[OutcomeEntry | ReconciliationEntry], thresholds: Thresholds) -> Trigger | None:
    """A declared postcondition that did not become true in time."""
    return event.fired("verify.postcondition-failed") if event.entry.verification is Verification.FAILED else None


def finding(watch: Watch, event: Event[FindingEntry], thresholds: Thresholds) -> Trigger | None:
    """A verifier's proof that the run's state is unsafe."""
    return findings.fired(event)


# --- which detectors read an entry --------------------------------------------------------------------------------------

E = TypeVar("E", bound=EntryBase)
Detector = Callable[[Watch, Event[E], Thresholds], Trigger | None]

_CALL: tuple[Detector[CallBase], ...] = (steps, confidence)

_BY_ENTRY: Mapping[type[Entry], tuple[Detector[Any], ...]] = {
    ReadEntry: (*_CALL, drift),
    IntentEntry: (loop, rate, mutations, *_CALL),
    ReplayEntry: (loop, replay, *_CALL),
    FindingEntry: (finding,),
    ReconciliationEntry: (postcondition,),
    OutcomeEntry: (postcondition, identity, unknown, failures, deferred, repeats, partial, drift),
}
"""The detectors that read a kind of entry, in order: repeated writes are a loop before they are a spike."""

_LATE: Mapping[type[Entry], tuple[Detector[Any], ...]] = {
    OutcomeEntry: (postcondition, identity),
    ReconciliationEntry: (postcondition,),
}
"""The detectors that read the outcome of a write whose lease had ended: it shows the state, not how the run behaves now."""

_BY_REFUSAL: Mapping[str, tuple[Detector[RefusalEntry], ...]] = {
    "tenant-boundary": (boundary,),
    "policy-denied": (out_of_scope, denied),
    "in-flight": (repeat_in_flight,),
    "blast-radius": (limit,),
    "precondition-changed": (identity,),
}
"""The detectors that read a refusal, by its code."""

WATCHED = (ReadEntry, IntentEntry, OutcomeEntry, ReconciliationEntry, ReplayEntry, RefusalEntry, FindingEntry)
"""The entries that a detector reads."""


def observe(watch: Watch, entry: Entry, position: Position, thresholds: Thresholds) -> tuple[Trigger, ...]:
    """Take an entry into account; the triggers that it fires, most of the time none."""
    # A compensation is the gateway's own work, not the run's behaviour.
    if isinstance(entry, CallBase) and entry.rollback_id is not None:
        return ()
    read_by: tuple[Detector[Any], ...] = _BY_ENTRY.get(type(entry), ())
    if isinstance(entry, RefusalEntry):
        read_by = (*_BY_REFUSAL.get(entry.code, ()), *(_CALL if entry.metered else ()))
    return _fired(read_by, watch, event(entry, position), thresholds)


def late(outcome: OutcomeEntry | ReconciliationEntry, position: Position, thresholds: Thresholds) -> tuple[Trigger, ...]:
    """What the outcome of a write of an earlier generation fires."""
    if outcome.rollback_id is not None:
        return ()
    return _fired(_LATE[type(outcome)], Watch(outcome.generation), event(outcome, position), thresholds)


def _fired(read_by: Iterable[Detector[E]], watch: Watch, event: Event[E], thresholds: Thresholds) -> tuple[Trigger, ...]:
    fired = [trigger for detect in read_by if (trigger := detect(watch, event, thresholds)) is not None]
    return tuple(trigger for trigger in fired if trigger.name not in thresholds.off) if fired else ()
