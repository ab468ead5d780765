"""A journal whose files were harmed, cut, or taken already: what stops a start, and what is kept."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from gateway import errors
from gateway.clients.keys.signing import open_head_key
from gateway.core.journal import chain
from gateway.model.entry import Head
from gateway.stores.sqlite.reprojection import rebuild
from tests.support import journaling as make
from tests.support.journal_files import assert_rebuilt_alike, child, database, lines, opened
from tests.support.journaling import typed


async def test_a_torn_tail_of_the_write_ahead_log_costs_only_what_it_tore(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    store = await opened(data_dir)
    for number in range(50):
        await store.journal.append(typed(make.read(f"inv_{number}")))
    for cut in (1, 5000, 20_000):
        torn = tmp_path / f"torn_{cut}"
        shutil.copytree(data_dir, torn)  # as the disk is at this moment, without a checkpoint
        with open(torn / "journal.sqlite-wal", "r+b") as wal:
            wal.truncate(os.path.getsize(torn / "journal.sqlite-wal") - cut)
        (torn / "journal.sqlite-shm").unlink()
        reopened = await opened(torn)
        journal = await lines(reopened)
        assert 0 < len(journal) < 50
        assert chain.verify(journal).finding is None
        assert journal == (await lines(store))[: len(journal)]
        await reopened.close()
        assert_rebuilt_alike(torn)
    await store.close()


async def journal_of(data_dir: Path, count: int) -> str:
    store = await opened(data_dir)
    for number in range(count):
        await store.journal.append(typed(make.read(f"inv_{number}")))
    await store.close()
    return store.journal.stream


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("UPDATE entries SET line = replace(line, 'inv_8', 'inv_9') WHERE seq = 9", "/9: it was changed"),
        ("DELETE FROM entries WHERE seq = 5", "/5: the entry is missing"),
        ("UPDATE entries SET line = x'00' WHERE seq = 20", "/20: it is not a journal entry"),
        ("UPDATE entries SET line = (SELECT line FROM entries WHERE seq = 7) WHERE seq = 8", "/8: its prev_hash is not"),
    ],
)
async def test_a_damaged_end_stops_the_start_and_nothing_is_cut(tmp_path: Path, damage: str, named: str) -> None:
    stream = await journal_of(tmp_path, 20)
    with closing(database(tmp_path)) as connection:
        connection.execute(damage)
        left = connection.execute("SELECT count(*) FROM entries").fetchone()
    with pytest.raises(errors.Misconfigured, match=f"{stream}{named}"):
        await opened(tmp_path)
    with closing(database(tmp_path)) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == left


async def test_a_tail_cut_below_a_signed_head_stops_the_start(tmp_path: Path) -> None:
    store = await opened(tmp_path / "var")
    for number in range(20):
        await store.journal.append(typed(make.read(f"inv_{number}")))
    tail = await store.history.tail()
    signed = open_head_key(tmp_path / "keys").sign(tail.stream, tail.seq, tail.hash, tail.ts)
    await store.history.keep_head(Head(tail.stream, tail.seq, tail.hash, tail.ts, signed))
    await store.close()
    with closing(database(tmp_path / "var")) as connection:
        connection.execute("DELETE FROM entries WHERE seq > 17")
    with pytest.raises(errors.Misconfigured, match=r"/18: a head was signed at seq 20 on .*, but the journal ends at 17"):
        await opened(tmp_path / "var")


async def test_a_long_journal_is_checked_at_its_end(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for number in range(2500):
        store.journal.post(typed(make.read(f"inv_{number}")))
    await store.close()
    store = await opened(tmp_path)
    assert (await store.journal.append(typed(make.read()))).seq == 2501
    await store.close()
    with closing(database(tmp_path)) as connection:
        connection.execute("UPDATE entries SET line = replace(line, 'acme', 'evil') WHERE seq = 2000")
    with pytest.raises(errors.Misconfigured, match="/2000: it was changed"):
        await opened(tmp_path)


async def test_a_file_that_is_no_database_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(errors.Misconfigured, match=r"journal\.sqlite: the journal cannot be opened"):
        await opened(tmp_path)


async def test_a_journal_of_a_newer_killcord_is_not_touched(tmp_path: Path) -> None:
    await journal_of(tmp_path, 1)
    with closing(database(tmp_path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(errors.Misconfigured, match="upgrade killcord"):
        await opened(tmp_path)


async def test_a_second_process_is_turned_away_while_the_first_has_the_folder(tmp_path: Path) -> None:
    with child(tmp_path, "hold") as process:
        with pytest.raises(errors.Misconfigured, match="another killcord process uses this data_dir"):
            await opened(tmp_path)
        with pytest.raises(errors.Misconfigured, match="another killcord process"):
            rebuild(tmp_path)
        process.kill()
        process.wait()
    store = await opened(tmp_path)
    with pytest.raises(errors.Misconfigured, match="another killcord process"):
        await opened(tmp_path)
    await store.close()


async def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    store = await opened(data_dir)
    await store.journal.append(typed(make.read()))
    assert data_dir.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in data_dir.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert "journal.sqlite-wal" in modes
    await store.close()
