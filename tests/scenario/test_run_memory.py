"""A gateway's memory does not grow with the runs that it has opened and closed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.support.erp import Erp
from tests.support.gateway import Gateway

Site = Callable[[str], Gateway]
CONNECTIONS = 8
WARM, ALL = 10_000, 100_000
GROWTH = 1.3


@pytest.mark.soak
@pytest.mark.reliability(
    fault="100,000 runs opened and closed", case="the process needs at most 1.3 times the memory that it needed after 10,000"
)
def test_memory_does_not_grow_with_closed_runs(site: Site, erp: Erp, record_property: Callable[[str, object], None]) -> None:
    gateway = site(erp.url)
    gateway.start()
    asyncio.run(open_and_close(gateway, range(WARM)))
    warm = resident(gateway.process.pid)
    asyncio.run(open_and_close(gateway, range(WARM, ALL)))
    after = resident(gateway.process.pid)
    record_property("measured", f"{warm / 2**20:.0f} MiB after {WARM:,}, {after / 2**20:.0f} MiB after {ALL:,}: {after / warm:.2f} times")
    assert after <= GROWTH * warm, (warm, after)


async def open_and_close(gateway: Gateway, numbers: range) -> None:
    """Open and close one run for each number, over connections that are kept."""
    headers, left = {"Authorization": f"Bearer {gateway.token}"}, iter(numbers)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(gateway.control, headers=headers, connector=connector) as session:

        async def work() -> None:
            for number in left:
                body = {"run_id": f"r{number:06}", "tenant": "acme", "agent_id": "agent", "scopes": ["erp:*"]}
                async with session.post("/v1/runs", json=body) as opened:
                    assert opened.status == 201, await opened.text()
                async with session.post(f"/v1/runs/r{number:06}/close") as closed:
                    assert closed.status == 200, await closed.text()

        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))


def resident(pid: int) -> int:
    """Bytes of a process that are in memory."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
