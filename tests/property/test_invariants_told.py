"""Stories that once broke an invariant, or left something lying, told again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.model.run import Mode
from tests.support import invariants, invariants_world
from tests.support.invariants_story import Story
from tests.support.invariants_tool import Fate


@pytest.fixture
def story() -> Iterator[Story]:
    with invariants_world.stories():
        told = Story()
        told.tell("edit", tenant="acme", doc=0, removed=False)
        told.tell("open", tenant="acme", parent=None, same_workflow=True)
        yield told
        told.end()


def called(story: Story, what: str, fate: Fate = Fate.GOOD) -> None:
    story.tell("call", tenant="acme", run=0, what=what, doc=0, key="none", fate=fate, step=0)


def undone(story: Story, fate: Fate = Fate.GOOD) -> None:
    story.tell("undo", tenant="acme", run=0, subtree=False, fate=fate)


def status(story: Story) -> str:
    (rollback,) = story.chronicle.rollbacks.values()
    return str(rollback["status"])


def test_what_became_of_a_call_on_the_wire_is_reported_by_its_own_answer_alone(story: Story) -> None:
    called(story, "change", Fate.SLOW_AFTER)
    undone(story)
    story.tell("wait", seconds=60.0)
    story.tell("turn", fate=Fate.GOOD)
    assert status(story) == "needs_operator"
    assert len(story.chronicle.in_flight()) == 1, "it was decided while it was on the wire"
    story.tell("let_go", tenant="acme")
    story.tell("turn", fate=Fate.GOOD)
    assert status(story) == "clean", "nobody continued it once the call had ended"
    invariants.hold(story)


def test_a_compensation_cut_off_is_found_out_about_and_continued_automatically(story: Story) -> None:
    called(story, "change")
    story.tell("arm", point="half sent")
    undone(story)
    story.tell("wait", seconds=60.0)
    story.tell("turn", fate=Fate.GOOD)
    assert status(story) == "clean", "it waits for somebody who has nothing to decide"
    invariants.hold(story)


def test_an_order_that_is_released_stands_no_more_in_the_way_of_a_rollback_than_before(story: Story) -> None:
    called(story, "make")
    story.tell("contain", tenant="acme", run=0, scope="tenant", mode=Mode.QUARANTINED, no_fanout=False)
    story.tell("roll_back", tenant="acme", run=0, subtree=False, fate=Fate.GOOD)
    assert status(story) == "needs_operator", "it waits for an approval"
    story.tell("release", tenant="acme", which=0)
    story.tell("decide", tenant="acme", which=0, grant=True)
    assert status(story) == "clean"
    invariants.hold(story)


def test_what_a_person_writes_between_the_last_look_and_the_compensation_stays(story: Story) -> None:
    called(story, "change")
    undone(story, Fate.RACED)
    assert status(story) == "residue"
    assert story.chronicle.handed, "nobody was told"
    invariants.hold(story)


def test_a_run_that_was_quarantined_is_not_freed_by_a_clock_that_was_set_back(story: Story) -> None:
    story.tell("contain", tenant="acme", run=0, scope="tenant", mode=Mode.QUARANTINED, no_fanout=False)
    story.tell("restart", hours=-1)
    story.tell("release", tenant="acme", which=0)
    story.tell("restart", hours=1)
    sent = len(story.chronicle.sent)
    called(story, "change")
    assert len(story.chronicle.sent) == sent, "the release freed what only a resume frees"
    invariants.hold(story)
