"""ports.Writes: effects, as the journal knows them now.

ports.Sightings: which version of an object a run, or its workflow, last saw.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.model.effect import Sighting, Write
from gateway.ports.projections import Sightings, Writes
from gateway.stores.sqlite import rows
from gateway.stores.sqlite.log.pending import PendingEntries, Sight
from gateway.stores.sqlite.projection.known_keys import KnownKeys
from gateway.stores.sqlite.statements import READING


class SqliteWrites:
    """A write's row is there when its append or intend has returned."""

    def __init__(self, reader: sqlite3.Connection, stream: str, keys: KnownKeys) -> None:
        self._reader = reader
        self._keys = keys
        self._stream = stream

    async def latest(self, tenant: str, workflow_id: str, key_digest: str) -> Write | None:
        if not self._keys.maybe(tenant, workflow_id, key_digest):
            return None
        return self._one("latest_write", tenant, workflow_id, key_digest)

    async def of_run(self, run_id: str) -> Sequence[Write]:
        return self._all("writes_of_run", run_id)

    async def rewritten(self, workflow_id: str, target_object: str, since: int) -> bool:
        return self._reader.execute(READING["rewritten"], (workflow_id, target_object, since)).fetchone() is not None

    async def unsettled(self) -> Sequence[Write]:
        return self._all("unsettled_writes")

    async def by_wire_key(self, wire_key: str) -> Write | None:
        return self._one("write_by_wire_key", wire_key)

    def _one(self, query: str, *arguments: str) -> Write | None:
        row = self._reader.execute(READING[query], arguments).fetchone()
        return None if row is None else rows.write(row, self._stream)

    def _all(self, query: str, *arguments: str) -> list[Write]:
        return [rows.write(row, self._stream) for row in self._reader.execute(READING[query], arguments).fetchall()]


if TYPE_CHECKING:
    _port_writes: type[Writes] = SqliteWrites


class SqliteSightings:
    """A sighting counts as soon as its entry was posted."""

    def __init__(self, reader: sqlite3.Connection, ahead: PendingEntries) -> None:
        self._reader = reader
        self._ahead = ahead

    async def by_run(self, run_id: str, target_object: str) -> Sighting | None:
        return self._ahead.sighting((f"run:{run_id}", target_object), self._durable)

    async def by_workflow(self, workflow_id: str, target_object: str) -> Sighting | None:
        return self._ahead.sighting((f"workflow:{workflow_id}", target_object), self._durable)

    def _durable(self, sight: Sight) -> Sighting | None:
        row = self._reader.execute(READING["sighting"], sight).fetchone()
        return None if row is None else Sighting(*row)


if TYPE_CHECKING:
    _port_sightings: type[Sightings] = SqliteSightings
