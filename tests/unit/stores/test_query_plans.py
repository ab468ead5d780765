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
