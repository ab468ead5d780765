"""Where a run is resumed, against every history read entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.incident.findings import FirstBad
from gateway.core.rollback import checkpoints
from gateway.core.rollback.checkpoints import Chosen, NotReady
from gateway.model.call import Compensation, Remedy, Reversibility
from gateway.model.effect import KeyKind, State, Write
from gateway.model.entry import Position, Verification
from gateway.model.rollback import START, Checkpoint
from tests.support import rolled


@dataclass(frozen=True)
class Begin:
    kind: KeyKind
    reversibility: Reversibility


@dataclass(frozen=True)
class End:
    which: int
    state: State
    verification: Verification


@dataclass(frozen=True)
class TakeBack:
    """A compensation of an effect, begun and ended with nothing in between."""

    which: int
    state: State
    verification: Verification


@dataclass(frozen=True)
class Take:
    """A checkpoint, taken whether or not anything prevents it."""


Step = Begin | End | TakeBack | Take

ended = st.sampled_from([State.STANDING, State.STANDING, State.STANDING, State.FAILED, State.UNKNOWN])
verified = st.sampled_from([Verification.PASSED, Verification.NONE, Verification.SUPERSEDED, Verification.PASSED, Verification.FAILED])
steps = st.lists(
    st.builds(Begin, st.sampled_from(KeyKind), st.sampled_from(Reversibility))
    | st.builds(End, st.integers(0, 5), ended, verified)
    | st.builds(End, st.just(0), st.just(State.STANDING), st.just(Verification.PASSED))
    | st.builds(TakeBack, st.integers(0, 5), ended, verified)
    | st.just(Take()),
    min_size=2,
    max_size=24,
)


@dataclass
class History:
    """A run's journal as it comes about, and its effects as a projection of it; ``then`` holds them as they were after each entry."""

    writes: list[Write] = field(default_factory=list)
    taken: list[Checkpoint] = field(default_factory=list)
    then: list[list[Write]] = field(default_factory=list)

    @property
    def seq(self) -> int:
        return len(self.then)

    def step(self, step: Step) -> None:
        match step:
            case Begin(kind, reversibility):
                self._begin(kind, reversibility)
            case End(which, state, verification):
                open_ = [place for place, write in enumerate(self.writes) if write.state is State.IN_FLIGHT]
                if open_:
                    self._end(open_[which % len(open_)], state, verification)
            case TakeBack(which, state, verification):
                standing = [write for write in self.writes if write.rollback_id is None and write.state in (State.STANDING, State.UNKNOWN)]
                if standing:
                    self._take_back(standing[which % len(standing)], state, verification)
            case Take():
                at = Position("st_1", self.seq)
                self.taken.append(Checkpoint(checkpoint_id=f"chk-{self.seq}", run_id="run_1", generation=1, at=at))
                self._written()

    def _written(self) -> None:
        self.then.append(list(self.writes))

    def _begin(self, kind: KeyKind, reversibility: Reversibility, **more: object) -> None:
        write = rolled.written(self.seq + 1)
        way = Compensation(reversibility=reversibility, remedy=Remedy.MANUAL_REVIEW)
        begun = replace(write, key=replace(write.key, kind=kind), compensation=way, state=State.IN_FLIGHT, outcome=None)
        self.writes.append(replace(begun, **more))
        self._written()

    def _end(self, place: int, state: State, verification: Verification) -> None:
        shown = verification if state is State.STANDING else Verification.NONE
        outcome = Position("st_1", self.seq + 1)
        self.writes[place] = ended = replace(self.writes[place], state=state, verification=shown, outcome=outcome)
        if state is State.STANDING and shown is not Verification.FAILED:
            self.writes = [self._undone(write) if write.wire_key in ended.compensates else write for write in self.writes]
        self._written()

    def _undone(self, write: Write) -> Write:
        return replace(write, state=State.COMPENSATED) if write.state in (State.STANDING, State.UNKNOWN) else write

    def _take_back(self, effect: Write, state: State, verification: Verification) -> None:
        self._begin(KeyKind.OWN, Reversibility.IRREVERSIBLE, rollback_id="rb_1", compensates=(effect.wire_key,))
        self._end(len(self.writes) - 1, state, verification)

    def now(self, write: Write) -> Write:
        return next(one for one in self.writes if one.wire_key == write.wire_key)

    def sound(self, seq: int) -> bool:
        """By the letter: each effect begun by then was, as the journal said then or says now, known and verified, and stayed."""
        then = self.then[seq - 1] if seq else []
        return all(self._sound(write, then) for write in then)

    def _sound(self, write: Write, then: list[Write]) -> bool:
        if write.state in (State.FAILED, State.COMPENSATED):
            return True
        failed = write.verification is Verification.FAILED
        if write.state is State.STANDING and failed and write.compensates:
            # A compensation that did not do its work: another one has done it by then.
            return all(one.state is State.COMPENSATED for one in then if one.wire_key in write.compensates)
        return write.state is State.STANDING and not failed and self.now(write).state is State.STANDING

    def repeats(self, seq: int) -> bool:
        """Whether continuing from there makes a completed irreversible action again: nothing but its content names it."""
        return any(
            write.intent.seq > seq
            and write.rollback_id is None
            and write.state is State.STANDING
            and write.compensation.reversibility is Reversibility.IRREVERSIBLE
            and write.key.kind is KeyKind.CONTENT
            for write in self.writes
        )

    def places(self, bad: int | None) -> Iterator[int]:
        """Every place that could be chosen: outcomes, what was taken, and the start of a run of which nothing is left."""
        found = {write.outcome.seq for write in self.writes if write.outcome is not None} | {one.seq for one in self.taken}
        if not any(write.state in (State.STANDING, State.IN_FLIGHT, State.UNKNOWN) and write.rollback_id is None for write in self.writes):
            found |= {0} if self.sound(self.seq) else set()
        return (seq for seq in found if bad is None or seq < bad)


def history(taken: list[Step]) -> History:
    made = History()
    for step in taken:
        made.step(step)
    return made


GOOD = (Begin(KeyKind.STEP, Reversibility.REVERSIBLE), End(0, State.STANDING, Verification.PASSED))
FINAL = (Begin(KeyKind.CONTENT, Reversibility.IRREVERSIBLE), End(0, State.STANDING, Verification.NONE))
UNDONE = TakeBack(0, State.STANDING, Verification.PASSED)


@settings(max_examples=1_500)
@given(steps, st.none() | st.integers(1, 40))
@example([*GOOD, Take(), *GOOD, UNDONE], 4)
@example([*GOOD, *FINAL, *GOOD], 3)
@example([*GOOD, UNDONE], 2)
def test_the_latest_sound_place_before_the_first_bad_entry_is_chosen_and_nothing_is_repeated_from_it(
    taken: list[Step], bad: int | None
) -> None:
    made = history(taken)
    sound = [seq for seq in made.places(bad) if made.sound(seq)]
    match checkpoints.choose(made.taken, made.writes, FirstBad(bad)):
        case Chosen(found):
            assert found.seq == max(sound)
            assert bad is None or found.seq < bad
            assert not made.repeats(found.seq)
            assert found.at is not None or found.checkpoint_id == START
        case NotReady(why):
            assert why.endswith(".")
            assert not sound or made.repeats(max(sound))


@settings(max_examples=1_000)
@given(steps, st.integers(1, 40))
@example([*GOOD, Take(), *GOOD], 9)
@example([*GOOD, UNDONE], 9)
def test_where_a_finding_names_nothing_only_what_somebody_took_before_it_is_chosen_and_what_stands_there_is_said(
    taken: list[Step], told: int
) -> None:
    made = history(taken)
    by_people = {one.seq for one in made.taken if one.seq < told}
    start = {0} if 0 in set(made.places(told)) else set()
    sound = [seq for seq in by_people | start if made.sound(seq)]
    match checkpoints.choose(made.taken, made.writes, FirstBad(told, ("st_1/9",))):
        case Chosen(found, caution):
            assert found.seq == max(sound)
            assert not made.repeats(found.seq)
            standing = [one for one in made.writes if one.state is State.STANDING and one.rollback_id is None]
            assert (caution is not None) is any(one.intent.seq <= found.seq for one in standing)
            assert caution is None or "st_1/9 names no entry" in caution
        case NotReady(why):
            assert why.endswith(".")
            assert not sound or made.repeats(max(sound))


@settings(max_examples=500)
@given(steps, st.none() | st.integers(1, 40))
def test_a_boundary_is_the_last_outcome_after_which_nothing_is_open_and_nothing_was_compensated_later(
    taken: list[Step], before: int | None
) -> None:
    made = history(taken)
    outcomes = [write.outcome.seq for write in made.writes if write.outcome is not None]
    sound = [seq for seq in outcomes if (before is None or seq < before) and made.sound(seq)]
    found = checkpoints.latest_boundary(made.writes, before)
    assert (None if found is None else found.seq) == max(sound, default=None)


@settings(max_examples=500)
@given(steps, st.integers(0, 40))
def test_what_prevents_a_place_is_what_makes_it_unsound(taken: list[Step], seq: int) -> None:
    made = history(taken)
    place = min(seq, made.seq)
    against = checkpoints.obstacles(made.writes, place)
    assert bool(against) is not made.sound(place)
    assert all(write.intent.seq <= place for write in against)


@settings(max_examples=300)
@given(steps)
def test_a_place_tells_the_last_effect_on_each_object_and_what_was_completed_by_then(taken: list[Step]) -> None:
    made = history(taken)
    found = checkpoints.latest_boundary(made.writes, None)
    if found is None or found.at is None:
        return
    applied = [write for write in made.then[found.seq - 1] if write.state in (State.STANDING, State.COMPENSATED) and write.outcome]
    if applied:
        (touched,) = found.objects  # all of these writes are on one object
        assert touched.receipt == max((write.outcome for write in applied if write.outcome), key=lambda position: position.seq)
    assert set(found.compensations) == {write.outcome for write in applied if write.rollback_id is not None}
