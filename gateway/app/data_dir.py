"""The folders that a node writes in, its keys, and the journal in it, for a gateway that starts and for commands that need none.

Keys are made before the first start or rotated between two. A journal can be read here that no gateway would start on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gateway import errors
from gateway.clients.keys.signing import add_lease_key, open_head_key, open_lease_keys
from gateway.clients.keys.vault import open_master_key
from gateway.stores.sqlite import database, store

_SQLITE = b"SQLite format 3\0"
"""How every database of SQLite begins."""


def make(folder: Path, named: str, *, mode: int = 0o777) -> None:
    """Make a folder if there is none; ``named`` is what the configuration calls it.

    Raises:
        Misconfigured: it cannot be made, or nothing can be written in it.
    """
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as refused:
        raise errors.Misconfigured([f"{named}: {folder} cannot be created ({refused.strerror}); name another folder"]) from refused
    if not os.access(folder, os.W_OK | os.X_OK):
        raise errors.Misconfigured([f"{named}: cannot write in {folder}; allow this process to write there, or name another folder"])


def init(data_dir: Path) -> Path:
    """Make the keys that are not there yet and return their folder; those that are there stay.

    Raises:
        Misconfigured: a key that is there cannot be used, or others than its owner can read it.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = data_dir / "keys"
    open_lease_keys(folder)
    open_head_key(folder)
    open_master_key(folder)
    return folder


def rotate(data_dir: Path) -> Path:
    """Make the lease key that signs from the next start on; leases signed before stay good until they end.

    Raises:
        Misconfigured: as for :func:`init`.
    """
    return add_lease_key(init(data_dir))


def is_journal(path: Path) -> bool:
    """Whether a path is a journal as a gateway stores it, and no export of one."""
    return path.is_dir() or path.name == database.FILE or _is_sqlite(path)


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def journal_lines(path: Path) -> Iterator[bytes]:
    """The lines of a stored journal (its folder, its file, or a backup of that), then its signed heads, as an export would hold them.

    Raises:
        Misconfigured: there is none, or it cannot be read.
    """
    with store.reading(path) as journal:
        yield from journal.lines()
