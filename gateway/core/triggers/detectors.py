"""How a run behaves: going in circles, hammering, running away with its budget of steps or writes.

How far a run reaches: a limit met, or much of one in little time.

What policy refused: a boundary crossed, a scope overstepped, one denial after the other.

What nobody can be sure of: the agent of what it read, the gateway of what a tool did, or did it to.

What reading back, or somebody who checked, proved wrong.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.core.incident import findings
from gateway.core.policy.decision import UNUSABLE
from gateway.core.triggers.window import REMEMBERED, Contents, Event, Share, Siblings, Thresholds, Watch, Window
from gateway.model.action import Effect
from gateway.model.call_entry import CallBase, IntentEntry, OutcomeEntry, ReadEntry, RefusalEntry, ReplayEntry
from gateway.model.entries import FindingEntry
from gateway.model.entry import Result, Verification
from gateway.model.trigger import Trigger

PLAIN_FAILURES = frozenset({412, 429})
"""Statuses of a tool that are no failure of the run: it should read again, or wait."""

_TO_BE_TRIED_AGAIN = PLAIN_FAILURES | {None}
"""Statuses of a failed write that was put off, or (without one) never sent."""


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


def put_off(watch: Watch, event: Event[OutcomeEntry], thresholds: Thresholds) -> Trigger | None:
    """A tool that answered 412 or 429, or was never reached, is to be asked again: such an attempt changed nothing and is no lap."""
    entry = event.entry
    if entry.result is Result.FAILED and entry.status in _TO_BE_TRIED_AGAIN:
        for counted in (watch.contents, watch.writes, watch.records):
            if counted is not None:
                counted.strike(int(entry.intent.rpartition("/")[2]))
    return None


def waiting(watch: Watch, event: Event[RefusalEntry], thresholds: Thresholds) -> Trigger | None:
    """A repeat of what is still in flight is counted now and told with an outcome: an order now would stop the very write it waits for."""
    if watch.repeats is None:
        watch.repeats = Window(thresholds.repeats.within)
    watch.repeats.add(event.at, event.seq)
    return None


def repeats(watch: Watch, event: Event[ReplayEntry], thresholds: Thresholds) -> Trigger | None:
    """Replays, and repeats of what was still in flight.

    A resumed run goes again over what it did before its checkpoint: an effect that answers for the first time since is no repeat.
    """
    if event.entry.resumed and watch.retraces(event.entry.replay_of):
        return None
    if watch.repeats is None:
        watch.repeats = Window(thresholds.repeats.within)
    watch.repeats.add(event.at, event.seq)
    return waited(watch, event, thresholds)


def waited(watch: Watch, event: Event[OutcomeEntry | ReplayEntry], thresholds: Thresholds) -> Trigger | None:
    """Whether enough was repeated, now that something came of it."""
    if watch.repeats is None or (count := watch.repeats.total(event.at)) < thresholds.repeats.count:
        return None
    return event.fired("anomaly.retry-spike", count=count, threshold=thresholds.repeats.count, seqs=watch.repeats.drain(), of="repeats")


def failures(watch: Watch, event: Event[OutcomeEntry], thresholds: Thresholds) -> Trigger | None:
    """Writes that failed or have an unknown outcome; not those that the tool deferred or that never reached it."""
    result = event.entry.result
    if result is not Result.UNKNOWN and (result is not Result.FAILED or event.entry.status in _TO_BE_TRIED_AGAIN):
        return None
    if watch.failures is None:
        watch.failures = Window(thresholds.failures.within)
    count = watch.failures.add(event.at, event.seq)
    if count < thresholds.failures.count:
        return None
    return event.fired("anomaly.retry-spike", count=count, threshold=thresholds.failures.count, seqs=watch.failures.drain(), of="failures")


def steps(watch: Watch, event: Event[CallBase], thresholds: Thresholds) -> Trigger | None:
    """Most of the run's steps are used up; told once."""
    watch.steps += 1
    if watch.told_steps or watch.limits is None or watch.limits.steps is None:
        return None
    threshold = thresholds.steps.of(watch.limits.steps)
    if watch.steps < threshold:
        return None
    watch.told_steps = True
    return event.fired("anomaly.step-count", count=watch.steps, threshold=threshold, limit=watch.limits.steps)


def mutations(watch: Watch, event: Event[IntentEntry], thresholds: Thresholds) -> Trigger | None:
    """A large share of the run's writes in little time."""
    if watch.limits is None or watch.limits.writes is None:
        return None
    if watch.writes is None:
        watch.writes = Window(thresholds.writes_within)
    count, threshold = watch.writes.add(event.at, event.seq), thresholds.writes.of(watch.limits.writes)
    if count < threshold:
        return None
    return event.fired("anomaly.mutation-volume", count=count, threshold=threshold, seqs=watch.writes.drain(), limit=watch.limits.writes)


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
    mine, told = f"run:{event.entry.run_id}", None
    for charge in event.entry.charges or ():
        if charge.scope != mine:
            continue
        match charge.name:
            case "records":
                fired = _records(watch, event, thresholds, charge.amount)
            case "tenants":
                fired = _members(watch, event, thresholds, "tenants", watch.limits.tenants, thresholds.tenants, charge.member)
            case "systems":
                fired = _members(watch, event, thresholds, "systems", watch.limits.systems, thresholds.systems, charge.member)
            case _:
                fired = None
        told = told or fired
    return told


def _records(watch: Watch, event: Event[IntentEntry], thresholds: Thresholds, amount: int) -> Trigger | None:
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
    watch: Watch, event: Event[IntentEntry], thresholds: Thresholds, name: str, limited: int | None, share: Share, member: str | None
) -> Trigger | None:
    """Distinct members, each at the time it was last met."""
    if limited is None or member is None:
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
    """A write beyond the lease's scopes; of reads the first, second, fourth and so on, since they are only told."""
    if event.entry.code != "policy-denied" or not _overstepped(event):
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
    if watch.denied is None:
        watch.denied = Window(thresholds.denied.within)
    count = watch.denied.add(event.at, event.seq)
    if count < thresholds.denied.count:
        return None
    return event.fired("policy.denied", count=count, threshold=thresholds.denied.count, seqs=watch.denied.drain())


def _overstepped(event: Event[RefusalEntry]) -> bool:
    return any(reason.code in SCOPE_REASONS for reason in event.entry.reasons or ())


MULTI_STATUS = 207


def confidence(watch: Watch, event: Event[CallBase], thresholds: Thresholds) -> Trigger | None:
    """The agent says itself that it is not sure: told once, and when it has happened too often."""
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
    if event.entry.conforms:
        return None
    return event.fired("uncertain.schema-drift")


def partial(watch: Watch, event: Event[OutcomeEntry], thresholds: Thresholds) -> Trigger | None:
    """Some of what belongs together was done and some was not: told once for each parent step."""
    outcome = event.entry
    if outcome.status == MULTI_STATUS:
        return event.fired("uncertain.partial-failure", status=MULTI_STATUS)
    if not outcome.parent_named or outcome.parent_step_id is None:
        return None
    siblings = _siblings(watch, outcome.parent_step_id)
    if outcome.result is Result.SUCCESS:
        siblings.succeeded.append(event.seq)
        return None
    if siblings.told or not siblings.succeeded or not failed(outcome):
        return None
    siblings.told = True
    return event.fired("uncertain.partial-failure", seqs=(*siblings.succeeded, event.seq), parent_step_id=outcome.parent_step_id)


def unknown(watch: Watch, event: Event[OutcomeEntry], thresholds: Thresholds) -> Trigger | None:
    """Consecutive unknown outcomes."""
    if event.entry.result is not Result.UNKNOWN:
        return None
    if watch.unknown is None:
        watch.unknown = Window(thresholds.unknown.within)
    count = watch.unknown.add(event.at, event.seq)
    if count < thresholds.unknown.count:
        return None
    return event.fired("uncertain.outcome-unknown", count=count, threshold=thresholds.unknown.count, seqs=watch.unknown.drain())


def identity(watch: Watch, event: Event[OutcomeEntry | RefusalEntry], thresholds: Thresholds) -> Trigger | None:
    """A target that turned out to be more, or other, than the one object it names."""
    if event.entry.identity != "other":
        return None
    return event.fired("uncertain.identity")


def _siblings(watch: Watch, parent: str) -> Siblings:
    found = watch.siblings.get(parent)
    if found is None:
        found = watch.siblings[parent] = Siblings()
        if len(watch.siblings) > REMEMBERED:
            watch.siblings.popitem(last=False)
    return found


def postcondition(watch: Watch, event: Event[OutcomeEntry], thresholds: Thresholds) -> Trigger | None:
    """A declared postcondition that was not met in time."""
    if event.entry.verification is not Verification.FAILED:
        return None
    return event.fired("verify.postcondition-failed")


def finding(watch: Watch, event: Event[FindingEntry], thresholds: Thresholds) -> Trigger | None:
    """A verifier's proof that the run's state is unsafe: seen in the entries that it is about, and in its own."""
    entry = event.entry
    about = {place.seq for place in findings.of_entry(entry).places}
    return event.fired(
        findings.CAUSE,
        seqs=(*sorted(about), event.seq),
        severity=entry.severity,
        kind=entry.finding,
        finding_id=entry.finding_id,
    )
