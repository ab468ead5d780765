"""Whether a standing effect can still be taken back, and in words why not. Pure."""

from __future__ import annotations

from gateway.core import stamp
from gateway.model.action import Compensation
from gateway.model.effect import State, Write

_NOT_STANDING = {
    State.IN_FLIGHT: "it is still in flight",
    State.FAILED: "it was not applied",
    State.UNKNOWN: "it is not known whether it was applied",
    State.COMPENSATED: "it was undone already",
}


def why_not(write: Write, *, now: float) -> str | None:
    """Why an effect cannot be undone, ``None`` where it can."""
    if write.state is not State.STANDING:
        return _NOT_STANDING[write.state]
    if not write.compensation.remedy.by_action:
        return f"a person has to do it ({write.compensation.remedy.value})"
    until = write.compensation.allowed_until
    if until is not None and until <= now:
        return f"the time for it ended at {stamp.rfc3339(until)}"
    return None


def compensation(value: Compensation) -> dict[str, object]:
    """The declared way back as the API shows it."""
    until = value.allowed_until
    return {
        "class": value.reversibility.value,
        "type": value.remedy.value,
        "auto": value.automatic,
        "allowed_until": None if until is None else stamp.rfc3339(until),
    }
