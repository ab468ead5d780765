"""Secret files: made once, readable by their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gateway import errors


def open_folder(path: Path) -> Path:
    """The folder of the keys, made if there is none.

    Raises:
        Misconfigured: others than its owner can get in.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_private(path, "700")
    return path


def read(path: Path) -> bytes:
    """What a secret file holds.

    Raises:
        Misconfigured: it cannot be read, or others than its owner can.
    """
    try:
        _check_private(path, "600")
        return path.read_bytes()
    except OSError as broken:
        raise errors.Misconfigured([f"{path}: the key cannot be read ({broken.strerror}); restore it from your backup"]) from broken


def create(path: Path, secret: bytes) -> None:
    """Write a new secret file, durably: key material that was used must not be lost in a crash.

    Raises:
        FileExistsError: there is one already; it is never overwritten.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(handle, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(handle)
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def _check_private(path: Path, wanted: str) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise errors.Misconfigured([f"{path}: others can read this key material (mode {mode:o}); run 'chmod {wanted} {path}'"])
