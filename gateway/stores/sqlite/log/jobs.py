"""What goes to the writer thread, and what comes back from it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from gateway.core.journal import chain, projection
from gateway.model.entry import Fields, Position, Sealed
from gateway.model.run import Run
from gateway.ports.journal import IntentRequest


class Tip(Struct, frozen=True):
    """The newest durable entry; seq 0 and the genesis hash where there is none."""

    seq: int
    hash: str
    ts: str


class Prepared(Struct, frozen=True):
    """An entry that can no longer be refused for its form: serialised, and its changes known."""

    position: Position
    draft: chain.Draft
    changes: tuple[projection.Change, ...]
    kind: str
    run_id: str | None
    tenant: str | None
    ts: str


def prepare(fields: Mapping[str, Any], position: Position) -> Prepared:
    """Give an entry its place.

    Raises:
        TypeError, KeyError, ValueError: it is no entry, or lacks what its kind folds.
    """
    return Prepared(
        position=position,
        draft=chain.draft({**fields, "stream": position.stream, "seq": position.seq}),
        changes=projection.changes(fields, position),
        kind=fields["kind"],
        run_id=fields.get("run_id"),
        tenant=fields.get("tenant"),
        ts=fields["ts"],
    )


class Submission(Struct, frozen=True):
    """An entry on its way to the disk. ``term`` is the one its seq was given in: after a failed commit older terms are void."""

    entry: Prepared
    term: int
    blobs: Sequence[Sealed] = ()
    opening: IntentRequest | None = None
    future: asyncio.Future[Any] | None = None

    def refused(self, fields: Fields) -> Prepared:
        """The refusal that takes this intent's place, at the same position."""
        return prepare(fields, self.entry.position)


class WriterCall(Struct, frozen=True):
    """Anything else to be written: ``run`` gets the connection inside the batch's transaction."""

    run: Callable[[sqlite3.Connection], object]
    future: asyncio.Future[Any]


class Stop(Struct, frozen=True):
    """Write what came before, then end."""

    future: asyncio.Future[Any]


Job = Submission | WriterCall | Stop


class Durable(Struct, frozen=True):
    """A batch is on disk: fsync returned."""

    tip: Tip
    results: Sequence[tuple[asyncio.Future[Any], object]]
    runs: Mapping[str, Run]


class WriterFailed(Struct, frozen=True):
    """Nothing of these jobs is, or will be, on disk; seqs are given anew, in a new ``term``. ``final``: the writer is gone."""

    reason: str
    term: int
    futures: Sequence[asyncio.Future[Any]]
    final: bool = False


class WriterRecovered(Struct, frozen=True):
    """A probe write went through again."""


Event = Durable | WriterFailed | WriterRecovered
