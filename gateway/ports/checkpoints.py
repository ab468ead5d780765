"""Checkpoints, as the resume and the line use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.model.checkpoint import Checkpoint
from gateway.model.effect import Key, Write


class CheckpointRecords(Protocol):
    """The fold of ``checkpoint`` entries: those that somebody took."""

    async def checkpoint(self, checkpoint_id: str) -> Checkpoint | None: ...

    async def checkpoints(self, run: str, *, after: str | None = None, limit: int | None = 100) -> Sequence[Checkpoint]:
        """Those of a run, ascending by id, beginning after ``after``."""
        ...


class Standing(Protocol):
    async def standing(self, key: Key, until: int) -> Write | None:
        """The newest attempt under a key that was begun up to an entry's number and stands, whatever came after it."""
        ...
