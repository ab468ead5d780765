"""ports.Blobs: sealed blobs and wrapped tenant keys."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from gateway.model.entry import Sealed
from gateway.ports.vault import Blobs
from gateway.stores.sqlite.log.intake import Intake
from gateway.stores.sqlite.statements import READING, WRITING


class SqliteBlobs:
    """Blobs come in with the entries that name them; keys by themselves."""

    def __init__(self, reader: sqlite3.Connection, intake: Intake) -> None:
        self._reader = reader
        self._intake = intake

    async def blob(self, ref: str) -> Sealed | None:
        row = self._reader.execute(READING["blob"], (ref,)).fetchone()
        return None if row is None else Sealed(ref, *row)

    async def tenant_key(self, tenant: str) -> bytes | None:
        row = self._reader.execute(READING["tenant_key"], (tenant,)).fetchone()
        return None if row is None else bytes(row[0])

    async def keep_tenant_key(self, tenant: str, wrapped: bytes) -> bytes:
        def keep(writer: sqlite3.Connection) -> bytes:
            writer.execute(WRITING["keep_tenant_key"], (tenant, wrapped))
            return bytes(writer.execute(READING["tenant_key"], (tenant,)).fetchone()[0])

        return await self._intake.perform(keep)

    async def forget_tenant_key(self, tenant: str) -> bool:
        return await self._intake.perform(lambda writer: writer.execute(WRITING["forget_tenant_key"], (tenant,)).rowcount > 0)


if TYPE_CHECKING:
    _port: type[Blobs] = SqliteBlobs
