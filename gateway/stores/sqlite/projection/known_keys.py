"""Which keys each workflow has used: most calls bring a new one, and that must be known without a look at the disk.

Each look at the disk gives the interpreter lock away, and the loop then waits for the writer thread to give it back.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict

from gateway.stores.sqlite.statements import READING

WORKFLOWS = 20_000
"""Workflows remembered at a time."""

KEYS = 400_000
"""Keys remembered over all of them, about 40 MB at the most."""

Workflow = tuple[str, str]
"""Tenant and workflow id."""


class KnownKeys:
    """Belongs to the event loop's thread. Says yes where it does not know: then the table is asked."""

    def __init__(self, reader: sqlite3.Connection, *, bound: int = KEYS) -> None:
        self._reader = reader
        self._bound = bound
        self._used: OrderedDict[Workflow, set[bytes]] = OrderedDict()
        self._count = 0

    def maybe(self, tenant: str, workflow_id: str, digest: str) -> bool:
        """Whether the key may have been used; a no is certain, but for an intent that is on its way to the disk."""
        workflow = (tenant, workflow_id)
        used = self._used.get(workflow)
        if used is None:
            used = self._load(workflow)
        else:
            self._used.move_to_end(workflow)
        return used is None or bytes.fromhex(digest) in used

    def note(self, tenant: str, workflow_id: str, digest: str) -> None:
        """An intent under this key was handed in."""
        used = self._used.get((tenant, workflow_id))
        if used is not None:
            before = len(used)
            used.add(bytes.fromhex(digest))
            self._count += len(used) - before
            self._trim()

    def _load(self, workflow: Workflow) -> set[bytes] | None:
        most = self._bound // 4
        rows = self._reader.execute(READING["keys_of_workflow"], (*workflow, most + 1)).fetchall()
        if len(rows) > most:
            return None
        used = self._used[workflow] = {bytes.fromhex(digest) for (digest,) in rows}
        self._count += len(used)
        self._trim()
        return used

    def _trim(self) -> None:
        while len(self._used) > 1 and (self._count > self._bound or len(self._used) > WORKFLOWS):
            self._count -= len(self._used.popitem(last=False)[1])
