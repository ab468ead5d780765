"""What a journal is held against before anything is decided by it: signed heads, the stream that the folder had, and its projections."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
from msgspec import Struct
from msgspec.structs import replace

from gateway import errors
from gateway.core.codec import entry as codec
from gateway.core.journal import heads
from gateway.core.journal.heads import HashAt, Mismatches
from gateway.model.entry import Head, Kind, StoreEntry
from gateway.ports.journal import Query
from gateway.stores.sqlite import database, state_digest
from gateway.stores.sqlite.database import READING, WRITING, Database
from gateway.stores.sqlite.log.history import newest
from gateway.stores.sqlite.log.writer import Tip
from gateway.stores.sqlite.rebuilding import Progress, TableFinding, differences
from gateway.stores.sqlite.state_digest import StateDigest


class Expected(Struct, frozen=True):
    """What a journal is held against. ``key`` (up to 64 bytes) proves its tables. ``anchored`` gives the heads of a stream that are kept
    outside the store, ``elsewhere`` the newest ones of all other streams there, ``signed`` returns whether this node's key signed one.
    ``accept``: start although heads do not match. ``progress`` is called while all entries are projected.
    """

    key: bytes
    anchored: Callable[[str], Sequence[Head]] = lambda _: ()
    elsewhere: Callable[[str], Sequence[Head]] = lambda _: ()
    signed: Callable[[Head], bool] = lambda _: True
    accept: bool = False
    progress: Progress = lambda _: None


def check_heads(opened: Database, tip: Tip, expected: Expected) -> Mismatches:
    """The heads that do not match.

    Raises:
        Misconfigured: this node signed one of them, no acceptance excuses it, and none is asked for.
    """
    stored = [Head(*row) for row in opened.reader.execute(READING["heads"]).fetchall() if row[0] == opened.stream]
    anchored = expected.anchored(opened.stream)
    found = heads.compare([*stored, *anchored], acceptances(opened.reader), hash_at(opened.reader), expected.signed)
    if tip.seq == 0 and (lost := [head for head in expected.elsewhere(opened.stream) if expected.signed(head)]):
        # An empty journal, and heads of another one that this node signed: the file was removed or replaced.
        found = Mismatches(own=tuple(lost))
    newest = max(stored, key=lambda head: head.seq, default=None)
    if newest is not None and not any(head.seq >= newest.seq for head in anchored):
        found = replace(found, unanchored=newest)
    if found.own and not expected.accept:
        raise _contradicted(opened, tip, found.own)
    return found


def check_tables(opened: Database, tip: Tip, expected: Expected) -> StateDigest:
    """The digest to continue from. Where the tip's MAC does not prove the tables, they are compared with all entries; then it is written.

    So a MAC that is absent (an earlier version's journal) or does not match (a column that a migration added) costs time once, and a MAC
    that was removed hides nothing.

    Raises:
        Misconfigured: a table is not what the entries give.
    """
    key = expected.key
    digest = state_digest.scan(opened.reader, key)
    proof = state_digest.mac(key, opened.stream, tip.seq, tip.hash, digest)
    row = opened.reader.execute(READING["state"], (tip.seq,)).fetchone()
    if tip.seq == 0 and digest == 0:
        return StateDigest(opened.writer, key, digest)
    if not state_digest.matches(None if row is None else row[0], proof):
        if found := differences(opened.reader, expected.progress):
            raise _differ(opened, found)
        opened.writer.execute(WRITING["keep_state"], (proof, tip.seq))
    return StateDigest(opened.writer, key, digest)


def check_heads_of(data_dir: Path, expected: Expected) -> None:
    """Check the end and the heads of a journal that no gateway has open.

    Raises:
        Misconfigured: as for :func:`check_heads`, or another process has the folder.
    """
    opened = Database(data_dir, stream="")
    try:
        check_heads(opened, newest(opened), expected)
    finally:
        opened.close()


def differing(data_dir: Path) -> list[str]:
    """The projections that differ from what the entries give. No gateway may have the folder."""
    opened = Database(data_dir, stream="")
    try:
        return [found.table for found in differences(opened.reader)]
    finally:
        opened.close()


def acceptances(reader: sqlite3.Connection) -> list[StoreEntry]:
    """The entries in which operators accepted an older journal."""
    found = map(codec.decode, database.entries(reader, Query(kind=Kind.STORE, limit=None)))
    return [one for one in found if isinstance(one, StoreEntry) and one.change == "accepted"]


def hash_at(reader: sqlite3.Connection) -> HashAt:
    @functools.lru_cache(maxsize=4096)
    def find(seq: int) -> str | None:
        row = reader.execute(READING["entry"], (seq,)).fetchone()
        try:
            return None if row is None else str(orjson.loads(row[0])["hash"])
        except (ValueError, KeyError, TypeError):
            return None

    return find


def _contradicted(opened: Database, tip: Tip, found: Sequence[Head]) -> errors.Misconfigured:
    more = f" ({len(found)} heads do not match)" if len(found) > 1 else ""
    advice = (
        "keep a copy as evidence and restore the newest journal; on an older one, revoked leases and used budgets come back. "
        "If no newer one is left, start with --accept-older-journal REASON, which revokes every lease and journals why"
    )
    if found[0].stream != opened.stream:
        newest = max(found, key=lambda head: head.ts)
        return errors.Misconfigured(
            [f"{opened.path}: it is empty, but this node signed heads of another journal, up to {newest.stream}/{newest.seq}; {advice}"]
        )
    return errors.Misconfigured(
        [f"{opened.path}: entry {opened.stream}/{min(found[0].seq, tip.seq + 1)}: {heads.describe(found[0], tip.seq)}{more}; {advice}"]
    )


def _differ(opened: Database, found: list[TableFinding]) -> errors.Misconfigured:
    listed = "; ".join(map(str, found))
    advice = "keep a copy as evidence, then rebuild them with 'killcord journal rebuild --config killcord.yaml --reason TEXT'"
    return errors.Misconfigured([f"{opened.path}: projections differ from the journal's entries: {listed}; {advice}"])
