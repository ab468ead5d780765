from __future__ import annotations

import asyncio

import pytest

from gateway.core import tasks
from gateway.core.codec import record
from gateway.model.review import Task, TaskKind
from tests.support import journaling
from tests.support.control_api import Api
from tests.support.journaling import typed
from tests.support.rolled import NODE, ROLLBACK, written

TASK = Task(
    task_id="task_1",
    kind=TaskKind.OUTCOME_UNKNOWN,
    run_id="run_1",
    tenant="acme",
    wire_keys=(journaling.wire_key("lost"),),
    summary="Its outcome is unknown.",
    opened_at=1000.0,
)


@pytest.fixture
async def lost(at: Api) -> Api:
    """A write whose outcome it is unknown, and the task about it."""
    journal = at.parts.store.journal
    await journal.append(typed(journaling.entry("run", run=record.RUN.journal(journaling.RUN), change="opened", by="t", reason="t")))
    await journal.intend(journaling.opening("lost"))
    await journal.append(typed(journaling.outcome("lost", result="unknown")))
    await journal.append(typed(journaling.entry("task", task=record.TASK.journal(TASK), change="opened")))
    return at


async def test_a_task_is_listed_by_its_run(lost: Api) -> None:
    _, page = await lost.ask("GET", "/v1/tasks?run=run_1")
    assert [task["summary"] for task in page["items"]] == [TASK.summary]
    assert (await lost.ask("GET", "/v1/tasks?run=run_2"))[1]["items"] == []


@pytest.mark.parametrize(("resolution", "state"), [("applied", "standing"), ("not_applied", "failed")])
async def test_what_a_person_found_settles_the_write(lost: Api, resolution: str, state: str) -> None:
    status, task = await lost.ask("POST", "/v1/tasks/task_1/resolve", {"resolution": resolution, "note": "looked"}, as_="operator-token")
    assert (status, task["resolution"], task["note"], task["resolved_by"]) == (200, resolution, "looked", "operator")
    _, effects = await lost.ask("GET", "/v1/runs/run_1/effects")
    assert [one["state"] for one in effects["items"]] == [state]
    status, answer = await lost.ask("POST", "/v1/tasks/task_1/resolve", {"resolution": resolution, "note": "again"})
    assert (status, answer["code"]) == (409, "conflict")


@pytest.mark.parametrize("body", [{"resolution": "maybe", "note": "x"}, {"resolution": "applied"}, {"note": "x"}, {}])
async def test_a_resolution_is_a_word_and_a_note(lost: Api, body: dict[str, str]) -> None:
    status, answer = await lost.ask("POST", "/v1/tasks/task_1/resolve", body)
    assert (status, answer["code"]) == (400, "bad-request")


async def test_a_reason_stands_for_a_note(lost: Api) -> None:
    _, task = await lost.ask("POST", "/v1/tasks/task_1/resolve", {"resolution": "applied", "reason": "looked"})
    assert task["note"] == "looked"


async def test_an_unknown_task_is_not_found(lost: Api) -> None:
    assert (await lost.ask("POST", "/v1/tasks/task_9/resolve", {"resolution": "applied", "note": "x"}))[0] == 404


@pytest.fixture
async def handed(lost: Api) -> Api:
    """Beside the task about the lost write, a node that a rollback handed over."""
    task = tasks.of_node(ROLLBACK, NODE, [written(1)], why="it was changed since", seen='"v9"', at=1000.0)
    await lost.parts.services.tasks.open(task, tasks.Owner(workflow_id="wf_1", step_id="n1"))
    return lost


async def test_a_correction_shows_what_was_what_is_and_why(handed: Api) -> None:
    _, task = await handed.ask("GET", "/v1/tasks/task_rb_1_n1", as_="viewer-token")
    evidence = {"before": '"v1"', "after": '"v2"', "now": '"v9"', "entries": ["st_1/1", "st_1/2"], "why": "it was changed since"}
    assert (task["kind"], task["rollback_id"], task["node_id"], task["wire_keys"]) == ("correction", "rb_1", "n1", ["kc-1"])
    assert (task["target"], task["evidence"]) == (
        {"system": "erp", "type": "invoice", "id": "inv_1", "tenant": "acme", "tool": "erp"},
        evidence,
    )


async def test_a_node_is_handed_over_once(handed: Api) -> None:
    theirs = handed.parts.services.tasks
    await theirs.resolve("task_rb_1_n1", resolution="done", note="put back by hand", by="ops")
    again = await theirs.open(tasks.of_node(ROLLBACK, NODE, [written(1)], why="it is gone", seen="absent", at=1001.0), tasks.Owner())
    assert (again.resolution, again.note) == ("done", "put back by hand")
    _, page = await handed.ask("GET", "/v1/journal?kind=task")
    assert [one["change"] for one in page["items"]] == ["opened", "opened", "resolved"]


async def test_tasks_are_listed_by_kind_and_status(handed: Api) -> None:
    async def listed(query: str) -> list[str]:
        return [task["task_id"] for task in (await handed.ask("GET", f"/v1/tasks?{query}"))[1]["items"]]

    assert await listed("kind=correction") == ["task_rb_1_n1"]
    assert await listed("kind=review") == []
    await handed.ask("POST", "/v1/tasks/task_1/resolve", {"resolution": "applied", "note": "looked"})
    assert (await listed("status=open"), await listed("status=resolved")) == (["task_rb_1_n1"], ["task_1"])
    assert (await handed.ask("GET", "/v1/tasks?status=maybe"))[0] == 400


@pytest.mark.parametrize("resolution", ["done", "not_needed", "accepted"])
async def test_a_correction_is_closed_by_what_a_person_did(handed: Api, resolution: str) -> None:
    status, task = await handed.ask("POST", "/v1/tasks/task_rb_1_n1/resolve", {"resolution": resolution, "note": "x"})
    assert (status, task["resolution"], task["note"]) == (200, resolution, "x")


async def test_a_word_of_another_kind_is_refused_with_the_right_ones(handed: Api) -> None:
    status, answer = await handed.ask("POST", "/v1/tasks/task_rb_1_n1/resolve", {"resolution": "applied", "note": "x"})
    assert (status, answer["code"]) == (400, "bad-request")
    assert "done or not_needed or accepted" in answer["detail"]


async def test_of_two_who_close_a_task_at_once_one_gets_the_reason(lost: Api) -> None:
    asks = [lost.ask("POST", "/v1/tasks/task_1/resolve", {"resolution": one, "note": "x"}) for one in ("applied", "not_applied")]
    assert sorted(status for status, _ in await asyncio.gather(*asks)) == [200, 409]
    _, page = await lost.ask("GET", "/v1/journal?kind=reconciliation")
    assert len(page["items"]) == 1
