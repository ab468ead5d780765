"""Rows are written in as few statements as can be, and all of them, in order."""

from __future__ import annotations

import sqlite3

import pytest

from gateway.stores.sqlite import database


@pytest.mark.parametrize(("count", "statements"), [(0, 0), (1, 1), (2, 1), (16, 1), (17, 2), (128, 1), (129, 2), (150, 3), (300, 5)])
def test_every_row_is_written_once_and_in_order(count: int, statements: int) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE members (scope, name, member)")
    run: list[str] = []
    connection.set_trace_callback(run.append)
    rows = [("run:r", "tenants", f"t{number}") for number in range(count)]

    database.put(connection, "keep_members", rows)

    connection.set_trace_callback(None)
    assert len([one for one in run if one.startswith("INSERT")]) == statements
    assert connection.execute("SELECT scope, name, member FROM members ORDER BY rowid").fetchall() == rows
