"""ports.Sightings: which version of an object a run, or its workflow, last saw."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from gateway.model.effect import Sighting
from gateway.ports import Sightings
from gateway.stores.sqlite.ahead import Ahead, Sight
from gateway.stores.sqlite.statements import READING


class SqliteSightings:
    """A sighting counts as soon as its entry was posted."""

    def __init__(self, reader: sqlite3.Connection, ahead: Ahead) -> None:
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
    _port: type[Sightings] = SqliteSightings
