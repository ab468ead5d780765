"""How a run behaves: going in circles, hammering, running away with its budget of steps or writes."""

from __future__ import annotations

from gateway.core.triggers.thresholds import Thresholds
from gateway.core.triggers.watch import Contents, Event, Watch, Window
from gateway.model.trigger import Trigger

PLAIN_FAILURES = frozenset({412, 429})
"""Statuses of a tool that are no failure of the run: it should read again, or wait."""

_TO_BE_TRIED_AGAIN = PLAIN_FAILURES | {None}
"""Statuses of a failed write that was put off, or (without one) never sent."""


def loop(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """The same action, target and content again and again, under whatever keys, replays included."""
    fields = event.fields
    content = fields["requested"].get("args_digest")
    if content is None or fields.get("effect") != "write":
        return None
    if watch.contents is None:
        watch.contents = Contents(thresholds.loop.within)
    asked = hash((fields["action"], content))
    count = watch.contents.add(event.at, event.seq, asked)
    if count < thresholds.loop.count:
        return None
    return event.fired("anomaly.loop", count=count, threshold=thresholds.loop.count, seqs=watch.contents.drain(asked))


def put_off(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A tool that answered 412 or 429, or was never reached, is to be asked again: such an attempt changed nothing and is no lap."""
    fields = event.fields
    if fields["result"] == "failed" and fields.get("status") in _TO_BE_TRIED_AGAIN:
        for counted in (watch.contents, watch.writes, watch.records):
            if counted is not None:
                counted.strike(int(fields["intent"].rpartition("/")[2]))
    return None


def waiting(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A repeat of what is still in flight is counted now and told with an outcome: an order now would stop the very write it waits for."""
    if watch.repeats is None:
        watch.repeats = Window(thresholds.repeats.within)
    watch.repeats.add(event.at, event.seq)
    return None


def repeats(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """Replays, and repeats of what was still in flight.

    A resumed run goes again over what it did before its checkpoint: an effect that answers for the first time since is no repeat.
    """
    if event.fields.get("resumed") and watch.retraces(event.fields["replay_of"]):
        return None
    if watch.repeats is None:
        watch.repeats = Window(thresholds.repeats.within)
    watch.repeats.add(event.at, event.seq)
    return waited(watch, event, thresholds)


def waited(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """Whether enough was repeated, now that something came of it."""
    if watch.repeats is None or (count := watch.repeats.total(event.at)) < thresholds.repeats.count:
        return None
    return event.fired("anomaly.retry-spike", count=count, threshold=thresholds.repeats.count, seqs=watch.repeats.drain(), of="repeats")


def failures(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """Writes that failed, or of which nobody knows; not those that the tool put off or never saw."""
    result = event.fields["result"]
    if result != "unknown" and (result != "failed" or event.fields.get("status") in _TO_BE_TRIED_AGAIN):
        return None
    if watch.failures is None:
        watch.failures = Window(thresholds.failures.within)
    count = watch.failures.add(event.at, event.seq)
    if count < thresholds.failures.count:
        return None
    return event.fired("anomaly.retry-spike", count=count, threshold=thresholds.failures.count, seqs=watch.failures.drain(), of="failures")


def steps(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """Most of the run's steps are used up; told once."""
    watch.steps += 1
    if watch.told_steps or watch.limits is None or watch.limits.steps is None:
        return None
    threshold = thresholds.steps.of(watch.limits.steps)
    if watch.steps < threshold:
        return None
    watch.told_steps = True
    return event.fired("anomaly.step-count", count=watch.steps, threshold=threshold, limit=watch.limits.steps)


def mutations(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A large share of the run's writes in little time."""
    if watch.limits is None or watch.limits.writes is None:
        return None
    if watch.writes is None:
        watch.writes = Window(thresholds.writes_within)
    count, threshold = watch.writes.add(event.at, event.seq), thresholds.writes.of(watch.limits.writes)
    if count < threshold:
        return None
    return event.fired("anomaly.mutation-volume", count=count, threshold=threshold, seqs=watch.writes.drain(), limit=watch.limits.writes)


def failed(event: Event) -> bool:
    """Whether a write's outcome is a failure that counts against the run."""
    return event.fields["result"] == "failed" and event.fields.get("status") not in PLAIN_FAILURES
