"""What became of a write of unknown outcome: judged by its object as it is now, and by all other writes of the object that are known. Pure.

What the write asked for may be there because somebody else did it. So state alone never proves a write: it is then *found*, which keeps
its key from being sent again and lets nothing be undone without a person. Success needs a mark of the write itself at the tool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from msgspec import Struct

from gateway.core.adapter import versions
from gateway.core.adapter.long_running import ACCEPTED
from gateway.model.effect import KnownBy, State, Write
from gateway.model.entry import Verification

UNSETTLED = (State.UNKNOWN, State.IN_FLIGHT)
_DEFINITE = (KnownBy.REPLY, KnownBy.MARK, KnownBy.PERSON)


class Conclusion(Enum):
    """``PROVEN`` by a mark; ``FOUND``: the state is what the write asked for; ``UNDECIDED``: neither, nor that it was not applied."""

    PROVEN = "proven"
    FOUND = "found"
    NOT_APPLIED = "not_applied"
    UNDECIDED = "undecided"


class Judgement(Struct, frozen=True):
    """``why`` is a phrase. ``rivals`` are other writes that the state may come from, and whose outcome is not known either."""

    conclusion: Conclusion
    why: str
    rivals: tuple[Write, ...] = ()


class Observation(Struct, frozen=True, kw_only=True):
    """One look at the object of a write. ``applied``: it is as the write asked for; ``marked``: it holds the write's own mark.

    ``settled``: the write can no longer arrive. ``version`` is ``None`` if the object has none or is not there; ``repeats``: a version says
    no more than what the object holds, so that it comes back when somebody puts that back.
    """

    applied: bool
    version: str | None
    exists: bool
    settled: bool
    marked: bool = False
    repeats: bool = False


def definite(write: Write) -> bool:
    """Whether it is known, by more than state, that it was applied. What its tool accepted and then did not show may not have been."""
    applied = write.state in (State.STANDING, State.COMPENSATED) and write.known_by in _DEFINITE
    if write.status == ACCEPTED:
        return applied and write.verification is Verification.PASSED
    return applied and write.verification is not Verification.FAILED


def proved_by_other_writes(write: Write, others: Iterable[Write]) -> Judgement | None:
    """What the other writes of its object prove of a write, without a look at the object; ``None`` if nothing.

    One that was bound to the same version and succeeded found that version still there: ours had not been applied before, and with the
    same condition it can no longer be. Of an absent object there is no such proof: it may have been made and removed in between.
    """
    before = write.before_version
    if before is None:
        return None
    for other in others:
        if other.guarded and versions.same(before, other.before_version) and definite(other):
            if write.guarded and not write.pending:  # what the tool has accepted passed its condition already
                return Judgement(Conclusion.NOT_APPLIED, f"{other.action} ({other.intent}) was bound to the same version, and was applied")
            return Judgement(
                Conclusion.UNDECIDED,
                f"{other.action} ({other.intent}) was applied to the same version; whether it was applied after that does not show",
            )
    return None


def by_state(write: Write, others: Sequence[Write], observed: Observation, may_have_caused: Callable[[Write], bool]) -> Judgement:
    """What a look at its object says of a write.

    ``others`` are all other writes of the object that were open at or after its intent, and did not fail; ``may_have_caused`` is whether
    the object is as one of them asked for.
    """
    if observed.marked:
        return Judgement(Conclusion.PROVEN, "the object holds its mark")
    if (proved := proved_by_other_writes(write, others)) is not None:
        return proved
    if not observed.applied:
        return _absent(write, others, observed)
    rivals = tuple([one for one in others if one.state in UNSETTLED and may_have_caused(one)])
    if rivals:
        named = ", ".join(f"{one.action} ({one.intent})" for one in rivals)
        return Judgement(
            Conclusion.UNDECIDED, f"the object is as the write requested, and as {named} requested, whose outcome is unknown too", rivals
        )
    if versions.same(write.before_version, observed.version):
        return Judgement(Conclusion.UNDECIDED, "the object is as the write requested, and was so before it")
    return Judgement(Conclusion.FOUND, "the object is as the write requested, which somebody else may have done")


def _absent(write: Write, others: Sequence[Write], observed: Observation) -> Judgement:
    """What it asked for is not there: that proves something only if the object is, without a doubt, untouched."""
    before = write.before_version
    if before is None or not observed.exists:
        return Judgement(Conclusion.UNDECIDED, "the object was or is absent: it may have been applied and removed since")
    if not versions.same(before, observed.version):
        return Judgement(Conclusion.UNDECIDED, "the object was changed since: its change may have been overwritten")
    if observed.repeats:
        return Judgement(Conclusion.UNDECIDED, "the object is as it was before, and somebody may have put that back")
    if any(one.state not in UNSETTLED and not versions.same(one.after_version, before) for one in others):
        return Judgement(Conclusion.UNDECIDED, "others wrote since, and the object is at its earlier version again")
    if not observed.settled:
        return Judgement(Conclusion.UNDECIDED, "it may still arrive")
    return Judgement(Conclusion.NOT_APPLIED, "the object is still at the version from before it, and it can no longer arrive")


class Listed(Struct, frozen=True, kw_only=True):
    """What a listing shows of a create: the ``count`` of items that are as it asked, but for those that other writes are known to have
    made; ``None`` if the listing cannot be read. ``marked`` of them hold its own mark. ``whole``: nothing can be missing.
    """

    count: int | None
    whole: bool
    settled: bool
    marked: int = 0


def by_listing(listed: Listed, rivals: Sequence[Write]) -> Judgement:
    """What a listing says of a create; ``rivals`` are other creates of unknown outcome that may have made the item as well."""
    if listed.marked == 1:
        return Judgement(Conclusion.PROVEN, "the item holds its mark")
    if listed.count is None:
        return Judgement(Conclusion.UNDECIDED, "the listing cannot be read: it is no list, or an item has no id or no clear result")
    if listed.count > 1:
        return Judgement(Conclusion.UNDECIDED, "the listing shows several that may be it")
    if listed.count:
        if rivals:
            named = ", ".join(f"{one.action} ({one.intent})" for one in rivals)
            return Judgement(Conclusion.UNDECIDED, f"the item may also be that of {named}, whose outcome is unknown too", tuple(rivals))
        return Judgement(Conclusion.FOUND, "the listing shows one item as the write requested, which somebody else may have made")
    if not listed.whole:
        return Judgement(Conclusion.UNDECIDED, "the listing does not show it, and may be incomplete")
    if not listed.settled:
        return Judgement(Conclusion.UNDECIDED, "it may still arrive")
    return Judgement(Conclusion.NOT_APPLIED, "it is not in the whole listing, and can no longer arrive")
