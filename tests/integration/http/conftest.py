from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.http import app
from tests.support import control_api
from tests.support.control_api import Api, Opened, Parts


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    async with control_api.parts(tmp_path / "var") as found:
        yield found


@pytest.fixture
async def opened(parts: Parts) -> AsyncIterator[Opened]:
    """An API over the parts, with some of them changed."""
    clients: list[TestClient[Any, Any]] = []

    async def open_(**changed: object) -> Api:
        client = TestClient(TestServer(app.build(control_api.with_services(parts, **changed))), cookie_jar=aiohttp.DummyCookieJar())
        await client.start_server()
        clients.append(client)
        return Api(client, parts)

    yield open_
    for client in clients:
        await client.close()


@pytest.fixture
async def at(opened: Opened) -> Api:
    return await opened()
