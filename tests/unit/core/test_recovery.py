"""Where a recovery stands: every stage, and that a journal that only grows never undoes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core import tasks
from gateway.core.incident.recovery import Recovery, RecoveryInputs, Stage, StateDefect, Step, current_rollback, reached, recovery
from gateway.core.rollback import checkpoints
from gateway.core.rollback.checkpoints import Chosen, NotReady
from gateway.model.effect import State
from gateway.model.rollback import Rollback, RollbackStatus
from gateway.model.trigger import RollbackState
from tests.support import journaling
from tests.support.incidents import INCIDENT
from tests.support.rolled import NODE, ROLLBACK, written

RUN = journaling.RUN
CHOSEN = Chosen(checkpoints.start("run_1", 1))
HELD = RecoveryInputs(incident=INCIDENT, run=RUN, contained=True, choice=CHOSEN, rollback=None)
TASK = tasks.of_object(ROLLBACK, NODE, (written(1),), why="it differs from its state before the run", seen='"v9"', at=5.0)
ORDER = (Stage.CONTAIN, Stage.COMPENSATE, Stage.COMPENSATING, Stage.WAITS, Stage.RESUME, Stage.RESUMED)


def rolled(status: RollbackStatus) -> Rollback:
    return replace(ROLLBACK, status=status)


def stage(given: RecoveryInputs) -> Stage:
    return recovery(given).stage


def test_an_active_run_is_contained_first_whatever_else_is_known() -> None:
    assert stage(replace(HELD, contained=False, rollback=rolled(RollbackStatus.CLEAN), choice=NotReady("no"))) is Stage.CONTAIN


def test_a_contained_run_is_compensated_to_the_checkpoint_that_was_chosen() -> None:
    assert recovery(HELD) == Recovery(Stage.COMPENSATE, "what was done after start is to be undone", "start", Step.COLLECT)
    assert stage(replace(HELD, rollback=rolled(RollbackStatus.RUNNING))) is Stage.COMPENSATING


def test_without_a_checkpoint_it_waits_and_says_why() -> None:
    now = recovery(replace(HELD, choice=NotReady("The run has no usable checkpoint.")))
    assert (now.stage, now.why) == (Stage.WAITS, "not ready for autonomous recovery: The run has no usable checkpoint.")
    assert [(one.what, one.how.partition(":")[0]) for one in now.waits] == [("checkpoint", "Name the checkpoint")]


def test_without_a_checkpoint_what_policy_said_is_compensated_first_and_what_is_under_way_is_waited_for() -> None:
    nowhere = replace(HELD, choice=NotReady("The run has no usable checkpoint."))
    due = replace(nowhere, incident=replace(INCIDENT, rollback=RollbackState.DUE))
    assert (recovery(due).stage, recovery(due).checkpoint) == (Stage.COMPENSATE, None)
    assert stage(replace(due, rollback=rolled(RollbackStatus.RUNNING))) is Stage.COMPENSATING
    waits = recovery(replace(due, rollback=rolled(RollbackStatus.NEEDS_OPERATOR), approvals=("apr_1",)))
    assert [one.what for one in waits.waits] == ["approval"]
    ended = recovery(replace(due, rollback=rolled(RollbackStatus.CLEAN)))
    assert [one.what for one in ended.waits] == ["checkpoint"]


@pytest.mark.parametrize("status", [RollbackStatus.NEEDS_OPERATOR, RollbackStatus.STOPPED])
def test_a_rollback_that_nobody_continues_waits_for_a_person(status: RollbackStatus) -> None:
    now = recovery(replace(HELD, rollback=rolled(status)))
    assert (now.stage, now.why) == (Stage.WAITS, f"rollback rb_1 is {status}: a person has to continue it")


@pytest.mark.parametrize("status", [RollbackStatus.CLEAN, RollbackStatus.RESIDUE])
def test_after_a_rollback_it_waits_for_tasks_then_for_whatever_hinders_then_for_a_sound_state(status: RollbackStatus) -> None:
    over = replace(HELD, rollback=rolled(status))
    waits = replace(over, tasks=("task_1", "task_2"), hindered="An ancestor is compensated.", unsound=(StateDefect("inv_1 differs"),))
    assert recovery(waits).why == "open tasks: task_1, task_2"
    assert [(one.what, one.name) for one in recovery(waits).waits] == [("task", "task_1"), ("task", "task_2")]
    assert recovery(replace(waits, tasks=())).why == "An ancestor is compensated."
    assert recovery(replace(waits, tasks=(), hindered=None)).why == "the state is not verified: inv_1 differs"
    assert stage(over) is Stage.RESUME


def test_a_run_that_continues_or_was_closed_is_over_whatever_else_is_known() -> None:
    resumed = replace(HELD, run=replace(RUN, generation=2), contained=False, choice=NotReady("no"))
    assert stage(resumed) is Stage.RESUMED
    assert stage(replace(HELD, run=replace(RUN, closed_at=5.0), contained=False)) is Stage.GIVEN_UP
    assert stage(replace(resumed, run=replace(RUN, generation=2, closed_at=5.0))) is Stage.RESUMED, "it continued, and ended by itself"


def test_a_rollback_that_leads_less_far_back_than_the_chosen_place_is_followed_by_one_that_does() -> None:
    over = replace(HELD, rollback=replace(rolled(RollbackStatus.CLEAN), since=9), reached=False)
    assert stage(over) is Stage.COMPENSATE
    assert stage(replace(over, rollback=rolled(RollbackStatus.RUNNING))) is Stage.COMPENSATING
    assert stage(replace(over, rollback=rolled(RollbackStatus.NEEDS_OPERATOR))) is Stage.WAITS
    assert stage(replace(over, reached=True)) is Stage.RESUME


SINCE = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(RollbackStatus)), max_size=5)


@given(SINCE, st.none() | st.integers(0, 9))
def test_what_is_under_way_counts_first_and_then_the_newest_rollback_that_leads_far_enough_back(
    begun: list[tuple[int, RollbackStatus]], place: int | None
) -> None:
    rollbacks = [replace(ROLLBACK, rollback_id=f"rb_{at}", since=since, status=status) for at, (since, status) in enumerate(begun)]
    found = current_rollback(rollbacks, place)
    under_way = [one for one in rollbacks if not one.status.ended]
    enough = [one for one in rollbacks if place is not None and one.since <= place]
    wanted = under_way or enough or rollbacks
    assert found == (wanted[-1] if wanted else None)


@given(st.lists(st.sampled_from(State), max_size=8), st.integers(0, 20), st.integers(0, 20))
def test_a_rollback_reaches_a_place_unless_it_leaves_an_effect_from_after_it_alone(states: list[State], since: int, place: int) -> None:
    writes = [replace(written(2 * at + 1), state=state) for at, state in enumerate(states)]
    left = [one for one in writes if one.state not in (State.FAILED, State.COMPENSATED) and place < one.intent.seq <= since]
    assert reached(replace(ROLLBACK, since=since), place, writes) is (not left)
    assert reached(replace(ROLLBACK, since=since), place, [replace(one, rollback_id="rb_0") for one in writes])
    if since <= place:
        assert reached(replace(ROLLBACK, since=since), place, writes)


def test_every_wait_says_how_to_continue_and_the_flow_shows_where_it_stands() -> None:
    asked = replace(HELD, rollback=rolled(RollbackStatus.NEEDS_OPERATOR), approvals=("apr_1",), tasks=("task_1",))
    now = recovery(asked)
    assert [(one.what, one.name) for one in now.waits] == [("approval", "apr_1"), ("task", "task_1")]
    assert all(one.name and one.name in one.how for one in now.waits)
    assert list(now.flow.values()) == ["done", "done", "done", "waits", "ahead", "ahead"]
    (stopped,) = recovery(replace(HELD, rollback=rolled(RollbackStatus.STOPPED))).waits
    assert stopped.how == "Continue it: killcord rollbacks continue rb_1."
    unsound = recovery(replace(HELD, rollback=rolled(RollbackStatus.CLEAN), unsound=(StateDefect("a", TASK), StateDefect("b"))))
    assert [(one.what, one.name) for one in unsound.waits] == [("task", TASK.task_id), ("state", None)]
    assert unsound.flow[Step.RECONCILE] == "waits"
    assert unsound.tasks == (TASK,)
    resumed = recovery(replace(HELD, run=replace(RUN, generation=2)))
    assert set(resumed.flow.values()) == {"done"}
    assert recovery(replace(HELD, run=replace(RUN, closed_at=5.0))).flow == {}


def grown(given: RecoveryInputs, turns: list[int]) -> Iterator[RecoveryInputs]:
    """A situation, and what it becomes by each next thing that the journal may tell while nobody acts but the gateway."""
    yield given
    for turn in turns:
        now = stage(given)
        match now:
            case Stage.CONTAIN:
                given = replace(given, contained=True)
            case Stage.COMPENSATE:
                given = replace(given, rollback=rolled(RollbackStatus.RUNNING))
            case Stage.COMPENSATING if given.rollback is not None:
                ends = (RollbackStatus.CLEAN, RollbackStatus.RESIDUE, RollbackStatus.NEEDS_OPERATOR)
                given = replace(given, rollback=rolled(ends[turn % 3]), tasks=("task_1",) if turn % 3 else ())
            case Stage.WAITS if given.tasks:
                given = replace(given, tasks=given.tasks[1:])
            case Stage.RESUME:
                given = replace(given, run=replace(given.run, generation=2), contained=False)
        yield given


@given(st.lists(st.integers(0, 5), max_size=12), st.booleans(), st.booleans())
def test_a_journal_that_only_grows_only_takes_it_forward(turns: list[int], contained: bool, sound: bool) -> None:
    begun = replace(HELD, contained=contained, unsound=() if sound else (StateDefect("inv_1 differs"),))
    places = [ORDER.index(stage(one)) for one in grown(begun, turns)]
    assert places == sorted(places)
