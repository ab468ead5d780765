"""What random runs brought to light, each by itself: plans made again, nodes that had passed, versions that are not the run's alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.core.adapter import probing
from gateway.core.rollback import progress
from gateway.core.rollback.progress import Schedule
from gateway.model.effect import State
from gateway.model.rollback import NodeAction, NodeState, Plan
from tests.support.rolled import NODE, written


def test_a_node_whose_effects_another_one_undoes_by_now_is_dropped() -> None:
    probe = replace(NODE, node_id="p", effects=("kc-1",), way=NodeAction.PROBE)
    alone = replace(NODE, node_id="n2", effects=("kc-2",), after=("p",))
    done = replace(NODE, node_id="n3", effects=("kc-3",))
    together = replace(NODE, node_id="n1", effects=("kc-1", "kc-2"))
    renewed = progress.merge_plans(Plan((alone, probe, done)), Plan((together,)))
    assert [node.node_id for node in renewed.nodes] == ["n3", "n1"]


def test_what_had_passed_lets_others_on_though_a_new_plan_has_it_wait() -> None:
    probe = replace(NODE, node_id="p", way=NodeAction.PROBE)
    passed, next_one = replace(NODE, node_id="n1", after=("p",)), replace(NODE, node_id="n2", after=("n1",))
    schedule = Schedule(Plan((probe, passed, next_one)), {"n1": NodeState.DONE})
    assert [one.node_id for one in iter(schedule.ready, None)] == ["p", "n2"]


def test_a_node_that_follows_one_without_a_known_version_is_nobodys_guess() -> None:
    followed = replace(written(1), state=State.STANDING, after_version=None)
    with pytest.raises(KeyError):
        progress.guard(replace(NODE, guard=None, guard_follows="n0"), [], [followed], NodeState.DONE)


@pytest.mark.parametrize(
    ("before", "seen", "asked", "replaced", "alone"),
    [
        ({"a": 1, "b": 2}, {"a": 5, "b": 2}, {"a": 5}, False, True),
        ({"a": 1, "b": 2}, {"a": 5, "b": 3}, {"a": 5}, False, False),
        ({"a": 1}, {"a": 5}, {"data": {"a": 5}}, False, True),
        ({"a": 1, "b": 2}, {"a": 5}, {"a": 5}, False, False),
        ({"a": 1, "b": 2}, {"a": 5}, {"a": 5}, True, True),
        (None, {"a": 5}, {"a": 5}, True, True),
        (None, {"a": 5, "b": 1}, {"a": 5}, True, False),
        ({"a": 1}, None, {"a": 5}, False, False),
        ("text", {"a": 5}, {"a": 5}, False, False),
        ({"a": 1}, {"a": 1, "tags": [1]}, {"items": [{"tags": [1]}]}, False, True),
    ],
)
def test_a_version_is_the_writes_own_where_nothing_else_differs(
    before: object, seen: object, asked: object, replaced: bool, alone: bool
) -> None:
    assert probing.ours_alone(before, seen, asked, replaced=replaced) is alone
