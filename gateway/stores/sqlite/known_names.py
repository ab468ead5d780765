"""Names of runs, tenants, agents and classes, found by the indexes on runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import orjson

from gateway import errors
from gateway.model.run import OpenRun
from gateway.ports.known_names import Cursor, KnownNames, Part, Within
from gateway.stores.sqlite import rows
from gateway.stores.sqlite.database import Row
from gateway.stores.sqlite.views import View

_BESIDE = 500
"""Names read on each side of one that is not known."""

_NEAR: Mapping[Part, str] = {"run": "near_runs", "tenant": "near_tenants", "agent": "near_agents", "task_class": "near_classes"}
_KNOWN: Mapping[Part, str] = {"run": "known_run", "tenant": "known_tenant", "agent": "known_agent", "task_class": "known_class"}


class SqliteKnownNames(View, KnownNames):
    async def known(self, part: Part, name: str, within: Within) -> bool:
        return bool(self._named(_KNOWN[part], {"name": name, **_visible(within)}))

    async def neighbours(self, part: Part, name: str, within: Within) -> Sequence[str]:
        return self._named(_NEAR[part], {"name": name, "most": _BESIDE, **_visible(within)})

    async def open_runs(self, *, after: Cursor, limit: int, whole: bool) -> Sequence[OpenRun]:
        with reading():
            if whole:
                return self._all("whole_open_runs", _whole, *after, limit)
            return self._all("open_runs", lambda row: OpenRun(*row), *after, limit)

    def _named(self, query: str, wanted: Mapping[str, object]) -> list[str]:
        with reading():
            return [name for (name,) in self._read(query, wanted)]


@contextmanager
def reading() -> Iterator[None]:
    """Raises:
    JournalUnavailable: the file cannot be read.
    """
    try:
        yield
    except sqlite3.Error as broken:
        raise errors.JournalUnavailable(f"The journal cannot be read: {broken}.") from broken


def _whole(row: Row) -> OpenRun:
    document, revoked, expires_at, run_id, tenant, agent_id, task_class = row
    return OpenRun(expires_at, run_id, tenant, agent_id, task_class, rows.run((document, revoked)))


def _visible(within: Within) -> Mapping[str, str | None]:
    """``NULL`` stands for every tenant, or class."""
    return {"tenants": _list(within.tenants), "classes": _list(within.classes)}


def _list(names: tuple[str, ...]) -> str | None:
    return None if "*" in names else orjson.dumps(names).decode()
