"""How far a webhook has been told, in a file of its own: what outlives a restart."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path

from gateway import errors
from gateway.model.entry import Position


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of the last entry that is dealt with. One writer at a time."""

    path: Path

    def read(self) -> Position | None:
        """What was kept last; ``None`` where nothing ever was.

        Raises:
            Misconfigured: the file is there, and is no cursor.
        """
        try:
            found = json.loads(self.path.read_bytes())
            return Position(str(found["stream"]), int(found["seq"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as broken:
            message = "is no cursor of a webhook; delete it, and the webhook is told of what happens from then on"
            raise errors.Misconfigured([f"{self.path}: {message}"]) from broken

    async def keep(self, position: Position) -> None:
        """Durable on return: the file holds this position or the one before, whole.

        Raises:
            OSError: it could not be written; the one before stands.
        """
        # In a thread: an fsync here must not hold up the calls of agents.
        await asyncio.to_thread(self._write, json.dumps({"stream": position.stream, "seq": position.seq}).encode())

    def _write(self, content: bytes) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
