"""Where a run can be resumed: the verified boundaries of its effects, and which of them to choose. Pure.

A place in the journal is sound as long as every effect that the run began up to it is known and verified, and none of them was
undone later. An effect that failed, or was undone before the place, does not prevent it; neither does one for which no
``verify`` is declared, once its success is definite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from gateway.core.incident import findings
from gateway.core.incident.findings import FirstBad
from gateway.model.call import Reversibility
from gateway.model.effect import KeyKind, State, Write
from gateway.model.entry import Position, Verification
from gateway.model.rollback import START, Checkpoint, Rollback, RollbackStatus, Touched

_NEVER = float("inf")
_UNSOUND = {State.IN_FLIGHT: "is in flight", State.UNKNOWN: "is of unknown outcome", State.COMPENSATED: "was undone since"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """``caution`` is a sentence about a doubt that cannot be resolved."""

    checkpoint: Checkpoint
    caution: str | None = None


@dataclass(frozen=True, slots=True)
class NotReady:
    """The run cannot be recovered without a person; ``why`` is a sentence."""

    why: str


def obstacles(writes: Iterable[Write], at: int) -> tuple[Write, ...]:
    """The effects that prevent resuming the run at a place, oldest first: begun up to it, and not sound there."""
    known = tuple(writes)
    undone = _undone(known)
    return tuple(sorted((write for write in known if write.intent.seq <= at and _sound_from(write, undone) > at), key=_begun))


def unrepeatable(writes: Iterable[Write], at: int) -> tuple[Write, ...]:
    """Completed irreversible actions from after a place that would be made again from there: no key of their own answers for them."""
    found = (write for write in writes if _irreversible(write) and write.intent.seq > at and write.key.kind is KeyKind.CONTENT)
    return tuple(sorted(found, key=_begun))


def latest_boundary(writes: Iterable[Write], before: int | None) -> Checkpoint | None:
    """The newest verified boundary: the last outcome, below ``before``, after which no effect of the run is open or unsound."""
    known = tuple(writes)
    undone = _undone(known)
    changes = [(write.intent.seq, 1, write) for write in known]
    changes += [(int(end), -1, write) for write in known if (end := _sound_from(write, undone)) != _NEVER]
    ends = {write.outcome.seq: write for write in known if write.outcome is not None}
    open_, newest = 0, None
    for seq, together in groupby(sorted(changes, key=lambda change: change[0]), key=lambda change: change[0]):
        if before is not None and seq >= before:
            break
        open_ += sum(step for _, step, _ in together)
        if open_ == 0 and seq in ends:
            newest = ends[seq]
    return None if newest is None or newest.outcome is None else at_entry(newest.run_id, newest.generation, newest.outcome, known)


def choose(checkpoints: Iterable[Checkpoint], writes: Iterable[Write], bad: FirstBad) -> Chosen | NotReady:
    """The latest usable position before the first bad entry, among ``checkpoints`` (explicit, or targets of a rollback) and
    the newest automatic one.

    It assumes no effect that was undone later, and no completed irreversible action after it would be made again: its key answers.
    A run of which nothing stands and nothing is open is sound at its start. If a finding does not say what it is about, automatic
    checkpoints prove nothing: the result is then one of ``checkpoints``, with a caution about earlier standing effects.
    """
    known = tuple(writes)
    taken = [one for one in checkpoints if bad.seq is None or one.seq < bad.seq]
    automatic = (latest_boundary(known, bad.seq) if bad.known else None, _start(known))
    found = taken + [one for one in automatic if one is not None]
    found.sort(key=lambda one: (one.seq, not one.automatic))
    for one in reversed(found):
        if not obstacles(known, one.seq):
            again = unrepeatable(known, one.seq)
            return NotReady(why_unrepeatable(one, again)) if again else Chosen(one, _caution(known, one, bad))
    return NotReady(_why_not(known, found, bad))


def rollback_targets(rollbacks: Iterable[Rollback], generation: int, stream: str, writes: Iterable[Write]) -> list[Checkpoint]:
    """The places that rollbacks of a generation led back to. What such a one left standing is a person's: it handed that over."""
    over = (RollbackStatus.CLEAN, RollbackStatus.RESIDUE)
    back = sorted({one.since for one in rollbacks if one.generation == generation and one.status in over})
    known = tuple(writes)
    return [at_entry("", generation, Position(stream, since), known) if since else start() for since in back]


def start(run_id: str = "", generation: int = 0) -> Checkpoint:
    """The place before all that a run did."""
    return Checkpoint(checkpoint_id=START, run_id=run_id, generation=generation, at=None, automatic=True)


def at_entry(run_id: str, generation: int, at: Position, writes: Iterable[Write]) -> Checkpoint:
    """The place of an entry, named by its position, with what the run had done by then."""
    known = tuple(writes)
    return Checkpoint(
        checkpoint_id=str(at),
        run_id=run_id,
        generation=generation,
        at=at,
        automatic=True,
        objects=_objects(known, at.seq),
        irreversible=_outcomes(known, at.seq, _irreversible),
        compensations=_outcomes(known, at.seq, _compensates),
    )


def describe(write: Write) -> str:
    """What is wrong with an effect that prevents a checkpoint: words that follow its action and position."""
    if write.pending:
        return "was only accepted by its tool (202), which has not shown since that it is done"
    if write.state in _UNSOUND:
        return _UNSOUND[write.state]
    return "failed its verification" if write.verification is Verification.FAILED else "had no outcome yet"


def why_unsound(checkpoint: Checkpoint, effects: Sequence[Write]) -> str:
    """Why a place is not sound, as a sentence."""
    first = effects[0]
    more = f" and {len(effects) - 1} more" if len(effects) > 1 else ""
    return f"Before {_named(checkpoint)}, {first.action} ({first.intent}) {describe(first)}{more}."


def why_unrepeatable(checkpoint: Checkpoint, effects: Sequence[Write]) -> str:
    """Why nothing may be made again from a place, as a sentence."""
    first = effects[0]
    more = f" and {len(effects) - 1} more" if len(effects) > 1 else ""
    return (
        f"{first.action} ({first.intent}){more} is irreversible and was completed after {_named(checkpoint)}; the call had neither a "
        "key nor a step, so that a resumed run would repeat it."
    )


def _named(checkpoint: Checkpoint) -> str:
    return "the run's start" if checkpoint.at is None else f"checkpoint {checkpoint.checkpoint_id}"


def _caution(writes: Sequence[Write], place: Checkpoint, bad: FirstBad) -> str | None:
    """Standing effects from before a position that a finding may be about."""
    standing = [one for one in writes if one.rollback_id is None and one.state is State.STANDING and one.intent.seq <= place.seq]
    if bad.known or not standing:
        return None
    return (
        f"{_sentence(findings.unlocated(bad.unnamed))}: {_named(place)} is the latest explicit checkpoint before it, and {len(standing)} "
        f"earlier effect(s) stand. If the finding is about those, name an earlier checkpoint, or {START!r}."
    )


def _why_not(writes: Sequence[Write], found: Sequence[Checkpoint], first_bad: FirstBad) -> str:
    if found:
        return why_unsound(found[-1], obstacles(writes, found[-1].seq))
    if not first_bad.known:
        return (
            f"{_sentence(findings.unlocated(first_bad.unnamed))}, and there is no explicit checkpoint before it: name the target "
            f"(an entry, or {START!r} to undo all that the run did)."
        )
    bad = first_bad.seq
    when = "" if bad is None else " before its first bad entry"
    begun = [write for write in writes if bad is None or write.intent.seq < bad]
    undone = _undone(writes)
    blocking = [write for write in begun if bad is None or _sound_from(write, undone) >= bad]
    if not blocking:
        return f"The run has no usable checkpoint{when}."
    oldest = min(blocking, key=_begun)
    return f"The run has no usable checkpoint{when}: {oldest.action} ({oldest.intent}) {describe(oldest)}."


def _start(writes: Sequence[Write]) -> Checkpoint | None:
    """The run's start, as long as nothing of what it did stands or is open."""
    undone = _undone(writes)
    gone = (State.FAILED, State.COMPENSATED)
    left = (write for write in writes if write.state not in gone)
    return start() if all(_compensates(write) and _sound_from(write, undone) != _NEVER for write in left) else None


def _undone(writes: Iterable[Write]) -> Mapping[str, int]:
    """Wire keys of effects that were undone, with the number of the outcome by which they were."""
    found: dict[str, int] = {}
    for write in writes:
        if _compensates(write) and write.outcome is not None and write.verification is not Verification.FAILED:
            for wire_key in write.compensates:
                found[wire_key] = min(write.outcome.seq, found.get(wire_key, write.outcome.seq))
    return found


def _sound_from(write: Write, undone: Mapping[str, int]) -> float:
    """The number of the entry from which an effect prevents no checkpoint any more."""
    if write.state is State.COMPENSATED:
        return undone.get(write.wire_key, _NEVER)
    if write.outcome is None or write.state in (State.IN_FLIGHT, State.UNKNOWN):
        return _NEVER
    if write.state is State.STANDING and write.pending:
        return _NEVER
    if write.state is State.STANDING and write.verification is Verification.FAILED:
        return max((undone.get(key, _NEVER) for key in write.compensates), default=_NEVER)  # another attempt undid them
    return write.outcome.seq


def _irreversible(write: Write) -> bool:
    ours = write.rollback_id is None and write.state is State.STANDING
    return ours and write.compensation.reversibility is Reversibility.IRREVERSIBLE


def _compensates(write: Write) -> bool:
    return write.rollback_id is not None and write.state is State.STANDING


def _objects(writes: Sequence[Write], at: int) -> tuple[Touched, ...]:
    """Each object as the last effect on it left it."""
    found: dict[str, Touched] = {}
    for outcome, write in _applied(writes, at):
        if write.target.id:
            found[write.target.object] = Touched(write.target, write.after_version, outcome)
        else:
            found[write.wire_key] = Touched(write.target, None, outcome)
    return tuple(found.values())


def _applied(writes: Sequence[Write], at: int) -> list[tuple[Position, Write]]:
    ended = [(write.outcome, write) for write in writes if write.outcome is not None and write.outcome.seq <= at]
    applied = [(outcome, write) for outcome, write in ended if write.state in (State.STANDING, State.COMPENSATED)]
    return sorted(applied, key=lambda one: one[0].seq)


def _outcomes(writes: Sequence[Write], at: int, meant: Callable[[Write], bool]) -> tuple[Position, ...]:
    return tuple(outcome for outcome, write in _applied(writes, at) if meant(write))


def _begun(write: Write) -> int:
    return write.intent.seq


def _sentence(said: str) -> str:
    return said[:1].upper() + said[1:]
