"""A journal read where it is kept, for whoever verifies it: also one that no gateway would start on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.stores.sqlite import reading


def is_kept(path: Path) -> bool:
    """Whether a path is where a journal is kept, and no export of one."""
    return path.is_dir() or path.name == reading.FILE


def kept(path: Path) -> Iterator[bytes]:
    """The lines of a kept journal (its folder, or its file), then its signed heads, as an export would hold them.

    Raises:
        Misconfigured: there is none, or it cannot be read.
    """
    with reading.reading(path if path.is_dir() else path.parent) as journal:
        yield from journal.lines()
