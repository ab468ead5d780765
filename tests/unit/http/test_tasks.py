from __future__ import annotations

import pytest

from gateway.core import records
from gateway.model.task import Task
from tests.support import journaling
from tests.support.operators_door import Door

TASK = Task(
    task_id="task_1",
    kind="outcome-unknown",
    run_id="run_1",
    tenant="acme",
    wire_key=journaling.wire_key("lost"),
    summary="It may or may not have been applied.",
    opened_at=1000.0,
)


@pytest.fixture
async def lost(at: Door) -> Door:
    """A write whose outcome nobody knows, and the task about it."""
    journal = at.parts.store.journal
    await journal.append(journaling.entry("run", run=records.run_entry(journaling.RUN), change="opened", by="t", reason="t"))
    await journal.intend(journaling.opening("lost"))
    await journal.append(journaling.outcome("lost", result="unknown"))
    await journal.append(journaling.entry("task", task=records.task_entry(TASK), change="opened"))
    return at


async def test_a_task_is_listed_by_its_run(lost: Door) -> None:
    _, page = await lost.ask("GET", "/v1/tasks?run=run_1")
    assert [task["summary"] for task in page["items"]] == [TASK.summary]
    assert (await lost.ask("GET", "/v1/tasks?run=run_2"))[1]["items"] == []


@pytest.mark.parametrize(("resolution", "state"), [("applied", "standing"), ("not_applied", "failed")])
async def test_what_a_person_found_settles_the_write(lost: Door, resolution: str, state: str) -> None:
    status, task = await lost.ask("POST", "/v1/tasks/task_1/resolve", {"resolution": resolution, "note": "looked"}, as_="operator-token")
    assert (status, task["resolution"], task["note"], task["resolved_by"]) == (200, resolution, "looked", "operator")
    _, effects = await lost.ask("GET", "/v1/runs/run_1/effects")
    assert [one["state"] for one in effects["items"]] == [state]
    status, answer = await lost.ask("POST", "/v1/tasks/task_1/resolve", {"resolution": resolution, "note": "again"})
    assert (status, answer["code"]) == (409, "conflict")


@pytest.mark.parametrize("body", [{"resolution": "maybe", "note": "x"}, {"resolution": "applied"}, {"note": "x"}, {}])
async def test_a_resolution_is_a_word_and_a_note(lost: Door, body: dict[str, str]) -> None:
    status, answer = await lost.ask("POST", "/v1/tasks/task_1/resolve", body)
    assert (status, answer["code"]) == (400, "bad-request")


async def test_a_reason_stands_for_a_note(lost: Door) -> None:
    _, task = await lost.ask("POST", "/v1/tasks/task_1/resolve", {"resolution": "applied", "reason": "looked"})
    assert task["note"] == "looked"


async def test_an_unknown_task_is_not_found(lost: Door) -> None:
    assert (await lost.ask("POST", "/v1/tasks/task_9/resolve", {"resolution": "applied", "note": "x"}))[0] == 404
