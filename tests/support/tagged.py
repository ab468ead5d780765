"""An HTTP API whose entity tags can be of every style that servers have, in front of objects of JSON; and a gateway before it.

Objects live under ``/items/{id}``. Tags follow the reply's coding as servers and proxies make them follow it.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import brotli
import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.control.runs.runs import LeasedRun
from gateway.model.call import Reply
from gateway.model.rollback import START, RollbackStatus
from gateway.model.run import Mode, Scope
from tests.support import rig
from tests.support.rig import Rig, until_async

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Json = dict[str, Any]
Suffixed = Callable[[str, str], str]
"""The tag of a reply from its version and its coding, empty for none."""

CODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
"""Those that it uses where the client accepts them."""
_ALWAYS = {**CODINGS, "br": brotli.compress, "zstd": zstd.compress, "compress": lambda body: b"\x1f\x9d" + body}


def strong(version: str, coding: str) -> str:
    return f'"{version}"'


def weak(version: str, coding: str) -> str:
    return f'W/"{version}"'


def weak_if_coded(version: str, coding: str) -> str:
    """nginx: a strong tag becomes weak when the reply is compressed on its way."""
    return f'W/"{version}"' if coding else f'"{version}"'


def suffixed(separator: str) -> Suffixed:
    """Apache ``-gzip``, Jetty ``--gzip``, others ``;gzip``."""
    return lambda version, coding: f'"{version}{separator}{coding}"' if coding else f'"{version}"'


@dataclass(slots=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Tagged:
    """``compares`` is how it judges If-Match: ``strongly`` (RFC 9110), ``verbatim``, ``not`` at all, or ``never`` fulfilled.

    ``always`` is a coding that it uses whatever the client accepts. ``shows`` shapes an object's body; ``tagless`` gives no ETag.
    """

    tag: Suffixed = strong
    compares: str = "strongly"
    always: str = ""
    tagless: bool = False
    shows: Callable[[str, int, Json], object] = lambda name, version, data: {"id": name, **data}
    judge: Callable[[Asked, int], web.Response | None] = lambda asked, version: None
    after: Callable[[Asked], None] = lambda asked: None
    numbers: Callable[[int], str] = lambda version: f"v{version}"
    empty_replies: bool = False
    objects: dict[str, tuple[int, Json]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    made: int = 0
    read: Callable[[Asked, str], web.Response] | None = None

    def put(self, name: str, **data: object) -> None:
        """Somebody's write, past the gateway."""
        self.objects[name] = (self.objects.get(name, (0, {}))[0] + 1, dict(data))

    def data(self, name: str) -> Json:
        return self.objects[name][1]

    @property
    def writes(self) -> list[Asked]:
        return [one for one in self.asked if one.method not in ("GET", "HEAD")]

    async def answer(self, request: web.Request) -> web.Response:
        asked = Asked(request.method, request.path_qs, {k.lower(): v for k, v in request.headers.items()}, await request.read())
        self.asked.append(asked)
        name = request.path.removeprefix("/items").strip("/")
        if request.method in ("GET", "HEAD"):
            return (self.read or self._read)(asked, name)
        reply = self._written(asked, name)
        self.after(asked)
        return reply

    def _read(self, asked: Asked, name: str) -> web.Response:
        if name not in self.objects:
            return web.Response(status=404)
        known = asked.headers.get("if-none-match", "")
        tag = self.tag(self.numbers(self.objects[name][0]), self._coding(asked))
        if known and tag.removeprefix("W/") in known:
            return web.Response(status=304, headers={"ETag": tag})
        whole = self._shown(200, asked, name)
        if "range" in asked.headers:
            body = whole.body
            assert isinstance(body, bytes)
            return web.Response(status=206, body=body[:1], headers={"ETag": tag, "Content-Range": f"bytes 0-0/{len(body)}"})
        return whole

    def _written(self, asked: Asked, name: str) -> web.Response:
        if not name:
            self.made += 1
            name = f"made-{self.made}"
            self.put(name, **orjson.loads(asked.body))
            return self._shown(201, asked, name)
        version, old = self.objects.get(name, (0, {}))
        if (refused := self.judge(asked, version)) is not None:
            return refused
        if not self._matches(asked.headers, version, name):
            return web.json_response({"error": "version"}, status=412)
        if asked.method == "DELETE":
            self.objects.pop(name, None)
            return web.Response(status=204)
        sent = orjson.loads(asked.body)
        self.put(name, **({**old, **sent} if asked.method == "PATCH" else sent))
        return self._shown(200, asked, name)

    def _matches(self, headers: dict[str, str], version: int, name: str) -> bool:
        if headers.get("if-none-match") == "*" and name in self.objects:
            return False
        wanted = headers.get("if-match")
        if wanted is None or self.compares == "not" or wanted == "*":
            return True
        current = self.tag(self.numbers(version), "")
        return wanted == current and (self.compares == "verbatim" or (self.compares == "strongly" and not wanted.startswith("W/")))

    def _coding(self, asked: Asked) -> str:
        accepted = asked.headers.get("accept-encoding", "")
        return self.always or next((one for one in CODINGS if one in accepted), "")

    def _shown(self, status: int, asked: Asked, name: str) -> web.Response:
        version, data = self.objects[name]
        coding = self._coding(asked)
        headers = {} if self.tagless else {"ETag": self.tag(self.numbers(version), coding)}
        if self.empty_replies and asked.method not in ("GET", "HEAD"):
            return web.Response(status=204, headers=headers)
        body = orjson.dumps(self.shows(name, version, data))
        headers |= {"Content-Type": "application/json"} | ({"Content-Encoding": coding} if coding else {})
        return web.Response(status=status, headers=headers, body=_ALWAYS[coding](body) if coding else body)


ADAPTER = """
system: shop
tenant: run.tenant
objects:
  item: {path: "/items/{id}", version: VERSION, state: STATE}
actions:
  - {name: item.read, match: {method: GET, path: "/items/{id}"}, object: item, effect: read}
  - name: item.create
    match: {method: POST, path: /items}
    creates: {object: item, id: reply.body.id}
    effect: write
    class: reversible
    compensation: {type: delete_created, by: item.delete, auto: true}
  - name: item.update
    match: {method: PATCH, path: "/items/{id}"}
    object: item
    effect: write
    class: reversible
    guard: GUARD
    idempotency: {gateway: true, window: 1ms}
    VERIFY
    compensation: {type: restore_previous_version, by: item.replace, body: BODY, auto: true}
  - name: item.replace
    match: {method: PUT, path: "/items/{id}"}
    object: item
    effect: write
    class: reversible
    guard: GUARD
    compensation: {type: restore_previous_version, by: item.replace, body: BODY, delete_created: item.delete, auto: true}
  - name: item.delete
    match: {method: DELETE, path: "/items/{id}"}
    object: item
    effect: write
    class: reversible
    guard: GUARD
    compensation: {type: restore_previous_version, by: item.replace, body: BODY, auto: true}
"""


def adapter(
    *,
    version: str = "reply.headers.etag",
    guard: str = "if_match",
    state: str = "\"without(reply.body, ['id'])\"",
    body: str = "snapshot",
    verify: str = "",
) -> str:
    filled = {"VERSION": version, "STATE": state, "GUARD": guard, "BODY": body, "VERIFY": verify}
    text = ADAPTER
    for name, value in filled.items():
        text = text.replace(name, value)
    return text


@dataclass(slots=True)
class Shop:
    """A gateway before a :class:`Tagged`, and one run."""

    rig: Rig
    tool: Tagged
    run: LeasedRun

    async def call(self, method: str, name: str = "", body: object = None, **headers: str) -> Reply:
        sent: dict[str, Any] = {"Accept_Encoding": "gzip, deflate", **headers}
        return await self.rig.call(self.run.lease, method, f"/items/{name}" if name else "/items", body, **sent)

    async def rolled_back(self) -> tuple[str, list[str]]:
        """Contain the run and roll it back: how that ended, and the tasks that it left to people."""
        run_id = self.run.run.run_id
        await self.rig.gateway.control.containment.make(Scope(run=run_id), Mode.QUARANTINED, reason="test", by="test")
        rollbacks = self.rig.gateway.recovery.rollbacks
        begun = await rollbacks.start(run_id, subtree=False, to=START, reason="test", by="test")
        store = self.rig.gateway.resources.store

        async def over() -> bool:
            found = await store.rollbacks.rollback(begun.rollback_id)
            return found is not None and found.status is not RollbackStatus.RUNNING

        await until_async(over)
        tasks = await store.registry.tasks(run=run_id, limit=None)
        found = await store.rollbacks.rollback(begun.rollback_id)
        assert found is not None
        return found.status.value, [task.summary for task in tasks]


@asynccontextmanager
async def shop(folder: Path, tool: Tagged, described: str | None = None) -> AsyncIterator[Shop]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", tool.answer)
    server = TestServer(application)
    await server.start_server()
    try:
        async with rig.assembled(folder, port=server.port, adapter=described or adapter()) as made:
            yield Shop(made, tool, await made.open())
    finally:
        await server.close()
