"""Where a recovery stands: every stage, and that a journal that only grows never takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import checkpoints
from gateway.core.checkpoints import Chosen, NotReady
from gateway.core.recovery import Recovery, Situation, Stage, recovery
from gateway.model.rollback import Rollback, RollbackStatus
from tests.support import journaling
from tests.support.incidents import INCIDENT
from tests.support.rolled import ROLLBACK

RUN = journaling.RUN
CHOSEN = Chosen(checkpoints.start("run_1", 1))
HELD = Situation(incident=INCIDENT, run=RUN, contained=True, choice=CHOSEN, rollback=None)
ORDER = (Stage.CONTAIN, Stage.COMPENSATE, Stage.COMPENSATING, Stage.WAITS, Stage.RESUME, Stage.RESUMED)


def rolled(status: RollbackStatus) -> Rollback:
    return replace(ROLLBACK, status=status)


def stage(given: Situation) -> Stage:
    return recovery(given).stage


def test_an_active_run_is_contained_first_whatever_else_is_known() -> None:
    assert stage(replace(HELD, contained=False, rollback=rolled(RollbackStatus.CLEAN), choice=NotReady("no"))) is Stage.CONTAIN


def test_a_contained_run_is_taken_back_to_the_checkpoint_that_was_chosen() -> None:
    assert recovery(HELD) == Recovery(Stage.COMPENSATE, "what was done after start is to be taken back", "start")
    assert stage(replace(HELD, rollback=rolled(RollbackStatus.RUNNING))) is Stage.COMPENSATING


def test_without_a_checkpoint_it_waits_and_says_why() -> None:
    now = recovery(replace(HELD, choice=NotReady("The run has no verified boundary.")))
    assert now == Recovery(Stage.WAITS, "not ready for autonomous recovery: The run has no verified boundary.")


@pytest.mark.parametrize("status", [RollbackStatus.NEEDS_OPERATOR, RollbackStatus.STOPPED])
def test_a_rollback_that_nobody_goes_on_with_waits_for_a_person(status: RollbackStatus) -> None:
    now = recovery(replace(HELD, rollback=rolled(status)))
    assert (now.stage, now.why) == (Stage.WAITS, f"rollback rb_1 is {status}: a person has to go on with it")


@pytest.mark.parametrize("status", [RollbackStatus.CLEAN, RollbackStatus.RESIDUE])
def test_after_a_rollback_it_waits_for_tasks_then_for_whatever_hinders_then_for_a_sound_state(status: RollbackStatus) -> None:
    over = replace(HELD, rollback=rolled(status))
    waits = replace(over, tasks=("task_1", "task_2"), hindered="An ancestor is taken back.", unsound=("inv_1 differs",))
    assert recovery(waits) == Recovery(Stage.WAITS, "open tasks: task_1, task_2", "start")
    assert recovery(replace(waits, tasks=())).why == "An ancestor is taken back."
    assert recovery(replace(waits, tasks=(), hindered=None)).why == "the state is not sound: inv_1 differs"
    assert stage(over) is Stage.RESUME


def test_a_run_that_goes_on_or_was_closed_is_over_whatever_else_is_known() -> None:
    resumed = replace(HELD, run=replace(RUN, generation=2), contained=False, choice=NotReady("no"))
    assert stage(resumed) is Stage.RESUMED
    assert stage(replace(HELD, run=replace(RUN, closed_at=5.0), contained=False)) is Stage.GIVEN_UP
    assert stage(replace(resumed, run=replace(RUN, generation=2, closed_at=5.0))) is Stage.RESUMED, "it went on, and ended by itself"


def grown(given: Situation, turns: list[int]) -> Iterator[Situation]:
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
    begun = replace(HELD, contained=contained, unsound=() if sound else ("inv_1 differs",))
    places = [ORDER.index(stage(one)) for one in grown(begun, turns)]
    assert places == sorted(places)
