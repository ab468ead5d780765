"""Effects of which only the state of their object says that they were applied: nothing of them is undone without a person."""

from __future__ import annotations

import pytest

from gateway.core.rollback import affected, effects
from gateway.core.rollback import plan as planning
from gateway.model.effect import KnownBy, Write
from gateway.model.rollback import NodeAction, Plan
from tests.support.planning import UNDOS, write


def found(seq: int, action: str = "update", before: str | None = "v1", after: str | None = None, id_: str = "o1") -> Write:
    return write(seq, action, id_, before, after, known_by=KnownBy.STATE)


def planned(*writes: Write) -> Plan:
    return planning.plan(writes, UNDOS, parents={}, now=0.0)


def ways(*writes: Write) -> list[tuple[str, NodeAction]]:
    return [(node.node_id, node.way) for node in planned(*writes).nodes]


@pytest.mark.parametrize(("action", "before"), [("update", "v1"), ("status", "v1"), ("upsert", None), ("delete", "v1"), ("create", None)])
def test_a_state_is_not_brought_back_for_what_somebody_else_may_have_done(action: str, before: str | None) -> None:
    (node,) = planned(found(1, action, before)).nodes
    assert (node.way, node.automatic) == (NodeAction.TASK, False)
    assert "found, not proven" in node.why


@pytest.mark.parametrize("action", ["adjust", "reserve"])
def test_what_overwrites_nothing_waits_for_an_approval_that_says_what_was_found(action: str) -> None:
    (node,) = planned(found(1, action, None)).nodes
    assert (node.way, node.automatic) == (NodeAction.CALL, False)
    assert "found, not proven" in node.why
    assert node.why.endswith("It needs an approval.")
    (proven,) = planned(write(1, action, before=None, after=None, known_by=KnownBy.MARK)).nodes
    assert proven.automatic


def test_what_came_before_it_on_the_object_is_a_persons_too() -> None:
    before = write(1, before="v1", after="v2", known_by=KnownBy.REPLY)
    assert ways(before, found(2, before="v2")) == [("st-2", NodeAction.TASK), ("st-1", NodeAction.TASK)]


def test_what_came_after_it_is_undone_up_to_it() -> None:
    after = write(2, before="v2", after="v3", known_by=KnownBy.REPLY)
    assert ways(found(1), after) == [("st-2", NodeAction.CALL), ("st-1", NodeAction.TASK)]


def test_a_removal_of_what_was_only_found_to_be_made_is_taken_back() -> None:
    removal = write(2, "delete", before="v1", after=None, known_by=KnownBy.REPLY)
    assert ways(found(1, "create", None), removal) == [("st-2", NodeAction.CALL), ("st-1", NodeAction.TASK)], "it may be somebody else's"


def test_it_is_shown_as_found() -> None:
    one = found(1)
    assert effects.why_not_alone(one, UNDOS["erp", "update"], 0.0) == effects.FOUND
    (shown,) = affected.affected_objects([one], {}, UNDOS)
    row = shown.shown(now=0.0)
    assert (row["state"], row["known_by"], row["can_undo"], row["why_not"]) == ("standing", "state", False, effects.FOUND)
