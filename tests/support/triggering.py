"""A ledger that can be busy, slow to tell, or tell of another object; and what came of a run that set something off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from gateway.control.runs.runs import LeasedRun
from gateway.model.call import Reply
from gateway.model.entry import Position
from gateway.model.run import Mode
from gateway.model.trigger import Incident
from tests.support import rig
from tests.support.ledger import Ledger
from tests.support.rig import Rig

INVOICE = "/v1/tenants/acme/invoices/inv_1"
REFUNDS = "/v1/tenants/acme/refunds"
ELSEWHERE = "/v1/tenants/globex/invoices/inv_1"
ARCHIVE = "/v1/tenants/acme/archive/inv_1"

SCHEMA = {"type": "object", "required": ["data"], "properties": {"data": {"type": "object", "required": ["status"]}}}

_ARCHIVE = '  - {name: archive.read, match: {method: GET, path: "/v1/tenants/{tenant}/archive/{id}"}, effect: read}\n'

ADAPTER = rig.ADAPTER
for found, put in (
    ('invoices/{id}", version', 'invoices/{id}", id: reply.body.data.id, version'),
    ("object: invoice, effect: read}\n", "object: invoice, effect: read, fallback: archive.read, reply_schema: reply.json}\n"),
    ("  - name: invoice.update\n", f"{_ARCHIVE}  - name: invoice.update\n"),
    ("verify: {expect:", "reply_schema: reply.json\n    verify: {expect:"),
):
    assert found in ADAPTER
    ADAPTER = ADAPTER.replace(found, put, 1)
"""The rig's adapter; an invoice tells its id, has a form, and can be read in an archive where the ledger is busy."""


@dataclass(slots=True)
class Moody(Ledger):
    """A ledger with more bad days. ``busy`` reads are answered with ``status``; ``stale`` ones with the state before the last write.

    ``retry_after`` goes with a busy answer. ``answers`` is a body that stands in for that of any reply about an invoice.
    ``never`` holds reads back permanently. ``pretend`` writes are answered as if they were done, and are not; after ``overtaken`` ones
    a person writes at once. ``writes_as`` is the status of all writes.
    """

    busy: int = 0
    status: int = 503
    retry_after: str | None = None
    stale: int = 0
    answers: object = None
    never: int = 0
    pretend: int = 0
    overtaken: int = 0
    writes_as: int | None = None
    before: dict[tuple[str, str, str], tuple[int, dict[str, object]]] = field(default_factory=dict)

    def _read(self, tenant: str, kind: str, rest: list[str]) -> web.Response:
        if kind == "invoices" and self.answers is not None:
            return web.json_response(self.answers, headers={"ETag": '"v1"'})
        if kind == "invoices" and self._counted("busy"):
            more = {} if self.retry_after is None else {"Retry-After": self.retry_after}
            return web.json_response({"error": "busy"}, status=self.status, headers=more)
        if kind == "invoices" and self._counted("stale"):
            version, data = self.before[tenant, kind, rest[0]]
            return self._shown(200, data, version)
        return Ledger._read(self, tenant, kind, rest)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and "/invoices/" in request.path and self._counted("never"):
            await asyncio.Event().wait()
        return await Ledger.answer(self, request)

    def _written(self, request: web.Request, tenant: str, kind: str, rest: list[str], data: dict[str, object]) -> web.StreamResponse:
        if self.writes_as is not None:
            return web.json_response({"error": "no"}, status=self.writes_as)
        self.before = dict(self.objects)
        reply = Ledger._written(self, request, tenant, kind, rest, data)
        if self._counted("pretend"):
            self.objects = dict(self.before)
        if self._counted("overtaken"):
            self.put(tenant, kind, rest[0], id=rest[0], status="held", by="a person")
        return reply

    @property
    def reads(self) -> list[str]:
        return [one.path for one in self.seen if one.method == "GET"]


@asynccontextmanager
async def moody(folder: Path, **more: Any) -> AsyncIterator[Rig]:
    """A gateway over a moody ledger that holds one open invoice."""
    described = folder / "adapters" / "ledger"
    described.mkdir(parents=True, exist_ok=True)
    (described / "reply.json").write_bytes(orjson.dumps(SCHEMA))
    ledger = more.pop("ledger", None) or Moody()
    async with rig.assembled(folder, ledger, adapter=ADAPTER, **more) as made:
        if not ledger.objects:
            ledger.put("acme", "invoices", "inv_1", id="inv_1", status="open")
            ledger.put("acme", "archive", "inv_1", id="inv_1", status="open", archived=True)
        yield made


def tool(made: Rig) -> Moody:
    assert isinstance(made.ledger, Moody)
    return made.ledger


@dataclass(slots=True)
class Agent:
    """One run and its calls, each reply kept."""

    rig: Rig
    opened: LeasedRun
    replies: list[Reply] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        return self.opened.run.run_id

    @property
    def last(self) -> Reply:
        return self.replies[-1]

    async def call(self, method: str, path: str, body: object = None, **headers: Any) -> Reply:
        """Header names with ``_`` for ``-``."""
        self.replies.append(await self.rig.call(self.opened.lease, method, path, body, **headers))
        return self.last

    async def read(self, path: str = INVOICE, **headers: str) -> Reply:
        return await self.call("GET", path, **headers)

    async def update(self, status: str, *, key: str | None = None, **headers: str) -> Reply:
        return await self.call("PATCH", INVOICE, {"status": status}, **({"Idempotency_Key": key} if key else {}), **headers)

    async def refund(self, amount: int, *, key: str | None = None, **headers: str) -> Reply:
        return await self.call("POST", REFUNDS, {"amount": amount}, **({"Idempotency_Key": key} if key else {}), **headers)

    def mode(self) -> Mode:
        """What the mirror says now, without any wait in between."""
        run, generation = self.opened.run, self.opened.run.generation
        return self.rig.gateway.control.containment.replica.hold(run, generation, "ledger", now=self.rig.gateway.resources.clock.now()).mode

    async def incidents(self) -> list[Incident]:
        return list(await self.rig.gateway.resources.store.incidents.incidents(run=self.run_id))

    async def responses(self) -> list[dict[str, Any]]:
        return await self.rig.journal(self.run_id, "response")

    async def triggers(self) -> list[str]:
        return [one["trigger"]["name"] for one in await self.rig.journal(self.run_id, "trigger")]


async def agent(made: Rig, **asked: Any) -> Agent:
    return Agent(made, await made.open(**asked))


async def entry_at(made: Rig, position: str) -> dict[str, Any]:
    """The entry at a position; there has to be one."""
    stream, _, seq = position.rpartition("/")
    line = await made.gateway.resources.store.history.line(Position(stream, int(seq)))
    assert line is not None, f"there is no entry {position}"
    found: dict[str, Any] = orjson.loads(line)
    return found


async def recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """One entry of each sort, as the line wrote it and the journal keeps it; ``refusal`` ones by their code and effect."""
    async with moody(folder) as made:
        one = await agent(made, limits={"writes": 6, "records": 100})
        await one.read(Killcord_Confidence="0.4")
        await one.refund(1, key="k1", Killcord_Parent_Step="pay")
        await one.refund(1, key="k1")
        tool(made).refuse = 1
        await one.refund(2, Killcord_Parent_Step="pay")
        tool(made).drop_after_apply = 1
        other = await agent(made)
        await other.refund(3)
        made.ledger.hold = asyncio.Event()
        first = asyncio.ensure_future(other.refund(4, key="k4"))
        await rig.until(lambda: made.ledger.seen[-1].body == b'{"amount":4}')
        await other.refund(4, key="k4")
        made.ledger.hold.set()
        await first
        narrow = await agent(made, scopes=("ledger:invoice.read",))
        await narrow.refund(1)
        await narrow.read("/v1/tenants/acme/invoices")
        await (await agent(made)).read(ELSEWHERE)
        await (await agent(made)).call("PATCH", ELSEWHERE, {"status": "x"})
        small = await agent(made, limits={"writes": 1})
        await small.refund(1)
        await small.refund(2)
        found: dict[str, dict[str, Any]] = {}
        for entry in await made.journal():
            name = entry["kind"]
            if name == "outcome":
                name = f"outcome {entry['result']}"
            elif name == "refusal":
                name = f"refusal {entry['code']} {entry['effect']}"
            found.setdefault(name, entry)
        return found
