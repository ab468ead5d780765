"""What reading back, or somebody who checked, proved wrong."""

from __future__ import annotations

from gateway.core.triggers.thresholds import Thresholds
from gateway.core.triggers.watch import Event, Watch
from gateway.model.trigger import Trigger


def postcondition(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A declared postcondition that was not met in time."""
    if event.fields.get("verification") != "failed":
        return None
    return event.fired("verify.postcondition-failed")


def finding(watch: Watch, event: Event, thresholds: Thresholds) -> Trigger | None:
    """A verifier's proof that the run's state is unsafe."""
    return event.fired(
        "verify.finding", severity=event.fields["severity"], kind=event.fields["finding"], finding_id=event.fields["finding_id"]
    )
