"""A write whose answer streams while the tool works: judged at its end, relayed meanwhile, and not ended by who listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from gateway.errors import UpstreamFailure
from gateway.model.call import Reply
from gateway.model.effect import State
from gateway.model.entry import Verification
from gateway.model.run import Mode
from gateway.pipeline.streamed import WINDOW
from tests.support import rig
from tests.support.rig import Rig, code, header, until, until_async
from tests.support.shelf import Shelf, standing

ADAPTER = """
system: desk
tenant: run.tenant
objects:
  order: {path: "/orders/{id}", version: reply.headers.etag, state: reply.body}
actions:
  - name: order.update
    match: {method: PATCH, path: "/orders/{id}"}
    object: order
    effect: write
    class: reversible
    verify: {expect: object.body.status == request.body.status, within: 200ms}
    compensation: {type: restore_previous_version, by: order.replace, auto: true}
  - name: order.replace
    match: {method: PUT, path: "/orders/{id}"}
    object: order
    effect: write
    class: reversible
    compensation: {type: manual_review}
  - name: chat
    match: {method: POST, path: "/chat"}
    effect: write
    class: irreversible
    compensation: {type: manual_review}
"""


@dataclass(slots=True)
class Work:
    """A job that reports its progress: it goes on when ``go`` is set, and ends half way if its connection does."""

    shelf: Shelf
    go: asyncio.Event = field(default_factory=asyncio.Event)
    media: str = "text/event-stream"
    size: int = 1
    applies: bool = True
    breaks: bool = False
    done: bool = False
    cut: bool = False

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.method not in ("PATCH", "POST"):
            return None
        response = web.StreamResponse(headers={"Content-Type": self.media})
        await response.prepare(request)
        try:
            await response.write(b"data: begun\n\n" * self.size)
            await self.go.wait()
            await response.write(b"data: half\n\n" * self.size)
            if self.breaks:
                assert request.transport is not None
                request.transport.abort()
                return response
            await asyncio.sleep(0.05)
        except (ConnectionResetError, asyncio.CancelledError):
            self.cut = True
            raise
        if self.applies and request.method == "PATCH":
            self.shelf.usual(request, body)
        self.done = True
        await response.write(b"data: done\n\n")
        return response


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[tuple[Rig, Shelf, Work]]:
    shelf = Shelf()
    work = Work(shelf)
    shelf.answer = work.answer
    shelf.put("/orders/1", status="open")
    more = "mode: shadow\n    until: 2999-01-01"
    async with standing(shelf), rig.assembled(folder, port=shelf.port, adapter=ADAPTER, tool_extra=more) as at:
        try:
            yield at, shelf, work
        finally:
            work.go.set()
            await at.gateway.control.supervisor.finish(5.0)


async def chunks(reply: Reply) -> AsyncIterator[bytes]:
    if reply.body:
        yield reply.body
    assert reply.rest is not None
    async for chunk in reply.rest:
        yield chunk


async def outcome(at: Rig, run_id: str) -> tuple[State, Verification]:
    async def settled() -> bool:
        return all(one.state is not State.IN_FLIGHT for one in await at.writes(run_id))

    await until_async(settled)
    (write,) = await at.writes(run_id)
    return write.state, write.verification


async def test_progress_is_relayed_at_once_and_the_write_is_judged_at_its_end(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, shelf, work):
        run = await at.open(scopes=("*",))
        reply = await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})
        assert (reply.status, header(reply, "Killcord-Verification"), header(reply, "Killcord-Outcome")) == (200, "pending", "pending")
        (write,) = await at.writes(run.run.run_id)
        assert header(reply, "Killcord-Entry") == str(write.intent)
        stream = chunks(reply)
        assert await anext(stream) == b"data: begun\n\n"
        assert (await at.writes(run.run.run_id))[0].state is State.IN_FLIGHT
        assert code(await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})) == "in-flight"
        work.go.set()
        assert b"".join([chunk async for chunk in stream]) == b"data: half\n\ndata: done\n\n"
        # The end came after the outcome was durable.
        (write,) = await at.writes(run.run.run_id)
        assert (write.state, write.verification) == (State.STANDING, Verification.PASSED)
        assert await at.journal(run.run.run_id, "trigger") == []
        assert not work.cut
        assert shelf.get("/orders/1")["status"] == "paid"


async def test_a_job_that_did_nothing_fails_its_verification_after_its_end(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, _, work):
        work.applies = False
        run = await at.open(scopes=("*",))
        reply = await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})
        work.go.set()
        assert [chunk async for chunk in chunks(reply)][-1].endswith(b"data: done\n\n")
        assert await outcome(at, run.run.run_id) == (State.STANDING, Verification.FAILED)
        assert not work.cut
        await at.gateway.control.monitor.idle()
        assert [one["trigger"]["name"] for one in await at.journal(run.run.run_id, "trigger")] == ["verify.postcondition-failed"]


async def test_an_agent_that_goes_away_does_not_end_the_job(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, _, work):
        run = await at.open(scopes=("*",))
        reply = await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})
        stream = reply.rest
        assert stream is not None
        if not reply.body:
            await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        work.go.set()
        assert await outcome(at, run.run.run_id) == (State.STANDING, Verification.PASSED)
        assert (work.done, work.cut) == (True, False)


async def test_an_order_ends_the_agents_stream_and_not_the_job(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, _, work):
        run = await at.open(scopes=("*",))
        reply = await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})

        async def listen() -> list[bytes]:
            return [chunk async for chunk in chunks(reply)]

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.05)
        await at.contain(run.run.run_id, Mode.QUARANTINED)
        with pytest.raises(asyncio.CancelledError):
            await listening
        work.go.set()
        assert await outcome(at, run.run.run_id) == (State.STANDING, Verification.PASSED)
        assert (work.done, work.cut) == (True, False)


@pytest.mark.parametrize("applied", [True, False])
async def test_a_stream_that_breaks_is_judged_by_the_object(tmp_path: Path, applied: bool) -> None:
    async with desk(tmp_path) as (at, shelf, work):
        work.breaks = True
        run = await at.open(scopes=("*",))
        reply = await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})
        if applied:
            shelf.put("/orders/1", status="paid")
        work.go.set()
        with pytest.raises(UpstreamFailure):
            assert [chunk async for chunk in chunks(reply)]
        expected = (State.STANDING, Verification.PASSED) if applied else (State.UNKNOWN, Verification.NONE)
        assert await outcome(at, run.run.run_id) == expected


async def test_a_body_longer_than_what_is_judged_is_waited_for_too(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, _, work):
        work.media, work.size = "application/x-ndjson", 100_000
        run = await at.open(scopes=("*",))
        reply = await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})
        assert header(reply, "Killcord-Outcome") == "pending"
        work.go.set()
        whole = b"".join([chunk async for chunk in chunks(reply)])
        assert whole == b"data: begun\n\n" * work.size + b"data: half\n\n" * work.size + b"data: done\n\n"
        assert await outcome(at, run.run.run_id) == (State.STANDING, Verification.PASSED)


async def test_a_slow_agent_makes_the_tool_wait(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, _, work):
        work.size = 1_000_000
        run = await at.open(scopes=("*",))
        reply = await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})
        work.go.set()
        await asyncio.sleep(0.3)
        relay = next(one for one in [reply.rest] if one is not None)
        assert not work.done
        total = 0
        async for chunk in relay:
            assert len(chunk) <= 4 * WINDOW
            total += len(chunk)
        assert total + len(reply.body) == len(b"data: begun\n\ndata: half\n\n") * work.size + len(b"data: done\n\n")


async def test_a_stream_without_a_postcondition_is_settled_by_its_status(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, _, work):
        run = await at.open(scopes=("*",))
        reply = await at.call(run.lease, "POST", "/chat", {"say": "x"})
        assert (reply.status, header(reply, "Killcord-Outcome"), header(reply, "Killcord-Verification")) == (200, None, "none")
        (write,) = await at.writes(run.run.run_id)
        assert write.state is State.STANDING
        work.go.set()
        assert [chunk async for chunk in chunks(reply)]


async def test_a_process_that_ends_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, _, work):
        run = await at.open(scopes=("*",))
        await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"})
        assert not await at.gateway.control.supervisor.finish(0.05)
        assert await outcome(at, run.run.run_id) == (State.UNKNOWN, Verification.NONE)
        await until(lambda: not at.gateway.calls.line.send_write.live)
        assert not work.done


async def test_a_client_on_the_wire_gets_progress_at_once_and_may_hang_up(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, _, work), rig.on_the_wire(at) as port:
        run = await at.open(scopes=("*",))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"status":"paid"}'
        head = f"PATCH /ledger/orders/1 HTTP/1.1\r\nHost: localhost\r\nKillcord-Lease: {run.lease}\r\nContent-Type: application/json\r\n"
        writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        received = b""
        while b"data: begun" not in received:
            received += await reader.read(4096)
        assert b"Killcord-Outcome: pending" in received
        assert not work.go.is_set()
        writer.transport.abort()
        await asyncio.sleep(0.05)
        work.go.set()
        assert await outcome(at, run.run.run_id) == (State.STANDING, Verification.PASSED)
        assert (work.done, work.cut) == (True, False)


async def test_a_client_on_the_wire_sees_a_whole_reply_and_keeps_its_connection(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, _, work), rig.on_the_wire(at) as port:
        run = await at.open(scopes=("*",))
        work.go.set()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"status":"paid"}'
        head = f"PATCH /ledger/orders/1 HTTP/1.1\r\nHost: localhost\r\nKillcord-Lease: {run.lease}\r\nContent-Type: application/json\r\n"
        writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        received = await reader.readuntil(b"0\r\n\r\n")
        assert received.endswith(b"data: done\n\n\r\n0\r\n\r\n")
        assert [one.state for one in await at.writes(run.run.run_id)] == [State.STANDING]
        writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert b"409" in await reader.readline()  # reply-not-kept: a stream is not stored
        writer.close()
