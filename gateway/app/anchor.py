"""The anchor: signed heads in files outside the store that they speak for, one for each stream. Several nodes may share its folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway import errors
from gateway.core.journal import signed_note
from gateway.model.entry import Head


@dataclass(slots=True)
class Anchor:
    """``folder`` is ``None`` where no anchor is configured: then nothing is written, and there are no heads."""

    folder: Path | None
    warn: Callable[..., object]
    _failure: str | None = None

    def append(self, head: Head) -> bool:
        """Write a head behind those of its stream, to the disk. False if it cannot be written, which is logged once."""
        if self.folder is None:
            return True
        path = self.folder / f"{head.stream}.heads"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _append(path, head.note)
        except OSError as broken:
            failure = f"cannot write {path}: {broken.strerror}"
            if failure != self._failure:
                self.warn(
                    "anchor-failed", path=str(path), seq=head.seq, detail=f"{failure}; heads are signed, but are in the journal alone"
                )
            self._failure = failure
            return False
        if self._failure is not None:
            self.warn("anchor-written", path=str(path), seq=head.seq, detail="the anchor can be written again")
        self._failure = None
        return True

    def heads(self, stream: str) -> Sequence[Head]:
        """The heads of a stream; what is no head of it is logged and passed over.

        Raises:
            Misconfigured: the file cannot be read.
        """
        path = None if self.folder is None else self.folder / f"{stream}.heads"
        if path is None or not path.exists():
            return ()
        try:
            found, unread = read(path)
        except OSError as broken:
            raise errors.Misconfigured(
                [f"{path}: the anchored heads cannot be read ({broken.strerror}); allow it, or repair the disk"]
            ) from broken
        own = [head for head in found if head.stream == stream]
        if unread or len(own) < len(found):
            self.warn("anchor-unread", path=str(path), count=unread + len(found) - len(own), detail="they are no heads of this journal")
        return own

    def elsewhere(self, stream: str) -> Sequence[Head]:
        """The newest head of each other stream; a file that cannot be read, which another node's may be, is logged and passed over."""
        newest = []
        for path in [] if self.folder is None else sorted(self.folder.glob("*.heads")):
            if path.stem == stream:
                continue
            try:
                found, _ = read(path)
            except OSError as broken:
                self.warn("anchor-unread", path=str(path), detail=f"cannot read it: {broken.strerror}; another node's need not be readable")
                continue
            newest += found[-1:]
        return newest

    def health(self) -> tuple[bool, str]:
        """Whether the last head was written, and where heads are."""
        if self.folder is None:
            return True, "no anchor is configured"
        return self._failure is None, self._failure or f"heads are in {self.folder}"


def read(path: Path) -> tuple[list[Head], int]:
    """The heads in a file of signed notes, signatures not judged; and how many notes are malformed.

    Raises:
        OSError: it cannot be read.
    """
    found, malformed = [], 0
    for note in signed_note.notes(path.read_text(encoding="utf-8", errors="replace")):
        try:
            found.append(signed_note.read(note))
        except signed_note.NotTrusted:
            malformed += 1
    return found, malformed


def _append(path: Path, note: str) -> None:
    """A note that was cut off, by a full disk or a loss of power, must not swallow this one: each begins on a line of its own."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(file).st_size
        end = os.pread(file, 2, max(size - 2, 0))
        gap = "" if size == 0 or end == b"\n\n" else "\n" if end.endswith(b"\n") else "\n\n"
        text = f"{gap}{note}\n".encode()
        if os.write(file, text) < len(text):
            raise OSError(0, "the disk is full")
        os.fsync(file)
    finally:
        os.close(file)
