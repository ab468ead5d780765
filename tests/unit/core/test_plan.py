from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.adapter import expression
from gateway.core.adapter.catalog import Attached, Undo
from gateway.core.rollback import plan as planning
from gateway.core.rollback.progress import Schedule
from gateway.model.call import Remedy, Target
from gateway.model.effect import State, Write
from gateway.model.entry import Position
from gateway.model.rollback import CompensationKind, Node, NodeAction, NodeState, Plan, RollbackStatus
from tests.support.planning import UNDOS, compensation, undo, write


def ready(plan: Plan, states: Mapping[str, NodeState]) -> list[Node]:
    return list(iter(Schedule(plan, dict(states)).ready, None))


def planned(*effects: Write, undos: Mapping[tuple[str, str], Undo] = UNDOS, now: float = 0.0, **more: Any) -> Plan:
    return planning.plan(effects, undos, parents=more.pop("parents", {}), now=now, **more)


def only(*effects: Write, **more: Any) -> Node:
    (node,) = planned(*effects, **more).nodes
    return node


def ways(plan: Plan) -> list[tuple[str, NodeAction]]:
    return [(node.node_id, node.way) for node in plan.nodes]


# On one object.


def test_one_effect_is_put_back_if_it_is_still_as_the_effect_left_it() -> None:
    node = only(write(1))
    assert (node.way, node.does, node.by, node.automatic) == (NodeAction.CALL, CompensationKind.RESTORES, "replace", True)
    assert (node.guard, node.guard_absent, node.guard_follows) == ("v2", False, None)
    assert (node.snapshot_ref, node.args_ref, node.reply_ref, node.original) == ("snapshot-1", "args-1", "reply-1", "kc-1")


def test_successive_effects_go_back_to_the_state_before_the_first() -> None:
    node = only(write(1, before="v1", after="v2"), write(2, before="v2", after="v3"), write(5, before="v3", after="v4"))
    assert node.effects == ("kc-1", "kc-2", "kc-5")
    assert (node.node_id, node.snapshot_ref, node.guard) == ("st-1", "snapshot-1", "v4")


def test_one_effect_in_them_that_needs_an_approval_makes_them_all_wait() -> None:
    asked = write(2, before="v2", after="v3", compensation=compensation("update", automatic=False))
    assert only(write(1), asked).automatic is False


@pytest.mark.parametrize("version", ["v9", None])
def test_what_lies_before_a_gap_is_a_persons(version: str | None) -> None:
    beyond = write(2, before=version, after="v10", existed=True)
    newer, older = planned(write(1), beyond, write(3, before="v10", after="v11")).nodes
    assert (newer.effects, newer.way, newer.guard) == (("kc-2", "kc-3"), NodeAction.CALL, "v11")
    assert (older.effects, older.way, older.after) == (("kc-1",), NodeAction.TASK, (newer.node_id,))
    assert "somebody else changed the object" in older.why


def test_an_effect_of_which_the_version_it_left_is_not_known_is_a_persons_and_so_is_all_before_it() -> None:
    newer, older = planned(write(1), write(2, before="v2", after=None)).nodes
    assert (newer.effects, newer.way) == (("kc-2",), NodeAction.TASK)
    assert "version it left is unknown" in newer.why
    assert (older.effects, older.way) == (("kc-1",), NodeAction.TASK)
    assert "overwrite" in older.why


def test_without_a_kept_state_there_is_nothing_to_put_back() -> None:
    assert "the state before it was not stored" in only(write(1, snapshot_ref=None)).why


def test_a_state_that_was_not_kept_in_between_is_not_needed() -> None:
    assert only(write(1), write(2, before="v2", after="v3", snapshot_ref=None)).snapshot_ref == "snapshot-1"


def test_where_the_first_has_no_kept_state_the_others_go_back_to_it() -> None:
    newer, older = planned(write(1, snapshot_ref=None), write(2, before="v2", after="v3"), write(3, before="v3", after="v4")).nodes
    assert (newer.effects, newer.way, newer.snapshot_ref) == (("kc-2", "kc-3"), NodeAction.CALL, "snapshot-2")
    assert (older.effects, older.way) == (("kc-1",), NodeAction.TASK)


def test_a_create_is_removed_with_what_was_done_to_it_since() -> None:
    node = only(write(1, "create", before=None, after="v1"), write(2, before="v1", after="v2"), write(3, "status", before="v2", after="v3"))
    assert (node.does, node.by, node.original, node.guard) == (CompensationKind.REMOVES, "delete", "kc-1", "v3")
    assert node.remedy is Remedy.DELETE_CREATED


def test_an_upsert_that_made_its_object_is_removed_by_what_is_declared_for_it() -> None:
    node = only(write(1, "upsert", before=None, after="v1"))
    assert (node.does, node.by, node.with_body, node.remedy) == (CompensationKind.REMOVES, "delete", False, Remedy.DELETE_CREATED)


def test_an_upsert_that_made_its_object_is_a_persons_where_nothing_is_declared_for_it() -> None:
    newer, older = planned(write(1, "put", before=None, after="v1"), write(2, before="v1", after="v2")).nodes
    assert (newer.effects, newer.way) == (("kc-2",), NodeAction.CALL)
    assert (older.effects, older.way) == (("kc-1",), NodeAction.TASK)
    assert "does not declare how to remove" in older.why


def test_an_upsert_that_changed_its_object_is_put_back() -> None:
    assert only(write(1, "put", before="v1", after="v2")).does is CompensationKind.RESTORES


def test_an_upsert_of_which_it_is_unknown_whether_it_made_its_object_is_a_persons() -> None:
    assert "not read before" in only(write(1, "upsert", before=None, after="v1", existed=None)).why


def test_a_removed_object_is_made_again_by_the_way_back_of_what_removed_it() -> None:
    node = only(write(1), write(2, "delete", before="v2", after=None))
    assert (node.does, node.by, node.original, node.snapshot_ref) == (CompensationKind.MAKES, "remake", "kc-2", "snapshot-1")
    assert (node.guard, node.guard_absent) == (None, True)


@pytest.mark.parametrize("action", ["create", "upsert", "put"])
def test_of_what_was_made_and_removed_nothing_is_left(action: str) -> None:
    made = write(1, action, before=None, after="v1")
    assert only(made, write(2, "delete", before="v1", after=None)).way is NodeAction.NOTHING


def test_what_the_scope_made_is_not_missed_even_if_only_a_person_could_undo_its_removal() -> None:
    made, updated = write(1, "create", before=None, after="v2"), write(1)
    removed, again = (
        write(2, "delete", before="v2", after=None, compensation=compensation("fix")),
        write(3, "upsert", before=None, after="v5"),
    )
    assert only(made, removed).way is NodeAction.NOTHING
    assert only(made, removed, again).does is CompensationKind.REMOVES
    assert [node.way for node in planned(updated, removed).nodes] == [NodeAction.TASK, NodeAction.TASK]


def test_of_what_was_made_and_removed_permanently_only_the_removal_is_looked_at() -> None:
    gone = write(4, "delete", before="v3", after=None, compensation=compensation("ship"))
    for action in ("create", "upsert", "put"):
        made, changed = write(1, action, before=None, after="v1"), write(2, before="v1", after="v3")
        removal, *others = planned(made, changed, gone).nodes
        assert (removal.effects, removal.way) == (("kc-4",), NodeAction.REVIEW)
        assert {node.way for node in others} == {NodeAction.NOTHING}


def test_what_was_done_permanently_in_between_is_looked_at_too() -> None:
    made, shipped = write(1, "create", before=None, after="v1"), write(2, "ship", before="v1", after="v2")
    changed, gone = write(3, before="v2", after="v3"), write(4, "delete", before="v3", after=None, compensation=compensation("ship"))
    found = planned(made, shipped, changed, gone)
    assert ways(found) == [
        ("st-4", NodeAction.REVIEW),
        ("st-3", NodeAction.NOTHING),
        ("st-2", NodeAction.REVIEW),
        ("st-1", NodeAction.NOTHING),
    ]
    assert found.irreversible


def test_what_was_there_before_and_is_removed_permanently_is_missed() -> None:
    gone = write(2, "delete", before="v2", after=None, compensation=compensation("ship"))
    assert ways(planned(write(1), gone)) == [("st-2", NodeAction.REVIEW), ("st-1", NodeAction.TASK)]
    again = write(3, "upsert", before=None, after="v3"), write(4, "delete", before="v3", after=None, compensation=compensation("ship"))
    assert [node.way for node in planned(write(1, "delete", after=None), *again).nodes] == [NodeAction.REVIEW, NodeAction.TASK]


def test_what_is_offset_outlives_its_object() -> None:
    made = write(1, "adjust", before=None, after="v1", existed=False)
    gone = write(2, "delete", before="v1", after=None, compensation=compensation("ship"))
    assert [node.way for node in planned(made, gone).nodes] == [NodeAction.REVIEW, NodeAction.TASK]


def test_a_removed_object_that_was_made_again_goes_back_to_what_it_was() -> None:
    node = only(write(1, "delete", after=None), write(2, "upsert", before=None, after="v3"))
    assert (node.does, node.by, node.guard, node.snapshot_ref) == (CompensationKind.RESTORES, "remake", "v3", "snapshot-1")


def test_what_somebody_else_made_in_place_of_a_removed_object_stays() -> None:
    newer, older = planned(write(1, "delete", after=None), write(2, before="v7", after="v8")).nodes
    assert (newer.effects, newer.way) == (("kc-2",), NodeAction.CALL)
    assert (older.effects, older.way) == (("kc-1",), NodeAction.TASK)


def test_statuses_collapse_among_their_own_kind_alone() -> None:
    found = planned(
        write(1, before="v1", after="v2"),
        write(2, "status", before="v2", after="v3"),
        write(3, "status", before="v3", after="v4"),
        write(4, "assign", before="v4", after="v5"),
    )
    assign, status, update = found.nodes
    assert [node.effects for node in found.nodes] == [("kc-4",), ("kc-2", "kc-3"), ("kc-1",)]
    assert (assign.guard, status.guard_follows, update.guard_follows) == ("v5", assign.node_id, status.node_id)
    assert (status.guard, status.after) == (None, (assign.node_id,))


def test_what_is_offset_is_offset_one_by_one_newest_first() -> None:
    newer, older = planned(write(1, "adjust"), write(2, "adjust", before="v2", after="v3")).nodes
    assert (newer.node_id, newer.does, newer.guard) == ("st-2", CompensationKind.OFFSETS, "v3")
    assert (older.node_id, older.guard, older.guard_follows, older.after) == ("st-1", None, "st-2", ("st-2",))


def test_what_is_offset_needs_no_version_where_the_object_has_none() -> None:
    found = planned(write(1, "adjust", before=None, after=None), write(2, "reserve", before=None, after=None))
    assert ways(found) == [("st-2", NodeAction.CALL), ("st-1", NodeAction.CALL)]
    assert [(node.guard, node.guard_absent, node.guard_follows) for node in found.nodes] == [(None, False, None)] * 2


def test_what_would_overwrite_needs_a_version() -> None:
    assert only(write(1, before=None, after=None, existed=True)).way is NodeAction.TASK


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"compensation": compensation("update", allowed_until=50.0)}, "its deadline was"),
        ({"action": "fix", "compensation": compensation("fix")}, "its adapter assigns it to a person"),
        ({"action": "gone"}, "no longer declares the action"),
        ({"compensation": compensation("create")}, "now declares another compensation"),
    ],
)
def test_what_no_call_can_undo_is_a_persons_with_the_reason(more: dict[str, Any], why: str) -> None:
    node = only(replace(write(1), **more), now=60.0)
    assert node.way is NodeAction.TASK
    assert why in node.why


def test_an_approval_that_was_compensated_is_none() -> None:
    assert only(write(1), undos={("erp", "update"): undo(Remedy.RESTORE_PREVIOUS_VERSION, automatic=False)}).automatic is False


def test_an_irreversible_effect_is_looked_at_and_marks_the_plan() -> None:
    found = planned(write(1), write(2, "ship", before="v2", after="v3"), write(3, before="v3", after="v4"))
    assert ways(found) == [("st-3", NodeAction.CALL), ("st-2", NodeAction.REVIEW), ("st-1", NodeAction.TASK)]
    assert found.irreversible
    assert not planned(write(1)).irreversible


@pytest.mark.parametrize("state", [State.FAILED, State.COMPENSATED])
def test_what_has_no_effect_is_left_out(state: State) -> None:
    assert planned(write(1, state=state)).nodes == ()


@pytest.mark.parametrize("state", [State.UNKNOWN, State.IN_FLIGHT])
def test_what_is_not_known_is_found_out_before_anything_on_its_object(state: State) -> None:
    found = planned(write(1), write(2, before="v2", after=None, state=state), write(3, before="v3", after="v4"))
    assert ways(found) == [("st-2", NodeAction.PROBE), ("st-3", NodeAction.CALL), ("st-1", NodeAction.TASK)]
    assert found.nodes[1].after == ("st-2",)
    assert "not yet known whether another effect" in found.nodes[2].why


def test_two_effects_of_which_no_object_is_known_are_two_nodes() -> None:
    nowhere = Target("erp", "thing", "", "acme")
    found = planned(*(write(seq, "adjust", before=None, after=None, target=nowhere) for seq in (1, 2)))
    assert [node.after for node in found.nodes] == [(), ()]


def test_the_same_id_in_two_tenants_is_two_objects() -> None:
    assert len(planned(write(1), write(2, target=Target("erp", "thing", "o1", "other"))).nodes) == 2


def test_a_plan_made_again_continues_from_what_compensations_left() -> None:
    older, newer = write(1, "adjust"), write(2, "adjust", before="v2", after="v3", state=State.COMPENSATED)
    done = write(9, "adjust", before="v3", after="v4", rollback_id="rb_1")
    node = only(older, newer, done)
    assert (node.effects, node.guard, node.guard_follows) == (("kc-1",), "v4", None)
    assert only(older, newer).way is NodeAction.TASK


def test_what_was_compensated_without_success_is_not_compensated_again() -> None:
    done = write(9, "adjust", "elsewhere", None, "v1", "st-1", rollback_id="rb_1")
    other, node = planned(write(1, "adjust", before=None, after=None), write(2, id_="o2"), done).nodes
    assert (node.effects, node.way) == (("kc-1",), NodeAction.TASK)
    assert "earlier compensation" in node.why
    assert other.way is NodeAction.CALL


def test_a_compensation_of_unknown_outcome_is_found_out_before_another_one_is_made() -> None:
    lost = write(9, "ship", "elsewhere", None, None, "st-1", rollback_id="rb_1", state=State.UNKNOWN)
    found = planned(write(1, "adjust", before=None, after=None), lost)
    assert ways(found) == [("st-9", NodeAction.PROBE), ("st-1", NodeAction.CALL)]
    assert found.nodes[1].after == ("st-9",)
    assert not found.irreversible


# Between objects.


def test_dependents_go_first() -> None:
    found = planned(write(1, id_="a"), write(2, id_="b", parent_step="s1"), write(3, id_="c", parent_step="s2"))
    assert [(node.node_id, node.after) for node in found.nodes] == [("st-3", ()), ("st-2", ("st-3",)), ("st-1", ("st-2",))]


def test_dependents_go_first_through_steps_without_effects() -> None:
    reads = {("run_1", "r2"): ("run_1", "r1"), ("run_1", "r1"): ("run_1", "s1")}
    newer, older = planned(write(1, id_="a"), write(2, id_="b", parent_step="r2"), parents=reads).nodes
    assert older.after == (newer.node_id,)


def test_dependents_go_first_through_failed_and_unknown_effects() -> None:
    for state, between in ((State.FAILED, ()), (State.UNKNOWN, ("st-2",))):
        middle = write(2, id_="b", parent_step="s1", state=state)
        found = {node.node_id: node for node in planned(write(1, id_="a"), middle, write(3, id_="c", parent_step="s2")).nodes}
        assert set(found["st-1"].after) == {"st-3", *between}


def test_a_child_run_may_name_a_step_of_its_parent_run() -> None:
    child = write(2, id_="b", run_id="run_2", parent_step="s1")
    newer, older = planned(write(1, id_="a"), child).nodes
    assert (newer.run_id, older.after) == ("run_2", ("st-2",))
    ambiguous = write(3, id_="c", run_id="run_3", step="s1")
    assert all(not node.after for node in planned(write(1, id_="a"), child, ambiguous).nodes)


def test_a_step_that_follows_from_itself_hangs_nothing() -> None:
    circle = {("run_1", "r1"): ("run_1", "s1")}
    found = planned(write(1, id_="a", parent_step="r1"), write(2, id_="b", parent_step="r1"), parents=circle)
    assert [(node.node_id, node.after) for node in found.nodes] == [("st-2", ()), ("st-1", ("st-2",))]
    assert len(planned(write(1, id_="a", parent_step="s2"), write(2, id_="b", parent_step="s1")).nodes) == 2


def test_independent_effects_run_at_once_the_newest_first() -> None:
    found = planned(*(write(seq, id_=f"o{seq}") for seq in (1, 2, 3)))
    assert [node.node_id for node in ready(found, {})] == ["st-3", "st-2", "st-1"]


def test_a_declared_order_holds_against_time() -> None:
    undos = {**UNDOS, ("erp", "status"): replace(UNDOS["erp", "status"], after=("update",))}
    first, then = planned(write(1, id_="a"), write(2, "status", id_="b"), undos=undos).nodes
    assert (first.node_id, then.node_id, then.after) == ("st-1", "st-2", ("st-1",))


def test_in_a_cycle_the_newer_goes_first_and_the_other_reports_it() -> None:
    undos = {**UNDOS, ("erp", "status"): replace(UNDOS["erp", "status"], after=("update",))}
    newer, older = planned(write(1, id_="a"), write(2, "status", id_="b", parent_step="s1"), undos=undos).nodes
    assert (newer.node_id, newer.after, older.after) == ("st-2", (), ("st-2",))
    assert "should also follow st-1" in newer.why


def test_many_that_wait_for_many_do_so_through_a_join() -> None:
    above = [write(seq, id_=f"a{seq}", step="above") for seq in range(1, 21)]
    below = [write(seq, id_=f"b{seq}", step="below", parent_step="above") for seq in range(21, 41)]
    found = planned(*above, *below)
    assert found.joins == {"join:0": tuple(f"st-{seq}" for seq in range(21, 41))}
    states = {f"st-{seq}": NodeState.DONE for seq in range(22, 41)}
    assert [node.node_id for node in ready(found, states)] == ["st-21"]
    assert len(ready(found, {**states, "st-21": NodeState.TASK})) == 20


def test_the_order_in_which_effects_are_given_changes_nothing() -> None:
    effects = [write(seq, id_=f"o{seq % 3}", before=f"v{seq}", after=f"v{seq + 3}", parent_step=f"s{seq - 2}") for seq in range(1, 12)]
    assert planned(*effects) == planned(*reversed(effects))


def test_since_a_position_only_the_later_is_undone_in_other_streams_by_time() -> None:
    other = [write(seq, id_=f"x{seq}", intent=Position("other", seq), at=at) for seq, at in ((1, 1.5), (2, 2.5))]
    found = planned(*(write(seq, id_=f"o{seq}") for seq in (1, 2, 3)), *other, since=Position("st", 2))
    assert {node.node_id for node in found.nodes} == {"st-3", "other-2"}


# What may run, and what came of it.


@pytest.mark.parametrize("state", [NodeState.DONE, NodeState.NOTHING, NodeState.TASK, NodeState.FAILED])
def test_what_is_over_lets_the_next_continue(state: NodeState) -> None:
    found = planned(write(1, id_="a"), write(2, id_="b", parent_step="s1"))
    assert [node.node_id for node in ready(found, {"st-2": state})] == ["st-1"]


@pytest.mark.parametrize("state", [NodeState.RUNNING, NodeState.WAITING, NodeState.UNKNOWN, NodeState.STOPPED])
def test_what_is_not_over_holds_the_next(state: NodeState) -> None:
    found = planned(write(1, id_="a"), write(2, id_="b", parent_step="s1"))
    assert ready(found, {"st-2": state}) == []


@pytest.mark.parametrize(
    ("newer", "older", "ended"),
    [
        (NodeState.PENDING, NodeState.PENDING, RollbackStatus.RUNNING),
        (NodeState.RUNNING, NodeState.PENDING, RollbackStatus.RUNNING),
        (NodeState.TASK, NodeState.PENDING, RollbackStatus.RUNNING),
        (NodeState.WAITING, NodeState.PENDING, RollbackStatus.NEEDS_OPERATOR),
        (NodeState.UNKNOWN, NodeState.PENDING, RollbackStatus.NEEDS_OPERATOR),
        (NodeState.DONE, NodeState.WAITING, RollbackStatus.NEEDS_OPERATOR),
        (NodeState.STOPPED, NodeState.PENDING, RollbackStatus.STOPPED),
        (NodeState.DONE, NodeState.NOTHING, RollbackStatus.CLEAN),
        (NodeState.DONE, NodeState.TASK, RollbackStatus.RESIDUE),
        (NodeState.FAILED, NodeState.DONE, RollbackStatus.RESIDUE),
    ],
)
def test_what_came_of_it(newer: NodeState, older: NodeState, ended: RollbackStatus) -> None:
    found = planned(write(1, id_="a"), write(2, id_="b", parent_step="s1"))
    assert Schedule(found, {"st-2": newer, "st-1": older}).status is ended


def test_where_there_is_nothing_to_undo_all_is_clean() -> None:
    assert Schedule(planned(), {}).status is RollbackStatus.CLEAN


def test_a_long_chain_is_no_deep_recursion() -> None:
    chain = [write(seq, id_=f"o{seq}", parent_step=f"s{seq - 1}") for seq in range(1, 5001)]
    assert [node.node_id for node in planned(*chain).nodes] == [f"st-{seq}" for seq in range(5000, 0, -1)]


@pytest.mark.parametrize(
    ("status", "guarded", "way"), [(200, False, NodeAction.TASK), (200, True, NodeAction.CALL), (201, False, NodeAction.CALL)]
)
def test_a_put_that_may_have_replaced_what_a_read_did_not_show_is_a_persons(status: int, guarded: bool, way: NodeAction) -> None:
    node = only(write(1, "upsert", before=None, after="v1", status=status, guarded=guarded))
    assert node.way is way
    assert ("may have changed one" in node.why) is (way is NodeAction.TASK)


_READS_BOTH = expression.compile("join('', [snapshot.name, reply.body.name])")


@pytest.mark.parametrize(
    "more",
    [
        {"body": _READS_BOTH},
        {"attached": Attached(headers={"X-A": _READS_BOTH})},
        {"attached": Attached(query={"a": _READS_BOTH})},
        {"attached": Attached(content_type=_READS_BOTH)},
    ],
)
def test_what_any_part_of_a_compensation_is_made_of_must_have_been_kept(more: dict[str, Any]) -> None:
    undos = {**UNDOS, ("erp", "adjust"): undo(Remedy.OFFSETTING_ACTION, "adjust", **more)}
    assert only(write(1, "adjust"), undos=undos).way is NodeAction.CALL
    assert "the state before it was not stored" in only(write(1, "adjust", snapshot_ref=None), undos=undos).why
    assert "its reply is unknown, and the compensation needs it" in only(write(1, "adjust", reply_ref=None), undos=undos).why
