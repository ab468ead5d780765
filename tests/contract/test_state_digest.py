"""The digest that the writer keeps is the digest of the tables that it wrote, whatever happened to them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from gateway.model.effect import Charge
from gateway.stores.sqlite import state_digest
from tests.support import journaling as make
from tests.support.journal_files import database, opened
from tests.support.journaling import typed

KEY = b"k" * 32


def assert_proven(data_dir: Path) -> None:
    """The MAC at the newest entry is that of the tables as they are on disk: a start need not project the entries."""
    with closing(database(data_dir)) as connection:
        (stream,) = connection.execute("SELECT value FROM meta WHERE name = 'stream'").fetchone()
        seq, chain_hash, kept = connection.execute(
            "SELECT seq, json_extract(CAST(line AS TEXT), '$.hash'), state FROM entries ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        assert kept == state_digest.mac(KEY, stream, seq, chain_hash, state_digest.scan(connection, KEY))


async def test_writes_of_every_outcome_are_in_it(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    charges = (Charge("run:run_1", "writes", 1, 10), Charge("run:run_1", "objects", 1, 10, member="inv_1"))
    for number, result in enumerate(["success", "failed", "unknown", "unknown"]):
        await store.journal.intend(make.opening(f"w{number}", charges=charges))
        await store.journal.append(typed(make.outcome(f"w{number}", result=result)))
        assert_proven(tmp_path)
    await store.journal.append(typed(make.reconciliation("w2")))
    assert_proven(tmp_path)
    await store.journal.intend(make.opening("left"))
    await store.close()
    assert_proven(tmp_path)
    store = await opened(tmp_path)
    await store.journal.append(typed(make.outcome("left")))
    await store.journal.append(typed(make.reconciliation("w3", result="failed")))
    await store.close()
    assert_proven(tmp_path)
