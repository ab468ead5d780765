"""Every store that can hold a journal, by name: a new one is added here and has to pass all of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.clients.clock import SystemClock
from gateway.stores.sqlite import SqliteStore, open_store
from gateway.stores.sqlite.log.opening import Expected

Reopen = Callable[[], Awaitable[SqliteStore]]


async def sqlite(data_dir: Path) -> SqliteStore:
    return await open_store(data_dir, SystemClock(), Expected(key=b"k" * 32))


STORES = {"sqlite": sqlite}


@pytest.fixture(params=sorted(STORES))
async def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reopen]:
    """Opens the store; called again it closes the one before: a restart."""
    current: list[SqliteStore] = []

    async def opened() -> SqliteStore:
        while current:
            await current.pop().close()
        current.append(await STORES[request.param](tmp_path / "var"))
        return current[0]

    yield opened
    while current:
        await current.pop().close()


@pytest.fixture
async def store(reopen: Reopen) -> SqliteStore:
    return await reopen()
