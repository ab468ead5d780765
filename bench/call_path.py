"""How far a call walks through the code: Python calls, files entered and steps from file to file, counted over a gateway in this process.

``python -m bench.call_path``. It says nothing about speed: it shows where the code is split finer than the work that it does, and its
figures hardly change from run to run, so that two states of the code can be held against each other (``--out`` keeps them as JSON).
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import aiohttp
import typer
from aiohttp import web
from msgspec import structs
from rich.console import Console
from rich.table import Table

from bench import children, killcord
from bench.children import Broken
from bench.tool import Connection, Objects
from gateway.app import gateway as app_gateway
from gateway.app import servers
from gateway.http.server.operators import Operator, Role
from gateway.settings import config as settings

_GATEWAY = f"{children.ROOT / 'gateway'}{os.sep}"
_RESUMABLE = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

_WARM_UPS = 3
_COUNTED = 3
"""The one with the fewest calls is shown: what the journal's thread does for two entries at once differs by chance."""

_QUIET = 0.3
"""Seconds without a call of ours after which a path is at its end: work after a reply belongs to it."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One call's way through the files of ``gateway/``, on all threads.

    ``calls`` are calls of Python functions (a coroutine that continues after a wait is not called again), ``crossings`` those from one
    file into another, and ``steps`` how often each pair of files is among them, as ``"from > to"``. Files are relative to the checkout.
    """

    path: str
    calls: int
    files: tuple[str, ...]
    crossings: int
    steps: dict[str, int]


class Recorder:
    """Counts calls while :attr:`on`; installed before the gateway starts its threads, for later ones only follow it."""

    def __init__(self) -> None:
        self.on = False
        self.last = 0.0
        self._clear()

    def __enter__(self) -> Recorder:
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    async def walk(self, path: str, call: Callable[[], Awaitable[object]]) -> Walk:
        """The way of ``call`` and of all that follows it, until nothing of the gateway is called any more."""
        self._clear()
        self.on, self.last = True, time.monotonic()
        try:
            await call()
            while time.monotonic() < self.last + _QUIET:
                await asyncio.sleep(_QUIET / 10)
        finally:
            self.on = False
            self._begun.clear()  # a frame keeps what it worked on alive
        steps = {f"{one} > {other}": count for (one, other), count in sorted(self._steps.items())}
        return Walk(path, self._calls, tuple(sorted(self._files)), sum(steps.values()), steps)

    def _clear(self) -> None:
        self._calls = 0
        self._files: set[str] = set()
        self._steps: Counter[tuple[str, str]] = Counter()
        self._begun: set[FrameType] = set()

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if not self.on or event != "call" or not frame.f_code.co_filename.startswith(_GATEWAY):
            return
        self.last = time.monotonic()
        if frame.f_code.co_flags & _RESUMABLE:
            if frame in self._begun:
                return
            self._begun.add(frame)
        file = _file(frame)
        self._calls += 1
        self._files.add(file)
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(_GATEWAY):
            caller = caller.f_back
        if caller is not None and (before := _file(caller)) != file:
            self._steps[before, file] += 1


def _file(frame: FrameType) -> str:
    return "gateway/" + frame.f_code.co_filename.removeprefix(_GATEWAY)


class Site:
    """Both APIs of a gateway in front of the bench's tool, and the calls whose paths are counted."""

    def __init__(self, session: aiohttp.ClientSession, data: str, control: str) -> None:
        self._session, self._data, self._control = session, data, control
        self._number = 0

    async def prepared(self, path: str) -> Callable[[], Awaitable[object]]:
        """What comes before the call that is counted is done; gives that call."""
        run_id, lease = await self._opened()
        invoice = self._invoice()
        match path:
            case "read":
                return lambda: self._agent("GET", invoice, lease)
            case "write":
                return lambda: self._agent("PATCH", invoice, lease)
            case "refused":
                await self._contained(run_id)
                return lambda: self._agent("GET", invoice, lease, status=403)
            case "order":
                return lambda: self._contained(run_id)
            case "trigger":
                return lambda: self._agent("PATCH", invoice.replace("acme", "globex"), lease, status=403)
            case "rollback":
                await self._agent("PATCH", invoice, lease)
                await self._contained(run_id)
                return lambda: self._operator("POST", "/v1/rollbacks", {"scope": {"run": run_id}, "reason": "bench"}, status=202)
        raise ValueError(path)

    async def checked(self, path: str) -> None:
        """Holds that the last rollback, where there has to be one, is over.

        Raises:
            Broken: it is not, or it did not end clean.
        """
        if path not in ("trigger", "rollback"):
            return
        newest = (await self._operator("GET", "/v1/rollbacks?limit=1000"))["items"][-1]
        if newest["state"] != "clean":
            raise Broken(f"the rollback of the path {path!r} is {newest['state']}")

    async def _opened(self) -> tuple[str, str]:
        asked = {"tenant": "acme", "agent_id": "bench", "scopes": [f"{killcord.TOOL}:*"]}
        opened = await self._operator("POST", "/v1/runs", asked, status=201)
        return opened["run"]["run_id"], opened["lease"]

    async def _contained(self, run_id: str) -> None:
        await self._operator("POST", "/v1/orders", {"scope": {"run": run_id}, "mode": "quarantined", "reason": "bench"}, status=201)

    def _invoice(self) -> str:
        self._number += 1
        return f"/v1/tenants/acme/invoices/inv-{self._number}"

    async def _agent(self, method: str, path: str, lease: str, *, status: int = 200) -> None:
        body = {"n": f"changed {self._number}"} if method == "PATCH" else None
        await self._ask(method, f"{self._data}{killcord.PREFIX}{path}", lease, body, status)

    async def _operator(self, method: str, path: str, body: object = None, *, status: int = 200) -> dict[str, Any]:
        return await self._ask(method, self._control + path, "bench", body, status)

    async def _ask(self, method: str, url: str, token: str, body: object, status: int) -> dict[str, Any]:
        async with self._session.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}) as answer:
            document: dict[str, Any] = await answer.json()
            if answer.status != status:
                raise Broken(f"{method} {url} was answered {answer.status}: {document}")
            return document


PATHS = {
    "read": "read, to the tool and back",
    "write": "write, with snapshot and verify",
    "refused": "call of a quarantined run",
    "order": "POST /v1/orders",
    "trigger": "other tenant: revoked, rolled back",
    "rollback": "rollback of one write",
}
"""What is counted, by the name that it has in the JSON. The run of ``trigger`` wrote nothing before: its rollback has nothing to do."""


async def measured(paths: Sequence[str], *, warm_ups: int = _WARM_UPS, counted: int = _COUNTED) -> list[Walk]:
    """The walks of these paths (names of :data:`PATHS`), each after the same call was made ``warm_ups`` times.

    Raises:
        Broken: a call was not answered as it has to be.
    """
    with Recorder() as recorder, tempfile.TemporaryDirectory(prefix="killcord-bench-") as folder:
        async with _site(Path(folder)) as site:
            return [await _shortest(recorder, site, path, warm_ups, counted) for path in paths]


async def _shortest(recorder: Recorder, site: Site, path: str, warm_ups: int, counted: int) -> Walk:
    walks = []
    for _ in range(warm_ups + counted):
        walks.append(await recorder.walk(path, await site.prepared(path)))
        await site.checked(path)
    return min(walks[warm_ups:], key=lambda walk: walk.calls)


@asynccontextmanager
async def _site(folder: Path) -> AsyncIterator[Site]:
    """A gateway without its periodic routines: what they do belongs to no call."""
    objects = Objects()
    tool = await asyncio.get_running_loop().create_server(lambda: Connection(objects), "127.0.0.1", 0)
    config = killcord.configured(folder, children.free_port(), children.free_port(), tool.sockets[0].getsockname()[1])
    gateway = await app_gateway.assemble(settings.load(config, killcord.SECRET), _silent, _silent)
    agents = servers.data_api(gateway)
    agents.state.bounds = structs.replace(agents.state.bounds, sweep=3600.0)
    _, data = await agents.open_tcp("127.0.0.1", 0)
    operators = servers.control_api(gateway, lambda _: Operator("bench", Role.ADMIN), "all", _silent)
    try:
        await operators.setup()
        control = web.TCPSite(operators, "127.0.0.1", gateway.config.settings.listen.control.port)
        await control.start()
        async with aiohttp.ClientSession() as session:
            yield Site(session, f"http://127.0.0.1:{data}", f"http://127.0.0.1:{gateway.config.settings.listen.control.port}")
    finally:
        await agents.drain(1.0)
        await gateway.control.supervisor.finish(1.0)
        await operators.cleanup()
        await gateway.close()
        tool.close()
        await tool.wait_closed()


def _silent(*_: object, **__: object) -> None:
    """Nobody reads the log."""


def _shown(walks: Sequence[Walk]) -> Table:
    shown = Table("path", "calls", "files", "crossings", "edges", title="Way of a call through gateway/", title_justify="left")
    for walk in walks:
        figures = (walk.calls, len(walk.files), walk.crossings, len(walk.steps))
        shown.add_row(PATHS[walk.path], *(f"{figure:,}" for figure in figures))
    return shown


def main(
    out: Annotated[Path | None, typer.Option(help="Where to keep the figures as JSON, with the files and the pairs of files.")] = None,
) -> None:
    """Count how far one call of each sort walks through the code."""
    walks = asyncio.run(measured(tuple(PATHS)))
    if out is not None:
        out.write_text(json.dumps([asdict(walk) for walk in walks], indent=1) + "\n")
    Console().print(_shown(walks))


if __name__ == "__main__":
    typer.run(main)
