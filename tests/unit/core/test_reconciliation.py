"""What became of a write of unknown outcome, judged by its object and by all other writes of the object."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.core import reconciliation
from gateway.core.reconciliation import Conclusion, Listed, Observation
from gateway.model.effect import KnownBy, State, Write
from gateway.model.entry import Verification
from tests.support.rolled import written

WRITE = replace(written(1), state=State.UNKNOWN, before_version="1", after_version=None, guarded=True)
OTHER = replace(written(2), state=State.STANDING, known_by=KnownBy.REPLY, before_version="1", after_version="2", guarded=True)
LOOK = Observation(applied=True, version="2", exists=True, settled=True)


def judged(write: Write = WRITE, *others: Write, look: Observation = LOOK, may_have_caused: bool = True) -> Conclusion:
    return reconciliation.by_state(write, others, look, lambda _: may_have_caused).conclusion


@pytest.mark.parametrize(
    ("look", "before", "conclusion"),
    [
        (LOOK, "1", Conclusion.FOUND),
        (replace(LOOK, settled=False), "1", Conclusion.FOUND),
        (replace(LOOK, marked=True), "1", Conclusion.PROVEN),
        (replace(LOOK, marked=True, applied=False), "1", Conclusion.PROVEN),  # changed since by others, and ours all the same
        (replace(LOOK, version="1"), "1", Conclusion.UNDECIDED),  # it was so before the write
        (replace(LOOK, version=None), None, Conclusion.UNDECIDED),  # a tool without versions proves nothing by state
        (replace(LOOK, version=None, exists=False), "1", Conclusion.FOUND),  # a removal
        (replace(LOOK, version="2"), None, Conclusion.FOUND),  # made
        (replace(LOOK, applied=False, version="1"), "1", Conclusion.NOT_APPLIED),
        (replace(LOOK, applied=False, version="1", settled=False), "1", Conclusion.UNDECIDED),  # a late apply may still land
        (replace(LOOK, applied=False, version="2"), "1", Conclusion.UNDECIDED),  # someone may have written over ours
        (replace(LOOK, applied=False, version=None, exists=False), None, Conclusion.UNDECIDED),  # made, and removed by a person
        (replace(LOOK, applied=False, version=None, exists=False), "1", Conclusion.UNDECIDED),
        (replace(LOOK, applied=False, version=None), None, Conclusion.UNDECIDED),
    ],
)
def test_state_alone_finds_and_never_proves(look: Observation, before: str | None, conclusion: Conclusion) -> None:
    assert judged(replace(WRITE, before_version=before), look=look) is conclusion


@pytest.mark.parametrize("known_by", [KnownBy.REPLY, KnownBy.MARK, KnownBy.PERSON])
@pytest.mark.parametrize("state", [State.STANDING, State.COMPENSATED])
def test_a_success_at_the_same_version_proves_that_a_guarded_write_was_not_applied(known_by: KnownBy, state: State) -> None:
    other = replace(OTHER, known_by=known_by, state=state)
    assert judged(WRITE, other) is Conclusion.NOT_APPLIED
    assert judged(replace(WRITE, guarded=False), other) is Conclusion.UNDECIDED
    assert judged(WRITE, other, look=replace(LOOK, settled=False)) is Conclusion.NOT_APPLIED, "with its condition it cannot come later"


@pytest.mark.parametrize(
    "other",
    [
        replace(OTHER, known_by=KnownBy.STATE),
        replace(OTHER, known_by=None),  # of an earlier version's journal
        replace(OTHER, state=State.UNKNOWN, known_by=None),
        replace(OTHER, verification=Verification.FAILED),  # its tool may have accepted it and done nothing
        replace(OTHER, status=202),  # accepted, and perhaps not done
        replace(OTHER, guarded=False),  # it may have been applied after ours
        replace(OTHER, before_version="2"),
        replace(OTHER, before_version=None),
    ],
)
def test_nothing_less_proves_it(other: Write) -> None:
    assert judged(WRITE, other, may_have_caused=False) is Conclusion.FOUND


def test_what_the_tool_has_accepted_may_come_in_spite_of_its_condition() -> None:
    assert judged(replace(WRITE, pending=True), OTHER) is Conclusion.UNDECIDED


def test_two_that_found_the_object_absent_prove_nothing_of_each_other() -> None:
    absent = replace(WRITE, before_version=None)
    assert judged(absent, replace(OTHER, before_version=None)) is Conclusion.FOUND


@pytest.mark.parametrize("state", [State.UNKNOWN, State.IN_FLIGHT])
def test_another_open_write_that_asked_for_the_same_leaves_it_undecided(state: State) -> None:
    other = replace(OTHER, state=state, known_by=None)
    found = reconciliation.by_state(WRITE, [other], LOOK, lambda one: one is other)
    assert (found.conclusion, found.rivals) == (Conclusion.UNDECIDED, (other,))
    assert other.action in found.why
    assert judged(WRITE, other, may_have_caused=False) is Conclusion.FOUND


def test_at_its_earlier_version_again_an_object_was_not_left_alone() -> None:
    back = replace(LOOK, applied=False, version="1")
    since = replace(OTHER, guarded=False, before_version="5", after_version="6")
    assert judged(WRITE, since, look=back) is Conclusion.UNDECIDED
    assert judged(WRITE, replace(since, known_by=KnownBy.STATE, after_version=None), look=back) is Conclusion.UNDECIDED
    assert judged(WRITE, replace(since, before_version="0", after_version="1"), look=back) is Conclusion.NOT_APPLIED, "that one left it so"
    assert judged(WRITE, replace(since, state=State.UNKNOWN, after_version=None), look=back) is Conclusion.NOT_APPLIED


@pytest.mark.parametrize(
    ("listed", "conclusion"),
    [
        (Listed(count=1, whole=False, settled=False), Conclusion.FOUND),
        (Listed(count=1, whole=True, settled=True, marked=1), Conclusion.PROVEN),
        (Listed(count=2, whole=True, settled=True, marked=1), Conclusion.PROVEN),
        (Listed(count=2, whole=True, settled=True, marked=2), Conclusion.UNDECIDED),
        (Listed(count=2, whole=True, settled=True), Conclusion.UNDECIDED),
        (Listed(count=None, whole=True, settled=True), Conclusion.UNDECIDED),
        (Listed(count=0, whole=True, settled=True), Conclusion.NOT_APPLIED),
        (Listed(count=0, whole=True, settled=False), Conclusion.UNDECIDED),
        (Listed(count=0, whole=False, settled=True), Conclusion.UNDECIDED),
    ],
)
def test_a_listing_shows_absence_only_where_it_is_whole(listed: Listed, conclusion: Conclusion) -> None:
    assert reconciliation.by_listing(listed, ()).conclusion is conclusion


def test_what_two_unknown_creates_may_have_made_is_neithers() -> None:
    found = reconciliation.by_listing(Listed(count=1, whole=True, settled=True), [WRITE])
    assert (found.conclusion, found.rivals) == (Conclusion.UNDECIDED, (WRITE,))
