"""What the tests of the line share: a gateway over a ledger that holds one open invoice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import rig
from tests.support.rig import Rig


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig.assembled(tmp_path) as assembled:
        assembled.ledger.put("acme", "invoices", "inv_1", status="open", amount=10)
        yield assembled
