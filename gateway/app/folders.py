"""The folders that a gateway writes in: its own, and where signed heads are kept outside of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from gateway import errors
from gateway.model.entry import Head


def make(folder: Path, named: str, *, mode: int = 0o777) -> None:
    """Make a folder where there is none; ``named`` is what the configuration calls it.

    Raises:
        Misconfigured: it cannot be made, or nothing can be written in it.
    """
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as refused:
        raise errors.Misconfigured([f"{named}: {folder} cannot be made ({refused.strerror}); name a folder that can"]) from refused
    if not os.access(folder, os.W_OK | os.X_OK):
        raise errors.Misconfigured([f"{named}: nothing can be written in {folder}; let this process write there, or name another folder"])


def anchor(folder: Path | None) -> Callable[[Head], None]:
    """Appends each signed head to a file of its stream, outside the store it speaks for."""

    def keep(head: Head) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{head.stream}.heads").open("a", encoding="utf-8") as file:
                file.write(head.note + "\n")

    return keep
