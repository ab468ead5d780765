"""What the scope of an order can name, looked up among every run that was ever opened; and the runs that are open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from gateway.model.run import OpenRun

Part = Literal["run", "tenant", "agent", "task_class"]
"""A part of a scope that runs can make known."""

BEGINNING = (0, "")
"""The cursor before every open run."""

Cursor = tuple[int, str]
"""The end of a run, in microseconds, and its id."""


class Within(Struct, frozen=True):
    """The tenants and task classes that somebody may see; ``*`` is every one."""

    tenants: tuple[str, ...] = ("*",)
    classes: tuple[str, ...] = ("*",)


class KnownNames(Protocol):
    """Reads by index: no time depends on how many runs there are, and nothing is said of runs that are not ``within``."""

    async def known(self, part: Part, name: str, within: Within) -> bool:
        """Whether a run of this name was ever opened, or one of this tenant, agent or class."""

    async def neighbours(self, part: Part, name: str, within: Within) -> Sequence[str]:
        """Some known names beside this one in alphabetical order; all of them if they are few."""

    async def open_runs(self, *, after: Cursor, limit: int, whole: bool) -> Sequence[OpenRun]:
        """Runs that are not closed and end after the cursor, the first to end first; with ``whole`` each with its ``run``."""
