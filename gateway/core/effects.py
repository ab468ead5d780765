"""Whether an effect can be undone by itself now, decided for each call by what was kept of it, and in words why not. Pure.

Reasons are written so that they read on after a colon.
"""

from __future__ import annotations

from gateway.core import undoing
from gateway.core.catalog import Undo
from gateway.model.action import Remedy, Reversibility
from gateway.model.effect import State, Write

STATEFUL = frozenset({Remedy.RESTORE_PREVIOUS_VERSION, Remedy.REVERT_STATUS, Remedy.DELETE_CREATED})
"""Remedies that bring a state back: they may run only against the version that the effect left."""


def reversible_now(write: Write, undo: Undo | None, now: float) -> tuple[bool, str | None]:
    """Whether a call could undo this effect alone, and why not; ``undo`` is what its adapter declares by now."""
    why_not = (
        undoing.why_not(write, now=now)
        if write.state is not State.STANDING
        else closed(write, undo, now) or unfounded(write, undo) or unguarded(write)
    )
    return why_not is None, why_not


def closed(write: Write, undo: Undo | None, now: float) -> str | None:
    """Why no call may undo it, whatever else is undone along with it."""
    if irreversible(write):
        return "it cannot be undone, only looked at"
    if (declared := undoing.why_not(write, now=now)) is not None:
        return declared
    if undo is None:
        return "its adapter does not declare the action any more"
    if undo.remedy is not write.compensation.remedy or undo.by is None:
        return "its adapter declares another way to undo it than when it was made"
    return None


def unfounded(write: Write, undo: Undo | None) -> str | None:
    """Why there is nothing to undo it with: the state before it, or what the compensation's body is made of."""
    remedy = write.compensation.remedy
    if remedy in STATEFUL and not write.target.id:
        return "it is not known which object it changed"
    if remedy is not Remedy.DELETE_CREATED and remedy in STATEFUL:
        if write.existed is False:
            return None if removable(undo) else "it made the object, and its adapter does not declare how to remove that"
        if write.existed is None and write.before_version is None:
            return "nobody looked whether the object was there before"
    if write.snapshot_ref is None and _sees(undo, remedy, "snapshot"):
        return "the state before it was not kept"
    if write.reply_ref is None and _sees(undo, remedy, "reply"):
        return "its reply is not known, and the compensation is made of it"
    return None


def unguarded(write: Write) -> str | None:
    """Why a call that undoes it could overwrite what somebody else did."""
    if write.compensation.remedy in STATEFUL and write.after_version is None and not removes(write):
        return "the version it left is not known"
    return None


def irreversible(write: Write) -> bool:
    return write.compensation.reversibility is Reversibility.IRREVERSIBLE


def removable(undo: Undo | None) -> bool:
    """Whether what an upsert made can be removed."""
    return undo is not None and undo.delete_created is not None


def makes(write: Write) -> bool:
    """Whether its object was not there before it."""
    return write.existed is False or write.compensation.remedy is Remedy.DELETE_CREATED


def removes(write: Write) -> bool:
    """Whether an applied write took its object away, also one that was undone since."""
    return write.method == "DELETE"


def _sees(undo: Undo | None, remedy: Remedy, name: str) -> bool:
    """Whether the compensation cannot do without ``name``."""
    restores = remedy is Remedy.RESTORE_PREVIOUS_VERSION and name == "snapshot"
    return restores or (undo is not None and undo.body is not None and name in undo.body.roots)
