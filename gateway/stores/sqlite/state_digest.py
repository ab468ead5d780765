"""A keyed digest of the projections, kept with every commit, so that a start finds a row that no entry put there.

The digest is a sum modulo 2**256 of the keyed BLAKE2b hashes of rows, of a write those columns by which something is allowed or undone; a
counter adds its value times the hash of its scope and name. So a change costs what it changes, whatever the tables hold. The last entry
of a commit carries a MAC over stream, seq, chain hash and digest.

A user who edits the file without the key can compute neither. ``sightings`` are left out: each read changes one, and nothing that is
allowed rests on one alone. A full verification compares them too.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter

import msgspec

from gateway.stores.sqlite.database import WRITING, Row

DOCUMENTS = ("named_keys", "runs", "orders", "tasks", "incidents", "rollbacks", "approvals", "checkpoints")
"""Tables that rarely change: triggers on the writer's connection report their rows, so that no query has to be known here."""

_SIZE = 32
_MODULUS = 1 << (8 * _SIZE)
_MAC_SIZE = 16
_BOUND = 100_000
"""Hashes of counters' names, and writes in flight, that are remembered; about 30 MB each at the most."""

_encode = msgspec.msgpack.Encoder().encode

_BY_INTENT = (
    "seq tenant workflow_id key_digest key_same key_own content window_s attempt wire_key run_id class automatic allowed_until compensates "
    "before_version snapshot_ref args_ref rollback_id guarded"
)
"""Columns of a write that its intent sets, as far as something is allowed or undone by them; reading all takes a start twice the time."""
_BY_OUTCOME = "state outcome_seq status after_version reply_ref verification known_by pending"
_IN_FLIGHT: Row = ("in_flight", None, None, None, None, "none", None, 0)
"""Those before an outcome."""
_WRITES = f"SELECT {', '.join(f'{_BY_INTENT} {_BY_OUTCOME}'.split())} FROM writes"  # noqa: S608 - names of our own

_inserted = [name.strip() for name in WRITING["keep_writes"].partition("(")[2].partition(")")[0].split(",")]
_of_inserted = itemgetter(*map(_inserted.index, _BY_INTENT.split()))
_WIRE_KEY = _BY_INTENT.split().index("wire_key")


class RowHash:
    """The keyed hash of an item, as a number."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hashlib.blake2b(key=key, digest_size=_SIZE, person=b"killcord-rows")

    def __call__(self, item: object) -> int:
        hashed = self._keyed.copy()
        hashed.update(_encode(item))
        return int.from_bytes(hashed.digest())


def scan(connection: sqlite3.Connection, key: bytes) -> int:
    """The digest of the tables as they are stored; reads each of their rows once."""
    row_hash = RowHash(key)
    found = 0
    found += sum(map(row_hash, connection.execute(_WRITES)))
    for scope, name, used in connection.execute("SELECT scope, name, used FROM counters"):
        found += used * row_hash((scope, name))
    found += sum(map(row_hash, connection.execute("SELECT 'members', scope, name, member FROM members")))
    for table in DOCUMENTS:
        found += sum(row_hash(text) for (text,) in connection.execute(f"SELECT {_text(connection, table)} FROM {table}"))  # noqa: S608
    return found % _MODULUS


def mac(key: bytes, stream: str, seq: int, chain_hash: str, digest: int) -> bytes:
    """What the last entry of a commit carries: 16 bytes that bind the tables to that entry."""
    text = f"{stream}\n{seq}\n{chain_hash}\n{digest:064x}"
    return hashlib.blake2b(text.encode(), key=key, digest_size=_MAC_SIZE, person=b"killcord-state").digest()


def matches(kept: bytes | None, computed: bytes) -> bool:
    return kept is not None and hmac.compare_digest(kept, computed)


class StateDigest:
    """The digest as the open transaction leaves it. Belongs to the thread of the writer's connection.

    :meth:`seal` before a commit, :meth:`keep` after it, :meth:`drop` when it did not stand.
    """

    def __init__(self, connection: sqlite3.Connection, key: bytes, value: int) -> None:
        self._connection = connection
        self._key = key
        self._row_hash = RowHash(key)
        self._kept = self._value = value
        self._names: dict[tuple[str, str], int] = {}
        self._in_flight: dict[str, tuple[Row, int]] = {}
        connection.create_function("digest_added", 1, self._add)
        connection.create_function("digest_removed", 1, self._remove)
        for statement in _triggers(connection):
            connection.execute(statement)

    def opened(self, row: Row) -> None:
        """A write is inserted; ``row`` is in the order of ``keep_writes``."""
        cells = _of_inserted(row)
        added = self._row_hash((*cells, *_IN_FLIGHT))
        self._value += added
        if len(self._in_flight) < _BOUND:
            self._in_flight[cells[_WIRE_KEY]] = (cells, added)

    def settled(self, row: Row) -> bool:
        """A write gets its first outcome; ``row`` is as for ``settle_writes``. False if only :meth:`watch` can find what changes."""
        found = self._in_flight.pop(row[0], None)
        if found is None:
            return False
        cells, added = found
        _, state, verification, outcome, status, version, reply, _, _, _, known_by, pending = row
        self._value += self._row_hash((*cells, state, outcome, status, version, reply, verification, known_by, int(pending))) - added
        return True

    @contextmanager
    def watch(self, wire_keys: Collection[str]) -> Iterator[None]:
        """Around a statement that changes these writes in a way that is not known beforehand."""
        before = self._changing(wire_keys)
        yield
        self._value += self._changing(wire_keys) - before

    def _changing(self, wire_keys: Collection[str]) -> int:
        query = f"{_WRITES} WHERE wire_key = ?"
        return sum(self._row_hash(row) for key in wire_keys for row in self._connection.execute(query, (key,)).fetchall())

    def counted(self, key: tuple[str, str], amount: int) -> None:
        """A counter (scope, name) grows."""
        found = self._names.get(key)
        if found is None:
            found = self._names[key] = self._row_hash(key)
        self._value += amount * found

    def joined(self, members: Iterable[Row]) -> None:
        """Members (scope, name, member) are counted for the first time."""
        for member in members:
            self._value += self._row_hash(("members", *member))

    def seal(self, stream: str, seq: int, chain_hash: str) -> bytes:
        """The MAC for the transaction's last entry."""
        self._value %= _MODULUS
        return mac(self._key, stream, seq, chain_hash, self._value)

    def keep(self) -> None:
        self._kept = self._value
        if len(self._names) > _BOUND:
            self._names.clear()

    def drop(self) -> None:
        self._value = self._kept
        self._in_flight.clear()

    def _add(self, text: str) -> None:
        self._value += self._row_hash(text)

    def _remove(self, text: str) -> None:
        self._value -= self._row_hash(text)


def _triggers(connection: sqlite3.Connection) -> Iterator[str]:
    for table in DOCUMENTS:
        new, old = (f"SELECT digest_{what}({_text(connection, table, side)});" for what, side in (("added", "NEW."), ("removed", "OLD.")))
        for event, report in (("INSERT", new), ("DELETE", old), ("UPDATE", old + new)):
            yield f"CREATE TEMP TRIGGER digest_{table}_{event} AFTER {event} ON main.{table} BEGIN {report} END"


def _text(connection: sqlite3.Connection, table: str, side: str = "") -> str:
    """The expression for a row's canonical text: its table, then each column as a literal, so that no two rows share one."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    return " || ',' || ".join([f"'{table}'", *(f"quote({side}{column})" for column in columns)])
