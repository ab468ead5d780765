"""A keyed digest of the folded tables, kept with every commit, so that a start finds a row that no entry put there.

The digest is a sum modulo 2**256: each row adds the keyed BLAKE2b hash of its canonical text; a counter adds its value times the hash of
its scope and name. So a change costs what it changes, whatever the tables hold. Triggers on the writer's connection report the changes:
the fold itself does not know of the digest. The last entry of a commit carries a MAC over stream, seq, chain hash and digest.

Whoever edits the file without the key can compute neither. ``sightings`` are left out: each read changes one, and nothing that is
allowed rests on one alone. A full verification compares them too.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Iterator

DIGESTED = (
    "writes", "named_keys", "members", "runs", "orders", "tasks", "incidents", "rollbacks", "approvals", "checkpoints"
)  # fmt: skip
"""Tables whose rows are hashed whole. ``counters`` are the one linear table beside them."""

_SIZE = 32
_MODULUS = 1 << (8 * _SIZE)
_MAC_SIZE = 16
_CACHED = 100_000
"""Hashes of counters' names that are remembered, about 20 MB at the most."""


class RowHash:
    """The keyed hash of one text, as a number."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hashlib.blake2b(key=key, digest_size=_SIZE, person=b"killcord-rows")

    def __call__(self, text: str) -> int:
        hashed = self._keyed.copy()
        hashed.update(text.encode("utf-8", "surrogatepass"))
        return int.from_bytes(hashed.digest())


def scan(connection: sqlite3.Connection, key: bytes) -> int:
    """The digest of the tables as they are stored; reads each of their rows once."""
    row_hash = RowHash(key)
    found = 0
    for table in DIGESTED:
        for (text,) in connection.execute(f"SELECT {_text(connection, table)} FROM {table}"):  # noqa: S608 - names of our own
            found += row_hash(text)
    for name, used in connection.execute(f"SELECT {_counter('')}, used FROM counters"):  # noqa: S608
        found += used * row_hash(name)
    return found % _MODULUS


def mac(key: bytes, stream: str, seq: int, chain_hash: str, digest: int) -> bytes:
    """What the last entry of a commit carries: 16 bytes that bind the tables to that entry."""
    text = f"{stream}\n{seq}\n{chain_hash}\n{digest:064x}"
    return hashlib.blake2b(text.encode(), key=key, digest_size=_MAC_SIZE, person=b"killcord-state").digest()


def fits(kept: bytes | None, computed: bytes) -> bool:
    return kept is not None and hmac.compare_digest(kept, computed)


class StateDigest:
    """The digest as the open transaction leaves it. Belongs to the thread of the writer's connection.

    :meth:`value` before a commit, :meth:`keep` after it, :meth:`drop` when it did not stand.
    """

    def __init__(self, connection: sqlite3.Connection, key: bytes, value: int) -> None:
        self._key = key
        self._row_hash = RowHash(key)
        self._kept = self._value = value
        self._added: list[str] = []
        self._removed: list[str] = []
        self._counters: dict[str, int] = {}
        connection.create_function("digest_added", 1, self._added.append)
        connection.create_function("digest_removed", 1, self._removed.append)
        connection.create_function("digest_counted", 2, self._count)
        for statement in _triggers(connection):
            connection.execute(statement)

    def value(self) -> int:
        """Take in what the transaction changed so far."""
        row_hash = self._row_hash
        if self._added:
            self._value += sum(map(row_hash, self._added))
            self._added.clear()
        if self._removed:
            self._value -= sum(map(row_hash, self._removed))
            self._removed.clear()
        self._value %= _MODULUS
        return self._value

    def seal(self, stream: str, seq: int, chain_hash: str) -> bytes:
        """The MAC for the transaction's last entry."""
        return mac(self._key, stream, seq, chain_hash, self.value())

    def keep(self) -> None:
        self._kept = self._value
        if len(self._counters) > _CACHED:
            self._counters.clear()

    def drop(self) -> None:
        self._added.clear()
        self._removed.clear()
        self._value = self._kept

    def _count(self, name: str, amount: int) -> None:
        found = self._counters.get(name)
        if found is None:
            found = self._counters[name] = self._row_hash(name)
        self._value += amount * found


def _triggers(connection: sqlite3.Connection) -> Iterator[str]:
    for table in DIGESTED:
        new, old = (f"SELECT digest_{what}({_text(connection, table, side)});" for what, side in (("added", "NEW."), ("removed", "OLD.")))
        for event, told in (("INSERT", new), ("DELETE", old), ("UPDATE", old + new)):
            yield f"CREATE TEMP TRIGGER digest_{table}_{event} AFTER {event} ON main.{table} BEGIN {told} END"
    for event, side, amount in (("INSERT", "NEW.", "NEW.used"), ("DELETE", "OLD.", "-OLD.used"), ("UPDATE", "NEW.", "NEW.used - OLD.used")):
        yield (
            f"CREATE TEMP TRIGGER digest_counters_{event} AFTER {event} ON main.counters "
            f"BEGIN SELECT digest_counted({_counter(side)}, {amount}); END"
        )


def _text(connection: sqlite3.Connection, table: str, side: str = "") -> str:
    """The expression for a row's canonical text: its table, then each column as a literal, so that no two rows share one."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    return " || ',' || ".join([f"'{table}'", *(f"quote({side}{column})" for column in columns)])


def _counter(side: str) -> str:
    return f"'counters,' || quote({side}scope) || ',' || quote({side}name)"
