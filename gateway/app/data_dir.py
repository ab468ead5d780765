"""The folders that a node writes in, its keys, and the journal in it, for a gateway that starts and for commands that need none.

Keys are made before the first start or rotated between two. A journal can be read here that no gateway would start on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gateway import errors
from gateway.clients.keys.signing import add_lease_key, open_head_key, open_lease_keys
from gateway.clients.keys.vault import open_master_key
from gateway.core.journal import signed_note
from gateway.model.entry import Head
from gateway.stores.sqlite import database, store


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


def anchor(folder: Path | None) -> Callable[[Head], None]:
    """Appends each signed head to a file of its stream, outside the store it speaks for."""

    def append(head: Head) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{head.stream}.heads").open("a", encoding="utf-8") as file:
                file.write(head.note + "\n")

    return append


def anchored(folder: Path | None, warn: Callable[..., object]) -> Callable[[str], Sequence[Head]]:
    """Reads the heads of a stream back from the anchor; what is no head of that stream is logged and passed over."""

    def read(stream: str) -> Sequence[Head]:
        path = None if folder is None else folder / f"{stream}.heads"
        if path is None or not path.exists():
            return ()
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as broken:
            raise errors.Misconfigured(
                [f"{path}: the anchored heads cannot be read ({broken.strerror}); allow it, or repair the disk"]
            ) from broken
        found, unread = heads_in(text)
        own = [head for head in found if head.stream == stream]
        if unread or len(own) < len(found):
            warn("anchor-unread", path=str(path), count=unread + len(found) - len(own), detail="they are not heads of this journal")
        return own

    return read


def elsewhere(folder: Path | None) -> Callable[[str], Sequence[Head]]:
    """The newest anchored head of each stream but one; several nodes may share an anchor."""

    def read(stream: str) -> Sequence[Head]:
        files = [] if folder is None else sorted(path for path in folder.glob("*.heads") if path.stem != stream)
        found = (heads_in(path.read_text(encoding="utf-8", errors="replace"))[0] for path in files)
        return [heads[-1] for heads in found if heads]

    return read


def heads_in(text: str) -> tuple[list[Head], int]:
    """The heads of a file of signed notes, signatures not judged; and how many notes are malformed."""
    found, unread = [], 0
    for note in signed_note.notes(text):
        try:
            found.append(signed_note.read(note))
        except signed_note.NotTrusted:
            unread += 1
    return found, unread


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
    return path.is_dir() or path.name == database.FILE


def journal_lines(path: Path) -> Iterator[bytes]:
    """The lines of a stored journal (its folder, or its file), then its signed heads, as an export would hold them.

    Raises:
        Misconfigured: there is none, or it cannot be read.
    """
    with store.reading(path if path.is_dir() else path.parent) as journal:
        yield from journal.lines()
