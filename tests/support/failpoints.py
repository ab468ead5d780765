"""A gateway that can be cut off between any two things it does to the world: entries it takes down, calls it makes.

What happens at a point is as after ``kill -9``: nothing that the gateway still does has an effect, anyone who waits is never answered. What
was taken by the journal before may be on its disk or not; here it is, which the one who waited for it does not learn of.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from gateway.app import gateway
from gateway.app import resources as parts
from gateway.app.gateway import Gateway
from gateway.clients.rego.engine import EmbeddedEngine
from gateway.model.call import Answer, Outgoing
from gateway.model.entries import Entry
from gateway.model.entry import Position, Sealed
from gateway.observe.metrics import ToolReplies
from gateway.ports import wire
from gateway.ports.clock import Clock
from gateway.ports.journal import IntentRefused, IntentRequest, JournalHealth
from gateway.settings.config import Config
from gateway.stores.sqlite.log.journal import SqliteJournal
from gateway.stores.sqlite.log.opening import Expected
from gateway.stores.sqlite.store import SqliteStore, open_store
from tests.support.toolmodel import Tool


class Crashed(BaseException):
    """The process is gone; nobody catches this."""


class Points(Protocol):
    """Where the process may be gone; both raise :class:`Crashed` where it is."""

    def point(self, name: str) -> None: ...

    def alive(self) -> None: ...


@dataclass(slots=True)
class Failpoints:
    """Counts points, and at the ``at``-th (from 1) the process is gone. ``reached`` says how often which kind of point was the one."""

    at: int | None = None
    count: int = 0
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    where: str = ""

    def arm(self, at: int) -> None:
        self.at, self.count = at, 0

    def point(self, name: str) -> None:
        """Continue, or not."""
        self.alive()
        self.count += 1
        if self.count == self.at:
            self.where = name
            self.dead.set()
            raise Crashed(name)

    def alive(self) -> None:
        if self.dead.is_set():
            raise Crashed(self.where)


@dataclass(slots=True)
class PointedJournal:
    """Points before an entry is taken, and after it is durable; with ``posts`` also around one that nobody waits for."""

    journal: SqliteJournal
    points: Points
    posts: bool = False

    @property
    def stream(self) -> str:
        return self.journal.stream

    def post(self, entry: Entry, blobs: Sequence[Sealed] = ()) -> Position:
        if not self.posts:
            self.points.alive()
            return self.journal.post(entry, blobs)
        self.points.point(f"before {_named(entry)}")
        position = self.journal.post(entry, blobs)
        self.points.point(f"after {_named(entry)}")
        return position

    async def append(self, entry: Entry, blobs: Sequence[Sealed] = ()) -> Position:
        self.points.point(f"before {_named(entry)}")
        position = await self.journal.append(entry, blobs)
        self.points.point(f"after {_named(entry)}")
        return position

    async def intend(self, request: IntentRequest) -> Position | IntentRefused:
        self.points.point("before intent")
        result = await self.journal.intend(request)
        self.points.point("after intent")
        return result

    def health(self) -> JournalHealth:
        return self.journal.health()

    async def close(self) -> None:
        await self.journal.close()


def _named(entry: Entry) -> str:
    return f"{entry.kind} {getattr(entry, 'change', None) or ''}".strip()


@dataclass(slots=True)
class FailingTool:
    """Points before a call leaves, after it was applied, and after its answer came. ``reads`` are points too."""

    tool: wire.Upstream
    points: Failpoints
    replies: ToolReplies = field(default_factory=ToolReplies)

    async def send(self, request: Outgoing, fence: Callable[[], None]) -> Answer:
        what = "read" if request.method == "GET" else "call"
        self.points.point(f"before {what}")
        answer = await self.tool.send(request, fence)
        self.points.point(f"after {what}")
        return answer

    async def close(self) -> None:
        """There are no connections."""


@dataclass(slots=True)
class World:
    """A folder and a tool, and gateways over them one after the other. Policies and configuration are read once."""

    config: Config
    tool: Tool
    engine: EmbeddedEngine
    reached: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def alive(self, points: Failpoints) -> AsyncIterator[Gateway]:
        """A gateway as it comes up, for as long as ``points`` let it be."""
        gateway = await self._assembled(points)
        try:
            yield gateway
        finally:
            points.dead.set()
            await gateway.control.supervisor.finish(0.0)
            await gateway.resources.webhooks.close()
            await gateway.resources.rates.close()
            await gateway.resources.store.close()
            if points.where:
                self.reached[points.where] += 1

    async def _assembled(self, points: Failpoints) -> Gateway:
        async def engine(*_: object, **__: object) -> EmbeddedEngine:
            return self.engine

        async def store(folder: Path, clock: Clock, expected: Expected) -> SqliteStore:
            found = await open_store(folder, clock, expected)
            found.journal = PointedJournal(found.journal, points)  # type: ignore[assignment]
            return found

        async with _ASSEMBLING, _patched() as patch:
            patch.setattr(parts, "Pool", lambda *_, **__: FailingTool(self.tool, points))
            patch.setattr(parts, "open_engine", engine)
            patch.setattr(parts, "open_store", store)
            return await gateway.assemble(self.config, lambda *_, **__: None, lambda *_: None)


_ASSEMBLING = asyncio.Lock()
"""What is put in the place of the real parts is so for all: one gateway at a time is assembled."""


@asynccontextmanager
async def _patched() -> AsyncIterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


async def recovered(gateway: Gateway) -> None:
    """As ``killcord serve`` begins, with its routines. What is recovered is recovered: once more finds nothing to do."""
    await gateway.recovery.reconciler.adopt()
    await gateway.catch_up()
    await gateway.control.monitor.idle()
    assert await gateway.recovery.reconciler.adopt() == 0
    await gateway.recovery.rollbacks.adopt()
    await gateway.recovery.automatic.catch_up()
    gateway.control.supervisor.every(0.02, "reconcile", gateway.recovery.reconciler.tick)
    gateway.control.supervisor.every(0.02, "rollbacks", gateway.recovery.tick)
