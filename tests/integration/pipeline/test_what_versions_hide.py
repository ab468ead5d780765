"""What a version, or a read of the object, does not show: somebody else's headers, another object, an error that comes as a 200."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from gateway.control.runs.runs import LeasedRun
from gateway.model.run import Mode
from tests.support import rig
from tests.support.rig import Rig, header, until_async
from tests.support.shelf import Shelf, standing

ADAPTER = """
system: desk
tenant: run.tenant
objects:
  order: {{path: "/orders/{{id}}", state: reply.body, {order}}}
actions:
  - name: order.update
    match: {{method: PATCH, path: "/orders/{{id}}"}}
    object: order
    effect: write
    class: reversible
    guard: {guard}
    compensation: {{type: restore_previous_version, by: order.restore, auto: true}}
  - name: order.replace
    match: {{method: PUT, path: "/orders/{{id}}", headers: "request.headers.\\"x-guarded\\" == 'yes'"}}
    headers: {{X-Guarded: null}}
    object: order
    effect: write
    class: reversible
    guard: {guard}
    compensation: {{type: restore_previous_version, by: order.restore, delete_created: order.delete, auto: true}}
  - name: order.restore
    match: {{method: PUT, path: "/orders/{{id}}"}}
    object: order
    effect: write
    class: reversible
    compensation: {{type: restore_previous_version, by: order.restore, delete_created: order.delete, auto: true}}
  - name: order.create
    match: {{method: POST, path: "/orders"}}
    creates: {{object: order, id: reply.body.id}}
    effect: write
    class: compensatable
    verify: {{expect: "object.body.status == request.body.status", within: 100ms}}
    compensation: {{type: delete_created, by: order.delete, auto: true}}
  - name: order.delete
    match: {{method: DELETE, path: "/orders/{{id}}"}}
    object: order
    effect: write
    class: irreversible
    compensation: {{type: manual_review}}
"""

ETAG = "version: reply.headers.etag"


@asynccontextmanager
async def desk(folder: Path, shelf: Shelf, order: str, guard: str = "if_match") -> AsyncIterator[Rig]:
    async with standing(shelf), rig.assembled(folder, port=shelf.port, adapter=ADAPTER.format(order=order, guard=guard)) as at:
        try:
            yield at
        finally:
            await at.gateway.control.supervisor.finish(5.0)


async def opened(at: Rig) -> LeasedRun:
    return await at.open(scopes=("*",))


async def rolled_back(at: Rig, run: LeasedRun) -> str:
    recovery = at.gateway.recovery.rollbacks
    await at.contain(run.run.run_id, Mode.QUARANTINED)
    begun = await recovery.start(run.run.run_id, subtree=False, to="start", reason="test", by="ops")

    async def over() -> bool:
        return (await recovery.view(begun.rollback_id)).rollback.status.ended

    await until_async(over)
    return (await recovery.view(begun.rollback_id)).rollback.status.value


class Cached(Shelf):
    """A shelf whose objects have a Cache-Control that a PUT sets, and a version that is a hash of the content, or none."""

    cached = "no-store"
    tagged = True

    def usual(self, request: web.Request, body: bytes) -> web.Response:
        if request.method == "PUT":
            self.cached = request.headers.get("Cache-Control", "")
        if request.method in ("PUT", "PATCH"):
            old = self.get(request.path) if request.method == "PATCH" else {}
            self.held[request.path] = (1, {**old, **orjson.loads(body)})
        data = self.held[request.path][1]
        found = web.json_response(data, headers={"Cache-Control": self.cached} if self.cached else {})
        if self.tagged:
            found.headers["ETag"] = f'"{hashlib.md5(orjson.dumps(data)).hexdigest()}"'
        return found


@pytest.mark.parametrize("order", [f"{ETAG}, keep: [cache-control]", "version: {digest_of: state}, keep: [cache-control]"])
@pytest.mark.parametrize("edited", [True, False])
async def test_a_kept_header_that_somebody_else_changed_is_not_put_back(tmp_path: Path, order: str, edited: bool) -> None:
    shelf = Cached()
    shelf.tagged = order.startswith(ETAG)
    shelf.put("/orders/1", status="open")
    async with desk(tmp_path, shelf, order, "if_match" if shelf.tagged else "compare") as at:
        run = await opened(at)
        assert (await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})).status == 200
        if edited:
            shelf.cached = "max-age=60"
        assert await rolled_back(at, run) == ("residue" if edited else "clean")
        expected = ({"status": "paid"}, "max-age=60") if edited else ({"status": "open"}, "no-store")
        assert (shelf.get("/orders/1"), shelf.cached) == expected


async def test_kept_headers_that_the_run_itself_sent_or_left_out_are_put_back(tmp_path: Path) -> None:
    headers: tuple[dict[str, Any], ...] = ({"Cache_Control": "public"}, {})
    for sent in headers:
        shelf = Cached()
        shelf.put("/orders/1", status="open")
        async with desk(tmp_path / str(len(sent)), shelf, f"{ETAG}, keep: [cache-control]") as at:
            run = await opened(at)
            assert (await at.call(run.lease, "PUT", "/orders/1", {"status": "paid"}, **sent)).status == 200
            assert shelf.cached == sent.get("Cache_Control", "")
            assert await rolled_back(at, run) == "clean"
            assert (shelf.get("/orders/1"), shelf.cached) == ({"status": "open"}, "no-store")


async def test_another_object_verifies_nothing(tmp_path: Path) -> None:
    async def other(request: web.Request, body: bytes) -> web.StreamResponse | None:
        return None if request.method != "GET" else web.json_response({"id": "9", "status": "open"}, headers={"ETag": '"v1"'})

    shelf = Shelf(answer=other)
    async with desk(tmp_path, shelf, f"{ETAG}, id: reply.body.id") as at:
        run = await opened(at)
        made = await at.call(run.lease, "POST", "/orders", {"status": "open"})
        assert (made.status, header(made, "Killcord-Verification")) == (201, "failed")


async def test_an_error_that_comes_as_a_200_is_no_state_to_restore(tmp_path: Path) -> None:
    async def absent(request: web.Request, body: bytes) -> web.StreamResponse | None:
        missing = request.method == "GET" and request.path not in shelf.held
        return web.json_response({"error": "not found"}) if missing else None

    shelf = Shelf(answer=absent)
    async with desk(tmp_path, shelf, ETAG) as at:
        run = await opened(at)
        assert (await at.call(run.lease, "PUT", "/orders/7", {"status": "open"})).status == 200
        assert await rolled_back(at, run) == "residue"
        assert shelf.get("/orders/7") == {"status": "open"}


@pytest.mark.parametrize(("sent", "status", "ends"), [({}, 200, "residue"), ({}, 201, "clean"), ({"X_Guarded": "yes"}, 200, "clean")])
async def test_a_put_that_may_have_replaced_an_object_does_not_remove_it(
    tmp_path: Path, sent: dict[str, Any], status: int, ends: str
) -> None:
    """A replica that lags shows no object; without a condition, only a 201 says that the PUT made it."""

    async def made(request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.method != "PUT":
            return None
        shelf.put(request.path, **orjson.loads(body))
        return web.json_response({}, status=status, headers={"ETag": '"v1"'})

    shelf = Shelf(answer=made)
    async with desk(tmp_path, shelf, ETAG) as at:
        run = await opened(at)
        assert (await at.call(run.lease, "PUT", "/orders/7", {"status": "open"}, **sent)).status == status
        assert await rolled_back(at, run) == ends
        assert ("/orders/7" in shelf.held) is (ends == "residue")


@pytest.mark.parametrize(("edited", "ends"), [({"note": "somebody's"}, "residue"), ({}, "clean")])
@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_a_change_within_the_second_of_a_version_is_not_overwritten(
    tmp_path: Path, method: str, edited: dict[str, str], ends: str
) -> None:
    async def timed(request: web.Request, body: bytes) -> web.StreamResponse | None:
        found = shelf.usual(request, body)
        if "ETag" in found.headers:
            del found.headers["ETag"]
            found.headers["Last-Modified"] = f"Mon, 30 Nov 2026 10:00:0{len(shelf.writes)} GMT"
        return found

    shelf = Shelf(answer=timed)
    shelf.put("/orders/1", status="open", note="ours")
    if method == "POST":
        del shelf.held["/orders/1"]
    version = 'version: reply.headers."last-modified"'
    async with desk(tmp_path, shelf, version, "compare") as at:
        run = await opened(at)
        path, status = ("/orders/1", 200) if method == "PATCH" else ("/orders", 201)
        assert (await at.call(run.lease, method, path, {"status": "paid"})).status == status
        before = {**shelf.get("/orders/1"), **edited}
        shelf.put("/orders/1", **before)
        assert await rolled_back(at, run) == ends
        if edited:
            assert shelf.get("/orders/1") == before
        else:
            assert shelf.held.get("/orders/1", (0, None))[1] == ({"status": "open", "note": "ours"} if method == "PATCH" else None)


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_a_version_that_the_tool_gave_twice_guards_nothing(tmp_path: Path, method: str) -> None:
    """The tool was restored from a backup, or the object was removed and made again: somebody else's has the run's version."""
    shelf = Shelf()
    if method == "PATCH":
        shelf.put("/orders/1", status="open")
    async with desk(tmp_path, shelf, ETAG) as at:
        run = await opened(at)
        assert (await at.call(run.lease, method, "/orders/1" if method == "PATCH" else "/orders", {"status": "paid"})).status < 300
        theirs = (shelf.held["/orders/1"][0], {**shelf.get("/orders/1"), "status": "somebody's"})
        shelf.held["/orders/1"] = theirs
        assert await rolled_back(at, run) == "residue"
        assert shelf.held["/orders/1"] == theirs
