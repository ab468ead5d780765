"""The journal's end, checked before anything is written behind it."""

from __future__ import annotations

import orjson

from gateway import errors
from gateway.core.journal import chain
from gateway.stores.sqlite.database import Database
from gateway.stores.sqlite.log.jobs import Tip
from gateway.stores.sqlite.statements import READING

CHECKED = 1000
"""How many of the newest entries are checked at every start; ``killcord journal verify`` checks all."""


def newest(database: Database) -> Tip:
    """The entry to go on from.

    Raises:
        Misconfigured: the newest entries do not link, or end below the newest signed head. Nothing is cut or mended.
    """
    rows = database.reader.execute(READING["tail"], (CHECKED + 1,)).fetchall()[::-1]
    whole = len(rows) <= CHECKED
    tip = Tip(0, chain.GENESIS, "") if whole else _tip(database, *rows[0])
    for seq, line in rows if whole else rows[1:]:
        tip = _linked(database, tip, seq, line)
    _covered(database, tip)
    return tip


def _linked(database: Database, before: Tip, seq: int, line: bytes) -> Tip:
    if seq != before.seq + 1:
        raise _broken(database, before.seq + 1, "the entry is missing")
    found = _tip(database, seq, line)
    fields = orjson.loads(line)
    del fields["hash"]
    if fields.pop("prev_hash") != before.hash:
        raise _broken(database, seq, "its prev_hash is not the hash of the entry before it")
    if chain.draft(fields).link(before.hash).line != line or fields["seq"] != seq or fields["stream"] != database.stream:
        raise _broken(database, seq, "it was changed: its hash does not cover it")
    return found


def _tip(database: Database, seq: int, line: bytes) -> Tip:
    try:
        fields = orjson.loads(line)
        return Tip(seq, fields["hash"], fields["ts"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as broken:
        raise _broken(database, seq, "it is no journal entry") from broken


def _covered(database: Database, tip: Tip) -> None:
    for stream, seq, *_ in database.reader.execute(READING["heads"]).fetchall():
        if stream == database.stream and seq > tip.seq:
            raise _broken(database, tip.seq + 1, f"a head was signed at seq {seq}, but the journal ends at {tip.seq}: its tail was cut")


def _broken(database: Database, seq: int, problem: str) -> errors.Misconfigured:
    look = f"look at it with 'killcord journal verify --file {database.path}'"
    advice = f"keep this file as evidence, {look}, and start on a restored copy or a new data_dir"
    return errors.Misconfigured([f"{database.path}: entry {database.stream}/{seq}: {problem}; {advice}"])
