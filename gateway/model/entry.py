"""Journal entries: drafts on their way in, positions and records on their way out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

Fields = Mapping[str, object]
"""The fields of an entry: JSON values without floats, so that a sorted dump is its canonical form (RFC 8785)."""


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


class Result(StrEnum):
    SUCCESS = "success"
    FAILED = "failed"
    DENIED = "denied"
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
