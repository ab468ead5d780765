"""What every journal entry has: a kind, a time, its owner and its position; and the records beside entries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    INTENT = "intent"
    OUTCOME = "outcome"
    READ = "read"
    REPLAY = "replay"
    REFUSAL = "refusal"
    ORDER = "order"
    TRIGGER = "trigger"
    RESPONSE = "response"
    APPROVAL = "approval"
    CHECKPOINT = "checkpoint"
    RECONCILIATION = "reconciliation"
    RUN = "run"
    FINDING = "finding"
    ROLLBACK = "rollback"
    TASK = "task"
    STORE = "store"


_KINDS: Mapping[str | int | None, Kind] = {kind.value: kind for kind in Kind}


class Result(StrEnum):
    """``FOUND`` is of a reconciliation alone: the state is what the write asked for, and whether the write made it so is not proven."""

    SUCCESS = "success"
    FAILED = "failed"
    DENIED = "denied"
    FOUND = "found"
    UNKNOWN = "unknown"


class Verification(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    NONE = "none"


class Position(Struct, frozen=True, gc=False):
    """Where an entry stands; ``stream`` is one node's, ``seq`` counts from 1 without gaps."""

    stream: str
    seq: int

    def __str__(self) -> str:
        return f"{self.stream}/{self.seq}"


class EntryBase(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="kind"):
    """``ts`` is RFC 3339 with microseconds. A member that is ``None`` is absent from the entry: no entry holds a null of its own.

    ``stream``, ``seq``, ``hash`` and ``prev_hash`` are the journal's to set: an entry that comes from it has them.
    """

    ts: str
    tenant: str | None = None
    workflow_id: str | None = None
    run_id: str | None = None
    generation: int | None = None
    agent_id: str | None = None
    task_class: str | None = None
    stream: str | None = None
    seq: int | None = None
    hash: str | None = None
    prev_hash: str | None = None

    @property
    def kind(self) -> Kind:
        return _KINDS[self.__struct_config__.tag]

    @property
    def at(self) -> float:
        """Its own time, in Unix seconds."""
        return datetime.fromisoformat(self.ts).timestamp()

    @property
    def position(self) -> Position:
        """The place of an entry that comes from the journal."""
        assert self.stream is not None
        assert self.seq is not None
        return Position(self.stream, self.seq)


class RunBase(EntryBase, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """An entry about one run. Some members are absent where less is known: ``agent_id`` of a reconciliation, say."""

    tenant: str
    run_id: str


class Sealed(Struct, frozen=True, gc=False):
    """A sealed blob: ciphertext under a tenant's key. ``ref`` is ``sha256:`` and the digest of ``data``."""

    ref: str
    tenant: str
    data: bytes


class Head(Struct, frozen=True, gc=False):
    """The end of a stream at a time, signed: ``note`` is a C2SP signed note (checkpoint lines)."""

    stream: str
    seq: int
    hash: str
    ts: str
    note: str


class StoreEntry(EntryBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.STORE.value):
    """What an operator did to the store of the journal itself. ``change`` is ``accepted`` or ``rebuilt``; ``end`` is the newest seq before.

    Accepted: a journal that ``heads`` signed heads do not match, the lowest at seq ``first``, the newest signed at ``until`` (RFC 3339).
    Rebuilt: the projections ``tables`` were rebuilt.
    """

    change: str
    end: int
    by: str
    reason: str
    heads: int | None = None
    first: int | None = None
    until: str | None = None
    tables: tuple[str, ...] | None = None
