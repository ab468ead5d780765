"""Gateways over one folder, one after the other, each put together as ``killcord serve`` does and ended as ``kill -9`` or SIGTERM would."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

from gateway.app import gateway
from gateway.app import resources as parts
from gateway.app.gateway import Gateway
from gateway.clients.rego.engine import EmbeddedEngine
from gateway.control.rollback import scope
from gateway.model.decision import Decision
from gateway.settings import config as settings
from gateway.settings.config import Config
from gateway.stores.sqlite.log.opening import Expected
from gateway.stores.sqlite.store import SqliteStore, open_store
from tests.support.failpoints import PointedJournal
from tests.support.invariants_points import Points
from tests.support.invariants_time import StoryClock, StoryLoop
from tests.support.invariants_tool import ScriptedTool
from tests.support.rig import EMBEDDED, ROOT
from tests.support.toolmodel import ADAPTER

WRITES = 25
"""How many a run may make."""
CONFIG = f"""
data_dir: ./var
policy: {EMBEDDED}
adapters: [./adapters]
tools: {{model: {{adapter: model, base_url: "http://127.0.0.1:9"}}}}
task_classes:
  default:
    tenants: ["*"]
    scopes: ["*"]
    ttl: 1h
    limits: {{rate: 100000/s, steps: 100000, writes: {WRITES}, records: 100000, tenants: 100000, systems: 5}}
triggers:
  anomaly.loop: off
  anomaly.retry-spike: off
  anomaly.mutation-volume: off
  uncertain.outcome-unknown: {{count: 4}}
  uncertain.partial-failure: off
  policy.denied: off
"""
STRICTER = """package killcord.authz

denials contains {"code": "no-stamps", "message": "Nothing is stamped today."} if input.action.name == "doc.stamp"

approvals contains "A note is made with a person's approval." if input.action.name == "note.make"
"""


class Policy:
    """The policy engine, that can be swapped for a stricter one, or be gone, from one call to the next."""

    def __init__(self, engines: dict[str, EmbeddedEngine]) -> None:
        self._engines = engines
        self.active = "usual"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engines[self.active], name)

    async def decide(self, document: Any) -> Decision:
        return await self._engines[self.active].decide(document)


@cache
def _config() -> tuple[Config, Path]:
    """What all stories share: a configuration, and a journal with nothing in it."""
    folder = Path(tempfile.mkdtemp(prefix="killcord-story-"))
    described = folder / "adapters" / "model"
    described.mkdir(parents=True)
    adapter = ADAPTER.replace("settle: 20ms", "settle: 5s").replace("by: note.delete, auto: true", "by: note.delete, auto: false")
    (described / "adapter.yaml").write_text(adapter)
    (folder / "killcord.yaml").write_text(CONFIG)
    return settings.load(folder / "killcord.yaml", {}), folder


@cache
def _engines() -> dict[str, EmbeddedEngine]:
    stricter = _config()[1] / "policies"
    shutil.copytree(ROOT / "policies", stricter)
    (stricter / "killcord" / "authz" / "stricter.rego").write_text(STRICTER)
    paths = {"usual": ROOT / "policies", "stricter": stricter}
    return {name: EmbeddedEngine(path, mint=lambda kind: f"{kind}_1", report=lambda *_: None) for name, path in paths.items()}


@contextlib.contextmanager
def stories() -> Iterator[None]:
    """Hold what stories share while they are told.

    No rollback waits long for calls that the tool holds. Hypothesis draws no constants from the project's own source: with them, any edit
    of any module would change which stories a fixed seed tells.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(providers, "_get_local_constants", Constants)
        patch.setattr(scope, "PATIENCE", 0.1)
        try:
            yield
        finally:
            _closed()


def _closed() -> None:
    async def close() -> None:
        for engine in _engines().values():
            await engine.close()

    asyncio.run(close())
    shutil.rmtree(_config()[1])
    _engines.cache_clear()
    _config.cache_clear()


@dataclass(slots=True)
class World:
    """``logged`` is what the gateways found wrong in the background."""

    loop: StoryLoop
    tool: ScriptedTool
    points: Points = field(default_factory=Points)
    policy: Policy = field(default_factory=lambda: Policy(_engines()))
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="killcord-", dir=_memory())))
    ahead: float = 0.0
    logged: list[str] = field(default_factory=list)
    living: Gateway | None = None

    @property
    def journal(self) -> Path:
        return self.folder / "journal.sqlite"

    @property
    def gateway(self) -> Gateway:
        assert self.living is not None
        return self.living

    async def begin(self) -> None:
        """A gateway comes up, with its clock ``ahead`` seconds; what an earlier one left is not read yet."""
        self.points.dead = asyncio.Event()
        self.tool.points = self.points
        config = replace(_config()[0], data_dir=self.folder)

        async def engine(*_: object, **__: object) -> Policy:
            return self.policy

        async def store(folder: Path, clock: Any, expected: Expected) -> SqliteStore:
            found = await open_store(folder, clock, expected)
            found.journal = PointedJournal(found.journal, self.points, posts=True)  # type: ignore[assignment]
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parts, "SystemClock", lambda: StoryClock(self.loop, self.ahead))
            patch.setattr(parts, "Pool", lambda *_, **__: self.tool)
            patch.setattr(parts, "open_engine", engine)
            patch.setattr(parts, "open_store", store)
            self.living = await gateway.assemble(config, lambda *_, **__: None, lambda *_: None, warn=self._warn)
        health = self.living.resources.store.journal.health
        self.loop.busy_while(lambda: health().lag > 0)

    async def recover(self) -> None:
        """As ``killcord serve`` begins."""
        gateway = self.gateway
        await gateway.recovery.reconciler.adopt()
        await gateway.catch_up()
        await gateway.control.monitor.idle()
        await gateway.recovery.catch_up()

    async def turn(self) -> None:
        """One turn of each routine."""
        await self.gateway.recovery.reconciler.tick()
        await self.gateway.recovery.tick()

    async def settled(self) -> None:
        """Everything that was begun in the background has ended, or the process has."""
        while (calls := self.gateway.control.supervisor._calls) and not self.points.dead.is_set():
            await self.first(*calls)

    async def first(self, *tasks: asyncio.Task[Any]) -> None:
        """Until one of the tasks has ended, or the process has."""
        dead = self.loop.create_task(self.points.dead.wait())
        try:
            await asyncio.wait({*tasks, dead}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            dead.cancel()

    async def kill(self) -> None:
        self.points.dead.set()
        await self._gone(0.0)

    async def stop(self) -> None:
        await self._gone(1.0)

    def remove(self) -> None:
        shutil.rmtree(self.folder)

    async def _gone(self, grace: float) -> None:
        gateway, self.living = self.gateway, None
        await gateway.control.supervisor.finish(grace)
        await gateway.resources.webhooks.close()
        await gateway.resources.rates.close()
        await gateway.resources.store.close()
        self.loop.busy_while(lambda: False)

    def _warn(self, event: str, **more: object) -> None:
        if "Crashed" not in str(more.get("error", "")):
            self.logged.append(f"{event} {more}")


def _memory() -> str | None:
    """A disk in memory, where there is one: what a crash may lose is not tried here."""
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir="/dev/shm"):
        return "/dev/shm"
    return None
