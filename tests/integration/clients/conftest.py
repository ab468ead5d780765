"""A gateway under webhooks that lose no time between two turns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clients.webhook import delivery
from tests.support.rig import Rig, assembled


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "IDLE", 0.02)


@pytest.fixture
async def rig(tmp_path: Path, hurried: None) -> AsyncIterator[Rig]:
    async with assembled(tmp_path) as one:
        yield one
