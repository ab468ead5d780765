"""What a tool's words mean for a write: proven failures within a 200, dry runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from gateway.model.effect import State
from gateway.model.run import Mode
from tests.support import rig
from tests.support.rig import Rig, code, header
from tests.support.shelf import Shelf, standing

ADAPTER = """
system: desk
tenant: run.tenant
objects:
  order: {path: "/orders/{id}", version: reply.headers.etag, state: reply.body}
actions:
  - name: chat.post
    match: {method: POST, path: "/chat.postMessage"}
    effect: write
    class: irreversible
    success: "reply.body.ok == `true`"
    failed: "reply.body.ok == `false` && reply.body.error != 'internal_error'"
    cost: {amount: {sent: request.body.amount}}
    compensation: {type: manual_review}
  - name: graph.change
    match: {method: POST, path: "/graphql"}
    effect: write
    class: irreversible
    failed: "length(reply.body.errors || `[]`) > `0` && reply.body.data == `null`"
    compensation: {type: manual_review}
  - name: order.create
    match: {method: POST, path: "/orders", query: [dry_run]}
    creates: {object: order, id: reply.body.id}
    effect: write
    class: compensatable
    dry_run: request.query.dry_run == 'true'
    cost: {amount: {sent: request.body.amount}}
    verify: {expect: "object.body.amount == request.body.amount", within: 200ms}
    compensation: {type: delete_created, by: order.delete, auto: true}
  - name: order.delete
    match: {method: DELETE, path: "/orders/{id}"}
    object: order
    effect: write
    class: irreversible
    compensation: {type: manual_review}
  - name: pod.create
    match: {method: POST, path: "/pods"}
    creates: {object: order, id: reply.body.id}
    effect: write
    class: compensatable
    dry_run: {if: "request.body.dryRun == `true`", confirmed: "reply.body.dryRun == `true`"}
    compensation: {type: delete_created, by: order.delete, auto: true}
"""
FREE = Path(__file__).resolve().parents[3] / "policies"


def answering(status: int, body: object) -> Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request, sent: bytes) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return answer


@asynccontextmanager
async def desk(folder: Path, adapter: str = ADAPTER) -> AsyncIterator[tuple[Rig, Shelf]]:
    shelf = Shelf()
    # Shadow mode: the approvals of irreversible calls are another matter.
    more = "mode: shadow\n    until: 2999-01-01"
    async with standing(shelf), rig.assembled(folder, port=shelf.port, adapter=adapter, tool_extra=more) as at:
        yield at, shelf


async def modes(at: Rig, run_id: str) -> list[str]:
    return [one["order"]["mode"] for one in await at.journal(kind="order") if one["order"]["scope"].get("run") == run_id]


@pytest.mark.parametrize("status", [200, 202, 400, 500])
async def test_a_definite_no_in_words_is_a_failure_and_no_uncertainty(tmp_path: Path, status: int) -> None:
    async with desk(tmp_path) as (at, shelf):
        shelf.answer = answering(status, {"ok": False, "error": "channel_not_found"})
        run = await at.open(scopes=("*",))
        for number in range(4):
            reply = await at.call(run.lease, "POST", "/chat.postMessage", {"channel": f"typo-{number}", "amount": 1})
            assert (reply.status, orjson.loads(reply.body)) == (status, {"ok": False, "error": "channel_not_found"})
            assert header(reply, "Killcord-Outcome") == ("failed" if status < 300 else None)
        assert {one["result"] for one in await at.journal(run.run.run_id, "outcome")} == {"failed"}
        assert await modes(at, run.run.run_id) == []
        shelf.answer = answering(200, {"ok": True})
        again = await at.call(run.lease, "POST", "/chat.postMessage", {"channel": "typo-0", "amount": 1})
        assert (again.status, header(again, "Idempotent-Replayed")) == (200, None)  # the key was free
        assert [one.state for one in await at.writes(run.run.run_id)] == [State.FAILED] * 4 + [State.STANDING]


@pytest.mark.parametrize(
    ("path", "status", "body", "result"),
    [
        ("/chat.postMessage", 200, {"ok": False, "error": "internal_error"}, "unknown"),
        ("/chat.postMessage", 200, {"ok": "false"}, "unknown"),
        ("/chat.postMessage", 200, [], "unknown"),
        ("/chat.postMessage", 500, {"ok": False, "error": "internal_error"}, "unknown"),
        ("/graphql", 200, {"errors": [{"message": "no"}], "data": None}, "failed"),
        ("/graphql", 200, {"errors": [{"message": "no"}]}, "failed"),
        ("/graphql", 200, {"errors": [{"message": "half"}], "data": {"a": 1}}, "success"),
        ("/graphql", 200, {"data": {"a": 1}}, "success"),
        ("/graphql", 502, {"data": {"a": 1}}, "unknown"),
    ],
)
async def test_only_what_is_exactly_true_is_a_failure(tmp_path: Path, path: str, status: int, body: object, result: str) -> None:
    async with desk(tmp_path) as (at, shelf):
        shelf.answer = answering(status, body)
        run = await at.open(scopes=("*",))
        assert (await at.call(run.lease, "POST", path, {"amount": 1})).status == status
        assert [one["result"] for one in await at.journal(run.run.run_id, "outcome")] == [result]


async def test_a_reply_that_is_success_and_failure_proves_nothing(tmp_path: Path) -> None:
    both = ADAPTER.replace(
        "failed: \"reply.body.ok == `false` && reply.body.error != 'internal_error'\"", 'failed: "reply.body.ok == `true`"'
    )
    async with desk(tmp_path, both) as (at, shelf):
        shelf.answer = answering(200, {"ok": True})
        run = await at.open(scopes=("*",))
        await at.call(run.lease, "POST", "/chat.postMessage", {"amount": 1})
        assert [one["result"] for one in await at.journal(run.run.run_id, "outcome")] == ["unknown"]


async def test_a_dry_run_is_a_read_and_costs_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, shelf):
        shelf.answer = answering(200, {"preview": True, "total": 33})
        run = await at.open(scopes=("*",))
        for _ in range(4):
            reply = await at.call(run.lease, "POST", "/orders?dry_run=true", {"amount": 33})
            assert (reply.status, header(reply, "Killcord-Verification")) == (200, None)
        entries = await at.journal(run.run.run_id)
        assert [one["kind"] for one in entries if one["kind"] != "run"] == ["read"] * 4
        assert all(
            (one["effect"], one["dry_run"], one["action"]) == ("read", True, "order.create") for one in entries if one["kind"] == "read"
        )
        counters = await at.gateway.resources.store.registry.counters(f"run:{run.run.run_id}")
        assert counters == {"steps": 4}
        assert await at.writes(run.run.run_id) == []
        assert await modes(at, run.run.run_id) == []


async def test_a_dry_run_waits_while_the_run_may_only_read(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, shelf):
        run = await at.open(scopes=("*",))
        await at.contain(run.run.run_id, Mode.READ_ONLY)
        assert code(await at.call(run.lease, "POST", "/orders?dry_run=true", {"amount": 33})) == "run-read-only"
        assert shelf.seen == []


@pytest.mark.parametrize("value", ["false", "1", "TRUE", "", "true%20"])
async def test_what_is_not_exactly_a_dry_run_is_a_write(tmp_path: Path, value: str) -> None:
    async with desk(tmp_path) as (at, _):
        run = await at.open(scopes=("*",))
        assert (await at.call(run.lease, "POST", f"/orders?dry_run={value}", {"amount": 1})).status == 201
        assert [one.state for one in await at.writes(run.run.run_id)] == [State.STANDING]


@pytest.mark.parametrize(
    ("path", "body", "answer", "made"),
    [
        ("/orders?dry_run=true", {"amount": 1}, (201, {"preview": True}), True),
        ("/orders?dry_run=true", {"amount": 1}, (200, {"id": "7"}), True),
        ("/orders?dry_run=true", {"amount": 1}, (202, {}), True),
        ("/orders?dry_run=true", {"amount": 1}, (422, {"error": "no"}), False),
        ("/orders?dry_run=true", {"amount": 1}, (200, {"id": None}), False),
        ("/pods", {"dryRun": True}, (201, {"id": "7", "dryRun": True}), False),
        ("/pods", {"dryRun": True}, (201, {"id": "7"}), True),
        ("/pods", {"dryRun": True}, (200, {}), True),
    ],
)
async def test_a_dry_run_that_made_something_stops_the_runs_writes(
    tmp_path: Path, path: str, body: object, answer: tuple[int, object], made: bool
) -> None:
    async with desk(tmp_path) as (at, shelf):
        shelf.answer = answering(*answer)
        run = await at.open(scopes=("*",))
        assert (await at.call(run.lease, "POST", path, body)).status == answer[0]
        assert await modes(at, run.run.run_id) == (["read_only"] if made else [])
        tasks = [one["task"] for one in await at.journal(run.run.run_id, "task")]
        assert [one["kind"] for one in tasks] == (["review"] if made else [])
        assert len(shelf.writes) == 1


async def test_a_dry_run_is_never_sent_twice(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, shelf):
        shelf.answer = answering(503, {})
        run = await at.open(scopes=("*",))
        assert (await at.call(run.lease, "POST", "/orders?dry_run=true", {"amount": 1})).status == 503
        assert len(shelf.seen) == 1
