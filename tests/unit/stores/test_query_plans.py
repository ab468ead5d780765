"""The queries that a rollback makes for each node use an index, so that its time does not grow with the square of its plan."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.stores.sqlite import database


@pytest.mark.parametrize(
    ("query", "arguments", "plan"),
    [
        ("compensations_of_node", ("rb_1", "node-1"), "SEARCH writes USING INDEX writes_by_rollback (rollback_id=? AND step_id=?)"),
        ("compensations", ("rb_1",), "SEARCH writes USING INDEX writes_by_rollback (rollback_id=?)"),
        ("entries_of_rollbacks", ("run_1",), "SEARCH entries USING INDEX entries_of_rollbacks (run_id=?)"),
        ("blobs", ('["sha256:a"]',), "SEARCH blobs USING INDEX sqlite_autoindex_blobs_1 (ref=?)"),
    ],
)
def test_a_node_is_looked_up_by_an_index(tmp_path: Path, query: str, arguments: tuple[str, ...], plan: str) -> None:
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    for _, script in database.migrations():
        connection.executescript(script)
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {database.READING[query]}", arguments)]
    assert plan in steps
    connection.close()


_NAME = {"name": "acme", "most": 500, "tenants": '["acme"]', "classes": '["default"]'}


@pytest.mark.parametrize(
    ("query", "arguments", "index"),
    [
        ("known_run", _NAME, "PRIMARY KEY (run_id=?)"),
        ("known_tenant", _NAME, "runs_by_tenant (tenant=?"),
        ("known_agent", _NAME, "runs_by_agent (agent_id=?"),
        ("known_class", _NAME, "runs_by_class (task_class=?"),
        ("near_tenants", _NAME, "runs_by_tenant (tenant<?)"),
        ("near_agents", _NAME, "runs_by_agent (agent_id<?)"),
        ("near_classes", _NAME, "runs_by_class (task_class<?)"),
        ("near_runs", _NAME, "PRIMARY KEY (run_id<?)"),
        ("open_runs", (1, "", 10), "runs_alive ((expires_at,run_id)>(?,?))"),
        ("open_counts", (1,), "incidents_open"),
        ("open_counts", (1,), "approvals_pending"),
        ("open_counts", (1,), "tasks_open"),
        ("open_counts", (1,), "rollbacks_waiting"),
        ("open_tasks", (1,), "tasks_open"),
        ("timed_approvals", (1,), "approvals_timed (expires_at>?)"),
        ("newest_triggers", (1,), "entries_by_kind (kind=?)"),
    ],
)
def test_what_an_order_or_a_scrape_asks_reads_no_table_from_end_to_end(tmp_path: Path, query: str, arguments: object, index: str) -> None:
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    for _, script in database.migrations():
        connection.executescript(script)
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {database.READING[query]}", arguments)]  # type: ignore[arg-type]
    assert any(index in step for step in steps), steps
    assert not [
        step for step in steps if step in ("SCAN runs", "SCAN tasks", "SCAN incidents", "SCAN approvals", "SCAN rollbacks", "SCAN entries")
    ]
    assert not any("TEMP B-TREE" in step for step in steps), steps
    connection.close()
