"""The fold, made anew from the entries alone."""

from __future__ import annotations

from pathlib import Path

import orjson

from gateway import errors
from gateway.core.journal import projection
from gateway.model.entry import Position
from gateway.stores.sqlite.database import FILE, Database
from gateway.stores.sqlite.projection.tables import Tables
from gateway.stores.sqlite.statements import WRITING

FOLDED = ("writes", "sightings", "counters", "members", "runs", "orders", "tasks", "incidents", "rollbacks", "approvals", "checkpoints")
_AT_ONCE = 512


def rebuild(data_dir: Path) -> int:
    """Empty the folded tables and fold every entry again, in one transaction; returns how many. No gateway may have the folder.

    Raises:
        Misconfigured: a gateway has the folder, or there is no journal in it.
    """
    if not (data_dir / FILE).exists():
        raise errors.Misconfigured([f"{data_dir}: there is no {FILE} to rebuild from; name the gateway's data_dir"])
    database = Database(data_dir, stream="")
    try:
        connection = database.writer
        connection.execute("BEGIN IMMEDIATE")
        for table in FOLDED:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
        tables, last, count = Tables(connection), 0, 0
        while rows := connection.execute(WRITING["all_entries"], (last, _AT_ONCE)).fetchall():
            for seq, line in rows:
                tables.apply(projection.changes(orjson.loads(line), Position(database.stream, seq)), seq)
            tables.flush()
            last, count = rows[-1][0], count + len(rows)
        connection.execute("COMMIT")
        return count
    finally:
        database.close()
