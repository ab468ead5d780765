"""An object has one name everywhere: two tools of one system, and what is made beneath a parent, are told apart and undone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from gateway.control.runs.runs import LeasedRun
from gateway.model.call import Reply
from gateway.model.run import Mode
from tests.support import rig
from tests.support.rig import Rig, until_async
from tests.support.shelf import Shelf, standing

ADAPTER = """
system: desk
tenant: run.tenant
objects:
  order: {path: "/orders/{id}", version: reply.headers.etag, state: reply.body}
  issue: {path: "/projects/{project}/issues/{id}", version: reply.headers.etag, state: reply.body, id: reply.body.id}
  note: {path: "/notes/{id}/of/{project}/{page}", version: reply.headers.etag, state: reply.body}
actions:
  - {name: order.read, match: {method: GET, path: "/orders/{id}"}, object: order, effect: read}
  - name: order.update
    match: {method: PATCH, path: "/orders/{id}"}
    object: order
    effect: write
    class: reversible
    guard: if_match
    compensation: {type: restore_previous_version, by: order.replace, auto: true}
  - name: order.replace
    match: {method: PUT, path: "/orders/{id}"}
    object: order
    effect: write
    class: reversible
    guard: if_match
    compensation: {type: restore_previous_version, by: order.replace, auto: true}
  - name: issue.create
    match: {method: POST, path: "/projects/{project}/issues"}
    creates: {object: issue, id: reply.body.id}
    effect: write
    class: compensatable
    verify: {expect: "object.body.title == request.body.title", within: 200ms}
    compensation: {type: delete_created, by: issue.delete, auto: true}
  - name: issue.replace
    match: {method: PUT, path: "/projects/{project}/issues/{id}"}
    object: issue
    effect: write
    class: reversible
    guard: if_match
    compensation: {type: restore_previous_version, by: issue.replace, auto: true}
  - name: issue.delete
    match: {method: DELETE, path: "/projects/{project}/issues/{id}"}
    object: issue
    effect: write
    class: irreversible
    compensation: {type: manual_review}
  - name: note.create
    match: {method: POST, path: "/pages/{page}/projects/{project}/notes"}
    creates: {object: note, id: reply.body.id}
    effect: write
    class: compensatable
    compensation: {type: delete_created, by: note.delete, auto: true}
  - name: note.delete
    match: {method: DELETE, path: "/notes/{id}/of/{project}/{page}"}
    object: note
    effect: write
    class: irreversible
    compensation: {type: manual_review}
"""


@asynccontextmanager
async def desks(folder: Path) -> AsyncIterator[tuple[Rig, Shelf, Shelf]]:
    """Two tools, ``ledger`` and ``us``, on one adapter."""
    first, second = Shelf(), Shelf()
    async with standing(first, second):
        more = f'mode: enforce\n  us: {{adapter: ledger, base_url: "http://127.0.0.1:{second.port}"}}'
        async with rig.assembled(folder, port=first.port, adapter=ADAPTER, tool_extra=more) as found:
            try:
                yield found, first, second
            finally:
                await found.gateway.control.supervisor.finish(5.0)


async def opened(at: Rig) -> LeasedRun:
    return await at.open(scopes=("*",))


async def rolled_back(at: Rig, run: LeasedRun) -> tuple[str, list[str]]:
    """How the rollback of a run ends, and the nodes of its plan."""
    recovery = at.gateway.recovery.rollbacks
    await at.contain(run.run.run_id, Mode.QUARANTINED)
    begun = await recovery.start(run.run.run_id, subtree=False, to="start", reason="test", by="ops")

    async def over() -> bool:
        return (await recovery.view(begun.rollback_id)).rollback.status.ended

    await until_async(over)
    view = await recovery.view(begun.rollback_id)
    assert set(view.states.values()) == {"done"}, view
    return view.rollback.status.value, [node.target.name for node in view.plan.nodes]


def said(reply: Reply) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(reply.body)
    return found


async def test_two_tools_of_one_system_share_no_sighting_and_no_plan_node(tmp_path: Path) -> None:
    async with desks(tmp_path) as (at, eu, us):
        eu.put("/orders/1", status="open")
        for status in ("open", "late"):
            us.put("/orders/1", status=status)
        run = await opened(at)
        assert (await at.call(run.lease, "GET", "/orders/1")).status == 200  # at "v1"; the other tool's is at "v2"
        assert (await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"}, tool="us")).status == 200
        assert (await at.call(run.lease, "PATCH", "/orders/1", {"status": "void"})).status == 200
        first, second = await at.writes(run.run.run_id)
        assert first.target.object != second.target.object
        assert await rolled_back(at, run) == ("clean", ["ledger/desk:order:1", "us/desk:order:1"])
        assert (eu.get("/orders/1"), us.get("/orders/1")) == ({"status": "open"}, {"status": "late"})


async def test_a_content_key_does_not_lapse_by_a_write_of_the_other_tool(tmp_path: Path) -> None:
    async with desks(tmp_path) as (at, eu, us):
        eu.put("/orders/1", status="open")
        us.put("/orders/1", status="open")
        run = await opened(at)
        assert (await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})).status == 200
        assert (await at.call(run.lease, "PATCH", "/orders/1", {"status": "void"}, tool="us")).status == 200
        again = await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})
        assert rig.header(again, "Idempotent-Replayed") == "true"
        assert len(eu.writes) == 1


async def test_what_is_made_beneath_a_parent_is_one_object_with_what_is_done_to_it(tmp_path: Path) -> None:
    async with desks(tmp_path) as (at, eu, _):
        run = await opened(at)
        for project in ("web", "app"):  # each has its own issue 1
            made = await at.call(run.lease, "POST", f"/projects/{project}/issues", {"title": project})
            assert (made.status, rig.header(made, "Killcord-Verification")) == (201, "passed")
        assert (await at.call(run.lease, "PUT", "/projects/web/issues/1", {"id": "1", "title": "other"})).status == 200
        outcomes = await at.journal(run.run.run_id, "outcome")
        assert [one["target"]["id"] for one in outcomes] == ["web/1", "app/1", "web/1"]
        assert [one["after_ref"] for one in outcomes[:2]] == ["desk:issue:web/1:v1", "desk:issue:app/1:v1"]
        state, names = await rolled_back(at, run)
        assert (state, sorted(set(names))) == ("clean", ["ledger/desk:issue:app/1", "ledger/desk:issue:web/1"])
        assert eu.held == {}


async def test_captures_in_another_order_and_an_id_in_front(tmp_path: Path) -> None:
    async with desks(tmp_path) as (at, eu, _):

        async def elsewhere(request: object, body: bytes) -> None:
            if b"made" in body:  # the tool keeps it at the object's own path
                eu.held["/notes/1/of/web/start"] = (1, {"id": "1"})

        eu.answer = elsewhere
        run = await opened(at)
        assert (await at.call(run.lease, "POST", "/pages/start/projects/web/notes", {"what": "made"})).status == 201
        (write,) = await at.writes(run.run.run_id)
        assert write.target.id == "1/web/start"
        assert (await rolled_back(at, run))[0] == "clean"
        assert [one.path for one in eu.writes if one.method == "DELETE"] == ["/notes/1/of/web/start"]


@pytest.mark.parametrize("claimed", ["../1", "1/../../2", "a/b", ".", "web/1"])
async def test_an_id_that_is_no_segment_makes_no_path_beneath_a_parent_either(tmp_path: Path, claimed: str) -> None:
    async with desks(tmp_path) as (at, eu, _):

        async def hostile(request: object, body: bytes) -> object:
            from aiohttp import web

            return web.json_response({"id": claimed}, status=201) if body else None

        eu.answer = hostile  # type: ignore[assignment]
        run = await opened(at)
        await at.call(run.lease, "POST", "/pages/start/projects/web/notes", {"what": "x"})
        await at.contain(run.run.run_id, Mode.QUARANTINED)
        recovery = at.gateway.recovery.rollbacks
        begun = await recovery.start(run.run.run_id, subtree=False, to="start", reason="test", by="ops")

        async def over() -> bool:
            return (await recovery.view(begun.rollback_id)).rollback.status.ended

        await until_async(over)
        assert set((await recovery.view(begun.rollback_id)).states.values()) == {"task"}
        assert [one.method for one in eu.writes] == ["POST"]
