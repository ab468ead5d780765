"""A journal whose file was taken away, whose entries were filed otherwise, or whose history was changed where no start looks."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from gateway import errors
from gateway.app import journal_inspection
from gateway.app.anchor import Anchor
from gateway.clients.clock import SystemClock
from gateway.clients.keys.signing import open_head_key
from gateway.stores.sqlite.log.opening import Expected
from gateway.stores.sqlite.rebuilding import rebuild
from gateway.stores.sqlite.store import SqliteStore, open_store
from tests.support import journaling as make
from tests.support.journal_files import database
from tests.support.journaling import typed

KEY = b"k" * 32


async def opened(folder: Path, *, accept: bool = False) -> SqliteStore:
    signer, anchor = open_head_key(folder / "keys"), folder / "heads"
    expected = Expected(
        key=KEY,
        anchored=Anchor(anchor, lambda *_, **__: None).heads,
        elsewhere=Anchor(anchor, lambda *_, **__: None).elsewhere,
        signed=signer.signed,
        accept=accept,
    )
    return await open_store(folder / "var", SystemClock(), expected)


async def with_entries(folder: Path, count: int) -> None:
    """A journal, and a head over it in its anchor."""
    store = await opened(folder)
    for number in range(count):
        await store.journal.append(typed(make.read(f"inv_{number}")))
    tail = await store.history.tail()
    note = open_head_key(folder / "keys").sign(tail.stream, tail.seq, tail.hash, tail.ts)
    assert Anchor(folder / "heads", lambda *_, **__: None).append(type(tail)(tail.stream, tail.seq, tail.hash, tail.ts, note))
    await store.close()


def without_journal(folder: Path) -> None:
    for file in (folder / "var").glob("journal.sqlite*"):
        file.unlink()


async def test_an_empty_file_in_the_place_of_a_journal_stops_the_start(tmp_path: Path) -> None:
    await with_entries(tmp_path, 5)
    without_journal(tmp_path)
    with pytest.raises(errors.Misconfigured, match=r"it is empty, but this node signed heads of another journal, up to st_\w+/5"):
        await opened(tmp_path)
    store = await opened(tmp_path, accept=True)
    assert len(store.mismatches.own) == 1
    await store.close()


async def test_heads_of_other_nodes_in_a_shared_anchor_stop_no_start(tmp_path: Path) -> None:
    await with_entries(tmp_path / "one", 5)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "heads").symlink_to(tmp_path / "one" / "heads")
    store = await opened(tmp_path / "two")
    await store.close()


@pytest.mark.parametrize("change", ["run_id = NULL", "kind = 'order'", "tenant = 'globex'"])
async def test_an_entry_that_is_filed_otherwise_is_found_and_filed_again(tmp_path: Path, change: str) -> None:
    await with_entries(tmp_path, 5)
    with closing(database(tmp_path / "var")) as connection:
        connection.execute(f"UPDATE entries SET {change} WHERE seq = 3")
    assert journal_inspection.problems(tmp_path / "var") == ["projection entries (seq=3): another kind, run or tenant than its line has"]
    rebuild(tmp_path / "var")
    assert journal_inspection.problems(tmp_path / "var") == []


async def test_an_entry_that_is_missing_in_the_middle_stops_the_start(tmp_path: Path) -> None:
    await with_entries(tmp_path, 1500)
    with closing(database(tmp_path / "var")) as connection:
        connection.execute("DELETE FROM entries WHERE seq = 100")
    with pytest.raises(errors.Misconfigured, match="/1500: it is the newest of 1499 entries, so 1 are missing before it"):
        await opened(tmp_path)


async def test_tables_that_follow_from_changed_entries_prove_nothing(tmp_path: Path) -> None:
    await with_entries(tmp_path, 1500)
    with closing(database(tmp_path / "var")) as connection:
        connection.execute("UPDATE entries SET line = CAST(replace(line, 'inv_9', 'inv_8') AS BLOB) WHERE seq = 10")
        connection.execute("UPDATE entries SET state = NULL")
    with pytest.raises(errors.Misconfigured, match="/10: hash does not cover the entry"):
        await opened(tmp_path)
