"""A process that writes a journal until it is killed or its disk is full; run as ``python -m tests.support.journal_child DIR MODE``.

Prints a line for each durable position, after the store has said so. Modes: ``write`` for ever; ``limited`` with files that may not grow
past 400 KB; ``hold`` opens the journal and waits.
"""

import asyncio
import contextlib
import resource
import signal
import sys
from pathlib import Path

from gateway import errors
from gateway.clients.clock import SystemClock
from gateway.core.codec.entry import of_fields
from gateway.model.entry import Position
from gateway.stores.sqlite import SqliteStore, open_store
from gateway.stores.sqlite.log.opening import Expected
from tests.support import journaling as make


async def write(store: SqliteStore, worker: int) -> None:
    for number in range(10**9):
        opened = await store.journal.intend(make.opening(f"{worker}/{number}", blobs=(make.sealed(),)))
        assert isinstance(opened, Position)
        store.journal.post(of_fields(make.read(f"inv_{worker}")))
        position = await store.journal.append(of_fields(make.outcome(f"{worker}/{number}", after_version=f'"v{number}"')))
        print("intent", opened.seq, "outcome", position.seq, flush=True)


async def write_until_full(store: SqliteStore) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    try:
        await write(store, 0)
    except errors.JournalUnavailable:
        print("unavailable", store.journal.health().ok, flush=True)
    with contextlib.suppress(errors.JournalUnavailable):
        store.journal.post(of_fields(make.read()))
        print("posted", flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    while not store.journal.health().ok:
        await asyncio.sleep(0.01)
    print("healed", (await store.journal.append(of_fields(make.read()))).seq, flush=True)


async def main(data_dir: Path, mode: str) -> None:
    store = await open_store(data_dir, SystemClock(), Expected(key=b"k" * 32))
    print("ready", flush=True)
    if mode == "write":
        await asyncio.gather(*[write(store, worker) for worker in range(8)])
    elif mode == "limited":
        await write_until_full(store)
    else:
        await asyncio.Event().wait()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
