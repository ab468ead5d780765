"""Stories that once broke an invariant, or left something lying, told again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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


def undone(story: Story) -> None:
    story.tell("undo", tenant="acme", run=0, subtree=False, fate=Fate.GOOD)


def status(story: Story) -> str:
    (rollback,) = story.chronicle.rollbacks.values()
    return str(rollback["status"])


def test_what_became_of_a_call_on_the_wire_is_told_by_its_own_answer_alone(story: Story) -> None:
    called(story, "change", Fate.SLOW_AFTER)
    undone(story)
    story.tell("wait", seconds=60.0)
    story.tell("turn", fate=Fate.GOOD)
    assert status(story) == "needs_operator"
    assert len(story.chronicle.in_flight()) == 1, "it was decided while it was on the wire"
    story.tell("let_go", tenant="acme")
    story.tell("turn", fate=Fate.GOOD)
    assert status(story) == "clean", "nobody went on with it once the call had ended"
    invariants.hold(story)


def test_a_compensation_cut_off_is_found_out_about_and_gone_on_with_by_itself(story: Story) -> None:
    called(story, "change")
    story.tell("arm", point="half sent")
    undone(story)
    story.tell("wait", seconds=60.0)
    story.tell("turn", fate=Fate.GOOD)
    assert status(story) == "clean", "it waits for somebody who has nothing to decide"
    invariants.hold(story)
