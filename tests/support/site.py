"""A gateway in this process with a tool behind it and its control API, as operators use it; every answer has to be as described."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.test_utils import TestClient, TestServer

from gateway.app import servers
from gateway.http.server.operators import Operator, Role
from tests.support import described, rig
from tests.support.ledger import Ledger
from tests.support.rig import ADAPTER, Rig

Json = dict[str, Any]

INVOICE, REFUNDS = "/v1/tenants/acme/invoices/inv_{}", "/v1/tenants/acme/refunds"
OVER = ("clean", "residue", "needs_operator", "stopped")


@dataclass(slots=True)
class Site:
    """A gateway, its tool, and an operator's client. ``answered`` are the declared successes that were seen."""

    rig: Rig
    client: TestClient[Any, Any]
    answered: set[described.Success] = field(default_factory=set)

    async def ask(self, method: str, path: str, body: object = None, *, as_: str = "admin") -> tuple[int, Json]:
        async with self.client.request(method, path, json=body, headers={"Authorization": f"Bearer {as_}"}) as response:
            answer = await response.json(content_type=None)
            declared = described.check(method, path, response.status, response.content_type, answer)
            if declared is not None:
                self.answered.add(declared)
            return response.status, answer

    async def get(self, path: str) -> Json:
        status, answer = await self.ask("GET", path)
        assert status == 200, answer
        return answer

    async def roll_back(self, run_id: str) -> str:
        contained, _ = await self.ask("POST", "/v1/orders", {"scope": {"run": run_id}, "mode": "quarantined", "reason": "x"})
        status, begun = await self.ask("POST", "/v1/rollbacks", {"scope": {"run": run_id}, "reason": "wrong prices"}, as_="operator")
        assert (contained, status) == (201, 202), begun
        return str(begun["rollback_id"])

    async def at_rest(self, rollback_id: str) -> Json:
        async def over() -> bool:
            return (await self.get(f"/v1/rollbacks/{rollback_id}?nodes=false"))["state"] in OVER

        await rig.until_async(over, 30.0)
        return await self.get(f"/v1/rollbacks/{rollback_id}")

    def status(self, number: int) -> object:
        return self.rig.ledger.get("acme", "invoices", f"inv_{number}")["status"]


@asynccontextmanager
async def site(folder: Path, adapter: str = ADAPTER, **more: Any) -> AsyncIterator[Site]:
    ledger = Ledger()
    for number in (1, 2, 3):
        ledger.put("acme", "invoices", f"inv_{number}", status="open", number=number)
    operators = {role.value: Operator(role.value, role) for role in Role}
    async with rig.assembled(folder, ledger, adapter=adapter, **more) as found:
        app = servers.control_api(found.gateway, operators.get, "all", lambda *_, **__: None).app
        client = TestClient(TestServer(app), cookie_jar=aiohttp.DummyCookieJar())
        await client.start_server()
        try:
            yield Site(found, client)
        finally:
            await client.close()
            await found.gateway.control.supervisor.finish(5.0)


async def worked(at: Site) -> str:
    """A run that voided three invoices, one of them twice, and made a refund."""
    run = await at.rig.open()
    for number, status in ((1, "void"), (2, "void"), (3, "late"), (3, "void")):
        assert (await at.rig.call(run.lease, "PATCH", INVOICE.format(number), {"status": status})).status == 200
    assert (await at.rig.call(run.lease, "POST", REFUNDS, {"amount": 4})).status == 201
    return run.run.run_id
