"""A journal in a folder: opened, read, damaged, and written by a process of its own that can be killed."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.clients.clock import SystemClock
from gateway.ports.journal import Query
from gateway.stores.sqlite import SqliteStore, open_store
from gateway.stores.sqlite.log.opening import Expected
from gateway.stores.sqlite.reprojection import PROJECTED, rebuild


async def opened(data_dir: Path) -> SqliteStore:
    return await open_store(data_dir, SystemClock(), Expected(key=b"k" * 32))


async def lines(store: SqliteStore) -> list[bytes]:
    found: list[bytes] = []
    while page := await store.history.lines(Query(after=f"{store.journal.stream}/{len(found)}", limit=1000)):
        found += page
    return found


async def until(true: Callable[[], bool], deadline: float = 60.0) -> None:
    async with asyncio.timeout(deadline):
        while not true():
            await asyncio.sleep(0.005)


@contextmanager
def child(data_dir: Path, mode: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.journal_child", str(data_dir), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def database(data_dir: Path) -> sqlite3.Connection:
    return sqlite3.connect(data_dir / "journal.sqlite", isolation_level=None)


def tables(data_dir: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(database(data_dir)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in PROJECTED}


def assert_rebuilt_alike(data_dir: Path) -> None:
    before = tables(data_dir)
    assert rebuild(data_dir) > 0
    assert tables(data_dir) == before
