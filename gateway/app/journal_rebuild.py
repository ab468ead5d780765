"""The projections of a stopped gateway rebuilt, after its chain and heads were verified."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import orjson

from gateway import errors
from gateway.app import data_dir
from gateway.app.anchor import Anchor
from gateway.clients.clock import SystemClock
from gateway.clients.keys.signing import open_head_key
from gateway.clients.keys.vault import open_master_key, state_key
from gateway.core import timestamps
from gateway.core.journal import chain
from gateway.model.entry import StoreEntry
from gateway.settings.config import Config
from gateway.stores.sqlite import rebuilding
from gateway.stores.sqlite.log.opening import Expected, check_heads_of, differing
from gateway.stores.sqlite.store import open_store, reading


async def rebuild(config: Config, reason: str) -> dict[str, Any]:
    """Project all entries into empty tables and journal which differed; returns that and the number of entries.

    Raises:
        Misconfigured: a gateway has the folder, there is no journal, its chain is broken, or a head does not match: then the entries are
            not what the tables should follow.
    """
    folder = config.data_dir / "keys"
    signer, key = open_head_key(folder), state_key(open_master_key(folder))
    # Heads are compared below, where an acceptance counts.
    lines = (line for line in data_dir.journal_lines(config.data_dir) if not chain.is_head(orjson.loads(line)))
    found = chain.verify(lines)
    if found.finding is not None:
        raise errors.Misconfigured(
            [f"{config.data_dir}: {found.finding}; the entries themselves were changed, so tables are not made from them: restore a backup"]
        )
    anchored = Anchor(config.anchor, lambda *_, **__: None).heads
    expected = Expected(key=key, anchored=anchored, signed=signer.signed)
    check_heads_of(config.data_dir, expected)
    tables = differing(config.data_dir)
    entries = rebuilding.rebuild(config.data_dir)
    clock = SystemClock()
    store = await open_store(config.data_dir, clock, expected)
    try:
        await store.journal.append(
            StoreEntry(
                ts=timestamps.rfc3339(clock.now()),
                change="rebuilt",
                end=store.journal.tip.seq,
                by=f"killcord journal rebuild, user {getpass.getuser()}",
                reason=reason,
                tables=tuple(tables),
            )
        )
    finally:
        await store.close()
    return {"entries": entries, "tables": tables}


def evidence_of(config: Config) -> tuple[Path, Path | None, str]:
    """What a verification of a configured journal uses: its folder, its anchored heads if there are any, and its verifying key.

    Raises:
        Misconfigured: there is no journal, or a key cannot be used.
    """
    with reading(config.data_dir) as journal:
        stream = journal.stream
    path = None if config.anchor is None else config.anchor / f"{stream}.heads"
    return config.data_dir, path if path is not None and path.exists() else None, open_head_key(config.data_dir / "keys").verifier_key
