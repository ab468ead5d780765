"""What is done about the effects on one object: which of them one call undoes, and which a person has to. Pure.

A call may bring a state back only if nothing but the scope's own effects lies between that state and now. So each
effect's version before it has to be the one that the effect before it left; what lies before a gap is a person's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from msgspec import Struct

from gateway.core.adapter import versions
from gateway.core.adapter.catalog import Undo
from gateway.core.rollback import effects
from gateway.model.call import Remedy
from gateway.model.effect import State, Write
from gateway.model.rollback import CompensationKind, Node, NodeAction

Undos = Mapping[tuple[str, str], Undo]

_SOMEBODY = "somebody else changed the object since, or its version is unknown"
_UNDECIDED = "it is not yet known whether another effect changed the object since"
_BLOCKED = "a later change to the object cannot be undone by a call, and undoing this one would overwrite it"
_CARRIED = "an earlier compensation did not have the expected result"
_LEFT_OPEN = "the object's state after a compensation is unknown"
_UNMADE = "It was created and removed: there is nothing to undo."
_REVIEW = "It cannot be undone: a person has to review it, and the run may start nothing."


class Draft(Struct, frozen=True, gc=False):
    """A node before its dependencies are known, and the effects it covers, oldest first. ``reason`` is why no call undoes them,
    as a phrase that follows a colon; ``None`` if one does, or if there is nothing to undo.
    """

    node: Node
    effects: Sequence[Write]
    reason: str | None = None


@dataclass(slots=True)
class _Group:
    """Successive effects that are undone as one; with ``closed``, by a person and for that reason."""

    effects: list[Write]
    closed: str | None = None


def node_id(first: Write) -> str:
    """The name of the node of which this is the first effect; its compensation has it for its step."""
    return f"{first.intent.stream}-{first.intent.seq}"


def draft_nodes(history: Sequence[Write], undos: Undos, carried: Set[str], now: float) -> list[Draft]:
    """The nodes of one object, by all that the scope did to it, oldest first: probes, then the others, newest first.

    Compensations among them are not undone; they show which version they left. ``carried`` are the nodes that had one applied: an effect of
    such a node that still stands is not compensated a second time, nor is anything on its object.
    """
    probes = [_probe(write) for write in history if write.state in (State.UNKNOWN, State.IN_FLIGHT)]
    standing = [write for write in history if _stands(write)]
    if carried and any(node_id(write) in carried for write in standing):
        return probes + _drafts_for_people(standing, _CARRIED)
    applied = [write for write in history if write.state in (State.STANDING, State.COMPENSATED)]
    if all(write.before_version is None and write.after_version is None and not effects.removes_object(write) for write in applied):
        return probes + [_unversioned(write, undos, now) for write in reversed(applied) if _stands(write)]
    segments = _segments(applied)
    gap = _UNDECIDED if probes else _SOMEBODY
    drafts = probes + _newest(segments[-1], undos, now)
    for segment in reversed(segments[:-1]):
        drafts += _drafts_for_people([write for write in segment if _stands(write)], gap)
    return drafts


def _segments(applied: Sequence[Write]) -> list[list[Write]]:
    """Split the effects wherever one does not begin at the version that the one before it left."""
    segments: list[list[Write]] = []
    for write in applied:
        if segments and _linked(segments[-1][-1], write):
            segments[-1].append(write)
        else:
            segments.append([write])
    return segments


def _linked(before: Write, after: Write) -> bool:
    if effects.removes_object(before):
        return after.before_version is None and effects.creates_object(after)
    return before.after_version is not None and versions.same(before.after_version, after.before_version)


def _newest(segment: Sequence[Write], undos: Undos, now: float) -> list[Draft]:
    """The nodes of the segment that reaches up to now, newest first."""
    tail = segment[-1]
    known = tail.state is State.STANDING and (effects.removes_object(tail) or tail.after_version is not None)
    blocked = None if known or _stands(tail) else _LEFT_OPEN
    newer: Node | None = None
    drafts: list[Draft] = []
    groups = _groups(segment, undos, now)
    spent = _first_moot_group(groups, tail)
    for number, group in reversed(list(enumerate(groups))):
        if number >= spent and _restorable(group.effects[0]):
            drafts.append(_draft(group.effects, group.effects[0], NodeAction.NOTHING, _UNMADE))
            continue
        if (closed := group.closed or blocked) is not None:
            drafts += _drafts_for_people(group.effects, closed)
            blocked = blocked or _BLOCKED
            continue
        draft = _call(group.effects, undos, _guard(tail, newer))
        if draft.node.way is NodeAction.CALL:
            newer = draft.node
        elif draft.node.way is NodeAction.TASK:
            blocked = _BLOCKED
        drafts.append(draft)
    return drafts


def _first_moot_group(groups: Sequence[_Group], tail: Write) -> int:
    """The number of the group that created an object which is permanently removed now: nothing is left of it and of the later ones."""
    if not (_stands(tail) and effects.irreversible(tail) and effects.removes_object(tail)):
        return len(groups)
    return next((number for number, group in enumerate(groups) if effects.creates_object(group.effects[0])), len(groups))


def _restorable(write: Write) -> bool:
    return write.compensation.remedy in effects.STATEFUL and not effects.irreversible(write)


def _groups(segment: Sequence[Write], undos: Undos, now: float) -> list[_Group]:
    groups: list[_Group] = []
    for write in segment:
        if not _stands(write):
            continue
        undo = undos.get((write.tool, write.action))
        closed = effects.why_never_by_call(write, undo, now) or (effects.why_version_missing(write) if write is segment[-1] else None)
        if groups and groups[-1].closed is None:
            first = groups[-1].effects[0]
            if _cancels_creation(first, write) or (closed is None and _joins(first, write)):
                groups[-1].effects.append(write)
                continue
        # An object that an upsert made need not be removed if a later effect removed it.
        removed = effects.removes_object(segment[-1]) and effects.creates_object(write)
        groups.append(_Group([write], closed or (None if removed else effects.why_data_missing(write, undo))))
    return groups


def _joins(first: Write, write: Write) -> bool:
    """Whether bringing back the state before ``first`` undoes this later write too.

    A change of status merges only with changes by the same action: a restore of the whole state may not include the status.
    """
    remedy, way = first.compensation.remedy, write.compensation.remedy
    if way not in effects.STATEFUL or remedy not in effects.STATEFUL:
        return False
    if effects.creates_object(first):
        return True
    if remedy is Remedy.REVERT_STATUS:
        return (first.tool, first.action) == (write.tool, write.action)
    return way is not Remedy.REVERT_STATUS


def _cancels_creation(first: Write, write: Write) -> bool:
    """Whether a removal took away what ``first`` had made: however it could be undone itself, there is no need to."""
    made = effects.creates_object(first) and first.compensation.remedy in effects.STATEFUL
    return made and effects.removes_object(write) and not effects.irreversible(write)


def _call(group: Sequence[Write], undos: Undos, guard: Mapping[str, Any]) -> Draft:
    """The one compensation of a group."""
    first, last = group[0], group[-1]
    stateful, made, gone = first.compensation.remedy in effects.STATEFUL, effects.creates_object(first), effects.removes_object(last)
    if stateful and made and gone:
        return _draft(group, first, NodeAction.NOTHING, _UNMADE)
    # For an absent object, the compensation is that of the effect that removed it; otherwise the one declared for the state
    # before the first.
    original = last if stateful and gone else first
    undo = undos[(original.tool, original.action)]
    upserted = stateful and made and original.compensation.remedy is not Remedy.DELETE_CREATED
    if upserted and undo.delete_created is None:
        return _draft(group, first, NodeAction.TASK, _person(effects.NOT_REMOVABLE), reason=effects.NOT_REMOVABLE)
    remedy = Remedy.DELETE_CREATED if upserted else original.compensation.remedy
    does = _does(remedy, gone=gone)
    automatic = undo.automatic and all(map(effects.unattended, group))
    return _draft(
        group,
        original,
        NodeAction.CALL,
        _summary(does, group, automatic=automatic, instead=undo.instead.by if undo.instead is not None else None),
        remedy=remedy,
        by=undo.delete_created if upserted else undo.by,
        does=does,
        with_body=not upserted,
        automatic=automatic,
        compared=_compared(does, undo),
        **guard,
    )


def _does(remedy: Remedy, *, gone: bool) -> CompensationKind:
    if remedy not in effects.STATEFUL:
        return CompensationKind.OFFSETS
    if remedy is Remedy.DELETE_CREATED:
        return CompensationKind.REMOVES
    return CompensationKind.MAKES if gone else CompensationKind.RESTORES


def _compared(does: CompensationKind, undo: Undo) -> tuple[str, ...]:
    """What of the object is compared afterwards."""
    if does is CompensationKind.OFFSETS:
        return ()
    return ("absence",) if does is CompensationKind.REMOVES else undo.compared


def _guard(tail: Write, newer: Node | None) -> Mapping[str, Any]:
    """Bound to what the newer node leaves, or to what the object's last write left."""
    if newer is not None:
        return {"guard_follows": newer.node_id}
    return {"guard_absent": True} if effects.removes_object(tail) else {"guard": tail.after_version}


def _unversioned(write: Write, undos: Undos, now: float) -> Draft:
    """An offsetting call overwrites nothing, so it needs no version; every other one does."""
    why_not = effects.why_not_alone(write, undos.get((write.tool, write.action)), now)
    return _call([write], undos, {}) if why_not is None else _drafts_for_people([write], why_not)[0]


def _drafts_for_people(group: Iterable[Write], reason: str) -> list[Draft]:
    """Newest first: each irreversible effect for itself, what lies between them as one."""
    drafts: list[Draft] = []
    for irreversible, found in groupby(group, effects.irreversible):
        writes = list(found)
        if irreversible:
            drafts += [_draft([write], write, NodeAction.REVIEW, _REVIEW, reason=effects.ONLY_REVIEWED) for write in writes]
        else:
            drafts.append(_draft(writes, writes[-1], NodeAction.TASK, _person(reason), reason=reason))
    return drafts[::-1]


def _probe(write: Write) -> Draft:
    why = "Its outcome is unknown and has to be decided first."
    return _draft([write], write, NodeAction.PROBE, why, reason=effects.NOT_STANDING[write.state])


def _draft(group: Sequence[Write], original: Write, way: NodeAction, why: str, *, reason: str | None = None, **more: Any) -> Draft:
    first = group[0]
    more.setdefault("remedy", original.compensation.remedy)
    node = Node(
        node_id=node_id(first),
        effects=tuple(write.wire_key for write in group),
        run_id=original.run_id,
        tool=original.tool,
        action=original.action,
        target=original.target,
        way=way,
        why=why,
        original=original.wire_key,
        snapshot_ref=first.snapshot_ref,
        args_ref=original.args_ref,
        reply_ref=original.reply_ref,
        **more,
    )
    return Draft(node, group, reason)


def _stands(write: Write) -> bool:
    return write.state is State.STANDING and write.rollback_id is None


def _person(reason: str) -> str:
    return f"A person has to correct it: {reason}."


_SUMMARIES = {
    CompensationKind.RESTORES: "Restores the state before {what}, if the object is still as the last one left it.",
    CompensationKind.MAKES: "Creates the removed object again, as it was before {what}, if it is still absent.",
    CompensationKind.REMOVES: "Removes the created object, if it was not changed since.",
    CompensationKind.OFFSETS: "Offsets it.",
}


def _summary(does: CompensationKind, group: Sequence[Write], *, automatic: bool, instead: str | None) -> str:
    what = "it" if len(group) == 1 else f"the first of {len(group)} changes"
    said = _SUMMARIES[does].format(what=what)
    if instead is not None:
        said += f" If it is too late for that, {instead} is sent instead."
    if automatic:  # then none of them is found or pending
        return said
    if any(write.found for write in group):
        said += f" But {effects.FOUND}."
    if any(write.pending for write in group):
        said += " The tool has only accepted the write, and may not have done it yet."
    return f"{said} It needs an approval."
