"""Tasks: worded for a person, found again by a stable id, closed by the words of their kind."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.core import tasks
from gateway.core.tasks import AlreadyResolved, WrongResolution
from gateway.model.review import Evidence, Resolution, TaskKind
from gateway.model.rollback import NodeAction
from tests.support.rolled import NODE, ROLLBACK, written


def test_a_node_becomes_one_task_whatever_is_seen_later() -> None:
    first = tasks.of_node(ROLLBACK, NODE, [written(1)], why="it was changed since", seen='"v9"', at=1.0)
    again = tasks.of_node(ROLLBACK, NODE, [written(1)], why="it is gone", seen="absent", at=2.0)
    assert first.task_id == again.task_id == tasks.node_task_id("rb_1", "n1") == "task_rb_1_n1"
    assert (first.rollback_id, first.node_id, first.run_id, first.target) == ("rb_1", "n1", "run_1", NODE.target)


def test_the_evidence_spans_the_effects() -> None:
    effects = [replace(written(1), before_version='"v1"'), replace(written(3), before_version='"v2"', after_version='"v3"')]
    found = tasks.of_node(ROLLBACK, NODE, effects, why="it was changed since", seen='"v9"', at=1.0).evidence
    assert found == Evidence('"v1"', '"v3"', '"v9"', ("st_1/1", "st_1/2", "st_1/3", "st_1/4"), "it was changed since")


def test_what_was_made_was_absent_before_and_what_was_removed_is_absent_after() -> None:
    made, removed = replace(written(1), before_version=None, existed=False), replace(written(3), method="DELETE", after_version=None)
    found = tasks.of_node(ROLLBACK, NODE, [made, removed], why="no", seen=None, at=1.0).evidence
    assert found is not None
    assert (found.before, found.after, found.now) == ("absent", "absent", None)


def test_the_evidence_of_very_many_effects_is_their_beginning_and_their_end() -> None:
    effects = [written(seq) for seq in range(1, 2001, 2)]
    found = tasks.of_node(ROLLBACK, NODE, effects, why="no", seen=None, at=1.0).evidence
    assert found is not None
    assert (len(found.entries), found.entries[0], found.entries[-1]) == (40, "st_1/1", "st_1/2000")


def test_what_cannot_be_undone_is_a_review_and_never_called_a_correction() -> None:
    task = tasks.of_node(ROLLBACK, replace(NODE, way=NodeAction.REVIEW), [written(1)], why="an e-mail was sent.", seen=None, at=1.0)
    assert task.kind is TaskKind.REVIEW
    assert task.summary.startswith("invoice.update on erp:invoice:inv_1 stands. An e-mail was sent. Check its")


@pytest.mark.parametrize("way", [NodeAction.TASK, NodeAction.CALL, NodeAction.PROBE])
def test_what_could_not_be_undone_by_a_call_is_a_correction(way: NodeAction) -> None:
    task = tasks.of_node(ROLLBACK, replace(NODE, way=way), [written(1)], why="it was changed since", seen=None, at=1.0)
    assert (task.kind, "was not undone. It was changed since. Compare" in task.summary) == (TaskKind.CORRECTION, True)


def test_each_kind_has_words_of_its_own() -> None:
    correction = tasks.of_node(ROLLBACK, NODE, [written(1)], why="no", seen=None, at=1.0)
    unknown = tasks.outcome_unknown([written(1)], why="it has no probe", seen=None, at=1.0)
    for task, right, wrong in ((correction, "accepted", "applied"), (unknown, "not_applied", "done")):
        closed = tasks.resolved(task, tasks.closing(task, right), note="looked", by="ops", at=5.0)
        assert (closed.resolution, closed.note, closed.resolved_by, closed.resolved_at) == (Resolution(right), "looked", "ops", 5.0)
        with pytest.raises(WrongResolution, match=f"resolved as .* not as '{wrong}'"):
            tasks.closing(task, wrong)
        with pytest.raises(AlreadyResolved, match=f"was resolved as {right} by ops"):
            tasks.closing(closed, right)


def test_an_entry_holds_the_task_and_whose_it_is() -> None:
    task = tasks.outcome_unknown([written(1)], why="it has no probe", seen=None, at=1.0)
    entry = tasks.entry(task, tasks.Owner(workflow_id="wf_1", step_id="s1"))
    assert (entry.kind, entry.change, entry.run_id, entry.workflow_id) == ("task", "opened", "run_1", "wf_1")
    assert entry.task == task
    closed = tasks.entry(tasks.resolved(task, Resolution.APPLIED, note="looked", by="ops", at=2.0))
    assert (closed.change, closed.by, closed.reason) == ("resolved", "ops", "looked")
