"""Whether an effect can be undone now, from the stored data of its call, and otherwise why not. Pure.

Reasons are phrases that follow a colon.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core import timestamps
from gateway.core.adapter.catalog import Undo
from gateway.model.call import Remedy, Reversibility
from gateway.model.effect import State, Write

STATEFUL = frozenset({Remedy.RESTORE_PREVIOUS_VERSION, Remedy.REVERT_STATUS, Remedy.DELETE_CREATED})
"""Remedies that bring a state back: they may run only against the version that the effect left."""
NOT_STANDING = {
    State.IN_FLIGHT: "it is still in flight",
    State.FAILED: "it was not applied",
    State.UNKNOWN: "its outcome is unknown",
    State.COMPENSATED: "it was already undone",
}
"""Why there is nothing to undo, or not yet, in each other state."""
ONLY_REVIEWED = "it cannot be undone, only reviewed"
FOUND = "its outcome was found, not proven: the object is as the write requested, and somebody else may have made it so"
BEFORE_UNCERTAIN = "a read before it found no object, and yet its tool may have changed one: what was there before is not known"
NOT_REMOVABLE = "it created the object, and its adapter does not declare how to remove it"


def why_not_alone(write: Write, undo: Undo | None, now: float) -> str | None:
    """Why no call could undo this effect alone, ``None`` if one could; ``undo`` is what its adapter declares by now."""
    if write.state is not State.STANDING:
        return NOT_STANDING[write.state]
    return (
        why_never_by_call(write, undo, now)
        or why_data_missing(write, undo)
        or (why_version_missing(write) if write.compensation.remedy in STATEFUL else None)
    )


def why_never_by_call(write: Write, undo: Undo | None, now: float) -> str | None:
    """Why no call may undo it, whatever else is undone along with it."""
    if irreversible(write):
        return ONLY_REVIEWED
    if not write.compensation.remedy.by_action:
        return f"its adapter assigns it to a person ({write.compensation.remedy.value})"
    if write.undeclared:
        return why_destination_unknown(write.undeclared)
    if write.found and write.compensation.remedy in STATEFUL:
        return FOUND
    if write.compensation.allowed_until is not None and (too_late := why_too_late((write,), now)):
        return too_late
    if undo is None:
        return "its adapter no longer declares the action"
    if undo.remedy is not write.compensation.remedy or undo.by is None:
        return "its adapter now declares another compensation"
    return None


def why_too_late(writes: Iterable[Write], now: float) -> str | None:
    """Why it is too late for a call to undo these together, ``None`` while there is time."""
    given = (write.compensation for write in writes)
    ends = [one.allowed_until for one in given if one.remedy.by_action and one.allowed_until is not None]
    return f"its deadline was {timestamps.rfc3339(min(ends))}" if ends and min(ends) <= now else None


def why_data_missing(write: Write, undo: Undo | None) -> str | None:
    """What is missing to undo it: the state before it, or what the compensation's body is made of."""
    remedy = write.compensation.remedy
    if remedy in STATEFUL and not write.target.id:
        return "the changed object is unknown"
    if remedy is not Remedy.DELETE_CREATED and remedy in STATEFUL:
        if _object_may_have_been_there(write):
            return BEFORE_UNCERTAIN
        if write.existed is False:
            return NOT_REMOVABLE if undo is None or undo.delete_created is None else None
        if write.existed is None and write.before_version is None:
            return "the object was not read before the write, or was shown without its version"
    if write.snapshot_ref is None and _sees(undo, remedy, "snapshot"):
        return "the state before it was not stored"
    if write.reply_ref is None and _sees(undo, remedy, "reply"):
        return "its reply is unknown, and the compensation needs it"
    return None


def why_version_missing(write: Write) -> str | None:
    """Why a call that brings its object's state back could overwrite what somebody else did."""
    return None if removes_object(write) or write.after_version is not None else "the version it left is unknown"


def unattended(write: Write) -> bool:
    """Whether its compensation may be sent without a person, if it is declared so: it is known to be done, and by more than state
    to be ours.
    """
    return write.compensation.automatic and not write.found and not write.pending


def irreversible(write: Write) -> bool:
    return write.compensation.reversibility is Reversibility.IRREVERSIBLE


def creates_object(write: Write) -> bool:
    """Whether its object was not there before it."""
    return (write.existed is False and not _object_may_have_been_there(write)) or write.compensation.remedy is Remedy.DELETE_CREATED


def removes_object(write: Write) -> bool:
    """Whether an applied write took its object away, also one that was undone since."""
    return write.method == "DELETE"


def _object_may_have_been_there(write: Write) -> bool:
    """Whether the tool did to its object what it can do only to one that is there, and the read before had found none: a replica that lags
    shows that, and so does somebody who made the object in between. (A 201 says that the object was made.) A PUT may make what is not
    there; unless the tool answers that it did, or was asked to do nothing else, it may have replaced an object as well.
    """
    if write.existed is not False or write.status == 201:
        return False
    return write.method in ("PATCH", "DELETE") or (write.method == "PUT" and not write.guarded)


def why_destination_unknown(names: Iterable[str]) -> str:
    """Why no call undoes one whose destination nobody declared: it could go elsewhere."""
    if "cookie" in names:
        return "a cookie that passed the gateway may have said where it went, and no call of the gateway's own carries one"
    keys = [name[1:] for name in names if name.startswith("?")]
    headers = [name for name in names if not name.startswith("?")]
    said = [f"the header {name}" for name in headers] + [f"the query key {name}" for name in keys]
    first = f'headers: {{{headers[0]}: request.headers."{headers[0]}"}}' if headers else f'query: {{{keys[0]}: request.query."{keys[0]}"}}'
    return f"{' and '.join(said)} may have said where it went, and its adapter does not declare it ({first}, or null if it does not)"


def _sees(undo: Undo | None, remedy: Remedy, name: str) -> bool:
    """Whether the compensation cannot do without ``name``."""
    restores = remedy is Remedy.RESTORE_PREVIOUS_VERSION and name == "snapshot"
    return restores or (undo is not None and name in undo.made_of)
