"""What the store remembers of keys never hides one: a no is certain."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.stores.sqlite.projection import KnownKeys


@contextmanager
def table(*keys: tuple[str, str, str]) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE writes (tenant TEXT, workflow_id TEXT, key_digest TEXT, key_own TEXT)")
        connection.execute("CREATE TABLE named_keys (tenant TEXT, workflow_id TEXT, key_own TEXT)")
        connection.executemany("INSERT INTO writes VALUES (?, ?, ?, NULL)", keys)
        yield connection
    finally:
        connection.close()


def test_a_key_on_disk_or_handed_in_is_never_said_to_be_new() -> None:
    with table(("acme", "w", "aa"), ("globex", "w", "bb")) as connection:
        known = KnownKeys(connection)
        assert known.maybe("acme", "w", "aa")
        assert not known.maybe("acme", "w", "bb"), "another tenant's key of the same name is another key"
        known.note("acme", "w", "cc")
        assert known.maybe("acme", "w", "cc")


def test_a_key_that_an_equal_call_answered_is_known() -> None:
    with table(("acme", "w", "aa")) as connection:
        connection.execute("INSERT INTO named_keys VALUES ('acme', 'w', 'bb')")
        assert KnownKeys(connection).maybe("acme", "w", "bb")


def test_a_workflow_too_large_to_remember_is_always_looked_up() -> None:
    with table(*[("acme", "w", f"{n:04x}") for n in range(10)]) as connection:
        assert KnownKeys(connection, bound=8).maybe("acme", "w", "ffff")


def test_what_was_forgotten_is_loaded_again() -> None:
    with table(("acme", "w1", "aa")) as connection:
        known = KnownKeys(connection, bound=8)
        assert known.maybe("acme", "w1", "aa")
        for n in range(9):
            known.maybe("acme", f"other-{n}", "00")
            known.note("acme", f"other-{n}", f"{n:04x}")
        connection.execute("INSERT INTO writes VALUES ('acme', 'w1', 'dd', NULL)")
        assert known.maybe("acme", "w1", "dd"), "it was forgotten, and so is read again"
        assert known.maybe("acme", "w1", "aa")
