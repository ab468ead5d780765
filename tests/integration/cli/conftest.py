from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from gateway.http import app
from tests.support import control_api
from tests.support.command_line import Cli, Gateway


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway that KILLCORD_URL and KILLCORD_TOKEN name."""
    started: list[Gateway] = []
    ready = threading.Event()

    async def serve() -> None:
        async with control_api.parts(tmp_path / "var") as parts:
            runner = web.AppRunner(app.build(parts.services), access_log=None, handle_signals=False)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            stop = asyncio.Event()
            stops.append(stop)
            port = runner.addresses[0][1]
            started.append(Gateway(f"http://127.0.0.1:{port}", parts, asyncio.get_running_loop()))
            ready.set()
            await stop.wait()
            await runner.cleanup()

    stops: list[asyncio.Event] = []
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    (found,) = started
    monkeypatch.setenv("KILLCORD_URL", found.url)
    monkeypatch.setenv("KILLCORD_TOKEN", "admin-token")
    yield found
    found.loop.call_soon_threadsafe(stops[0].set)
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def killcord(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)
