"""What cannot be done now: when it is tried next, what follows on it, and what is told of it."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.control.rollback.executor import BACKOFF
from gateway.core import timestamps
from gateway.core.rollback import progress
from gateway.core.rollback.progress import Schedule, Wait
from gateway.model.effect import State
from gateway.model.entries import RollbackEntry
from gateway.model.rollback import NodeOutcome, NodeState, Plan
from tests.support.rolled import NODE, written


def waited(
    known: Wait | None = None,
    state: NodeState = NodeState.WAITING,
    *,
    at: float = 100.0,
    asked: float = 0.0,
    since: float | None = None,
) -> Wait:
    outcome = NodeOutcome(state, "the tool is unavailable", pause=asked)
    return progress.next_wait(known, outcome, since, now=at, monotonic=at - 90.0, backoff=BACKOFF)


def test_each_pause_is_twice_as_long_as_the_one_before_up_to_a_bound() -> None:
    pauses, wait = [], waited()
    for _ in range(9):
        pauses.append(wait.due - 10.0)
        wait = waited(wait)
    assert [round(pause, 1) for pause in pauses] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, BACKOFF.longest, BACKOFF.longest]


def test_a_tool_is_asked_no_earlier_than_it_wants_within_reason() -> None:
    assert round(waited(asked=7.0).due - 10.0, 1) == 7.0
    assert round(waited(asked=86_400.0).due - 10.0, 1) == BACKOFF.most_asked


def test_how_long_it_waits_counts_from_the_first_try_whatever_it_waited_for() -> None:
    first = waited(at=100.0)
    then = waited(first, NodeState.UNKNOWN, at=130.0)
    assert (then.since, then.entered, then.tries) == (100.0, 130.0, 1)
    assert waited(then, NodeState.UNKNOWN, at=140.0).entered == 130.0


def test_anyone_who_continues_counts_from_when_another_began_to_wait_and_never_from_later() -> None:
    assert waited(since=40.0).since == 40.0
    assert waited(since=400.0).since == 100.0, "the clock was set back"


def test_what_was_postponed_comes_again_once_it_is_due_and_after_what_is_new() -> None:
    first, second, third = (replace(NODE, node_id=name) for name in ("n1", "n2", "n3"))
    schedule = Schedule(Plan((first, second, replace(third, after=("n1",)))), {})
    assert schedule.ready(0.0) == first
    schedule.postpone("n1", NodeState.WAITING, 5.0)
    assert schedule.ready(9.0) == second
    assert (schedule.ready(4.0), schedule.ready(), schedule.due(), schedule.states["n1"]) == (None, None, 5.0, NodeState.WAITING)
    assert schedule.ready(5.0) == first
    assert schedule.due() is None
    schedule.settle("n1", NodeState.DONE)
    assert [node.node_id for node in iter(schedule.ready, None)] == ["n3"]


def marked(state: str, since: str | None = None) -> RollbackEntry:
    return RollbackEntry(
        ts="", tenant="acme", run_id="run_1", change="node", node="n1", state=state, why="the tool is unavailable", since=since
    )


def test_what_waited_when_a_process_ended_is_tried_again_and_shown_as_waiting_until_then() -> None:
    mark = marked("waiting", since=timestamps.rfc3339(40.0))
    assert progress.wait_starts({"n1": mark, "n2": marked("task")}) == {"n1": 40.0}
    assert progress.node_states(Plan((NODE,)), [], {"n1": mark}, continuing=True) == {}
    assert progress.node_states(Plan((NODE,)), [], {"n1": mark}, continuing=False) == {"n1": NodeState.WAITING}


def test_of_what_was_done_after_all_nobody_says_that_its_tool_is_unavailable() -> None:
    mark = marked("waiting", since=timestamps.rfc3339(40.0))
    done = replace(written(1), step_id="n1", state=State.STANDING)
    states = progress.node_states(Plan((NODE,)), [done], {"n1": mark}, continuing=False)
    assert progress.current_mark(NODE, states, {"n1": mark}) is None
    assert progress.current_mark(NODE, {"n1": NodeState.WAITING}, {"n1": mark}) == mark
