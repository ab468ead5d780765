"""An API that keeps objects byte for byte, in accounts that a header or a query key selects: the main one if neither does.

Objects lie at ``/orders/{id}``, with a strong entity tag, a content type and metadata (``x-meta-*``). Ids are counted per account.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.model.rollback import START, RollbackStatus
from tests.support import rig
from tests.support.ledger import Seen
from tests.support.rig import Rig


@dataclass(slots=True)
class Thing:
    body: bytes
    kind: str = "application/json"
    meta: dict[str, str] = field(default_factory=dict)
    version: int = 1
    coding: str = ""


@dataclass(slots=True)
class Shop:
    """``accepts`` and ``takes``: media types that alone are answered (else 406), and taken (else 415). ``bare``: a create is answered by
    its Location alone, if ``untagged`` without an ETag. ``drops``: metadata that a PUT does not keep. ``loses``: writes that are applied
    next and not answered. ``by``: the header that selects the account, ``written_by``: that of a write
    if it is another, which is kept. ``default``: the content type of what is written without one. ``garbles``: what is written instead of
    what was sent, ``made``: the reply to a create.
    """

    things: dict[tuple[str, str], Thing] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    accepts: str = ""
    takes: str = ""
    bare: str = ""
    untagged: bool = False
    drops: str = ""
    refuse_reads: int = 0
    loses: int = 0
    by: str = "X-Account"
    written_by: str = ""
    default: str = ""
    garbles: bytes = b""
    made: bytes = b""

    def put(self, id: str, body: bytes, kind: str = "application/json", account: str = "main", **meta: str) -> None:
        self.things[account, id] = Thing(body, kind, {f"x-meta-{name}": value for name, value in meta.items()})

    def get(self, id: str, account: str = "main") -> Thing:
        return self.things[account, id]

    @property
    def log(self) -> list[tuple[str, str, str | None]]:
        """Method, path with query and account header of each request."""
        return [(one.method, one.path, one.headers.get(self.by.lower())) for one in self.seen]

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.seen.append(Seen(request.method, request.path_qs, {k.lower(): v for k, v in request.headers.items()}, body))
        account = request.headers.get((request.method != "GET" and self.written_by) or self.by) or request.query.get("account") or "main"
        if self.accepts and self.accepts not in request.headers.get("Accept", ""):
            return web.Response(status=406)
        if body and self.takes and not request.headers.get("Content-Type", "").startswith(self.takes):
            return web.Response(status=415)
        if request.method == "POST":
            return self._made(account, body, request)
        name = account, request.path.rpartition("/")[2]
        thing = self.things.get(name)
        if request.method == "GET":
            status = self.refuse_reads or (404 if thing is None else 200)
            return web.Response(status=status) if thing is None or status != 200 else self._shown(200, thing)
        if (match := request.headers.get("If-Match")) and (thing is None or match != f'"v{thing.version}"'):
            return web.Response(status=412)
        if request.method == "DELETE":
            return web.Response(status=204 if self.things.pop(name, None) else 404)
        self.things[name] = self._changed(request, body, thing.version if thing is not None else 0)
        if self.loses:
            self.loses -= 1
            assert request.transport is not None
            request.transport.abort()
        return self._shown(200, self.things[name])

    def _made(self, account: str, body: bytes, request: web.Request) -> web.Response:
        self.counts[account] = number = self.counts.get(account, 6) + 1
        thing = self.things[account, str(number)] = self._changed(request, body, 0)
        if self.bare:
            tag = {} if self.untagged else {"ETag": f'"v{thing.version}"'}
            return web.Response(status=201, headers={"Location": self.bare.format(id=number), **tag})
        text = self.made or f'{{"id": {number}}}'.encode()
        return web.Response(status=201, body=text, content_type="application/json", headers={"ETag": '"v1"'})

    def _changed(self, request: web.Request, body: bytes, version: int) -> Thing:
        given = {name.lower(): value for name, value in request.headers.items()}
        meta = {k: v for k, v in given.items() if (k.startswith("x-meta-") and k != self.drops) or k == self.written_by.lower()}
        return Thing(
            self.garbles or body,
            request.headers.get("Content-Type", self.default),
            meta,
            version + 1,
            request.headers.get("Content-Encoding", ""),
        )

    def _shown(self, status: int, thing: Thing) -> web.Response:
        headers = {"ETag": f'"v{thing.version}"', "Content-Type": thing.kind, **thing.meta}
        if thing.coding:
            headers["Content-Encoding"] = thing.coding
        return web.Response(status=status, body=thing.body, headers=headers)


@asynccontextmanager
async def before(folder: Path, adapter: str, shop: Shop | None = None, *, tool_extra: str = "") -> AsyncIterator[tuple[Rig, Shop]]:
    """A gateway before the API, with this adapter."""
    shop = shop or Shop()
    application = web.Application(client_max_size=8 << 20)
    application.router.add_route("*", "/{path:.*}", shop.answer)
    server = TestServer(application)
    await server.start_server(auto_decompress=False)
    try:
        async with rig.assembled(folder, port=server.port, adapter=adapter, tool_extra=tool_extra) as gateway:
            yield gateway, shop
    finally:
        await server.close()


async def roll_back(gateway: Rig, run_id: str) -> tuple[str, list[tuple[str, str]], list[str]]:
    """Contain a run and roll it back: the rollback's state, each node's action and state, and why they are so or what is left."""
    await gateway.contain(run_id)
    rollbacks = gateway.gateway.recovery.rollbacks
    begun = await rollbacks.start(run_id, subtree=False, to=START, reason="test", by="test")

    async def over() -> bool:
        return (await rollbacks.view(begun.rollback_id)).rollback.status is not RollbackStatus.RUNNING

    await rig.until_async(over, 20.0)
    view = await rollbacks.view(begun.rollback_id)
    nodes = [(node.action, view.states[node.node_id].value) for node in view.plan.nodes]
    return view.rollback.status.value, nodes, [*view.rollback.residue, *(one.why or "" for one in view.marks.values())]
