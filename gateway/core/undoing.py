"""Whether a standing effect can still be taken back, and in words why not. Pure."""

from __future__ import annotations

from collections.abc import Iterable

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
        return f"its adapter leaves that to a person ({write.compensation.remedy.value})"
    return late((write,), now=now)


def late(writes: Iterable[Write], *, now: float) -> str | None:
    """Why it is too late for a call to undo these together, ``None`` while there is time."""
    given = (write.compensation for write in writes)
    ends = [one.allowed_until for one in given if one.remedy.by_action and one.allowed_until is not None]
    return f"the time for it ended at {stamp.rfc3339(min(ends))}" if ends and min(ends) <= now else None


def compensation(value: Compensation) -> dict[str, object]:
    """The declared way back as the API shows it."""
    until = value.allowed_until
    return {
        "class": value.reversibility.value,
        "type": value.remedy.value,
        "auto": value.automatic,
        "allowed_until": None if until is None else stamp.rfc3339(until),
    }
