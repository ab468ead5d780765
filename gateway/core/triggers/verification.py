"""What reading back, or somebody who checked, proved wrong."""

from __future__ import annotations

from gateway.core import suspicion
from gateway.core.triggers.thresholds import Thresholds
from gateway.core.triggers.watch import Event, Watch
from gateway.model.trigger import Trigger


def postcondition(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A declared postcondition that was not met in time."""
    if event.fields.get("verification") != "failed":
        return None
    return event.fired("verify.postcondition-failed")


def finding(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A verifier's proof that the run's state is unsafe: seen in the entries that it is about, and in its own."""
    fields = event.fields
    about = {place.seq for place in suspicion.of_entry(fields).places}
    return event.fired(
        suspicion.TRIGGER,
        seqs=(*sorted(about), event.seq),
        severity=fields["severity"],
        kind=fields["finding"],
        finding_id=fields["finding_id"],
    )
