"""The line behind the real server, over raw sockets on both sides."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from gateway.control.runs.runs import LeasedRun
from gateway.model.run import Mode
from gateway.wire.inbound import response
from tests.support import rig
from tests.support.rig import Rig
from tests.support.tool import Tool, Visit
from tests.support.wire import Agent, until

INVOICE = "/ledger/v1/tenants/acme/invoices/inv_1"
REFUNDS = "/ledger/v1/tenants/acme/refunds"


class Held:
    """Answers each request only once it is let go; ``streams`` answers with an event stream that continues until then."""

    def __init__(self, *, streams: bool = False) -> None:
        self.go = asyncio.Event()
        self.streams = streams

    async def __call__(self, visit: Visit) -> None:
        while await visit.request() is not None:
            if self.streams:
                visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                while not visit.gone.is_set():
                    visit.send(b"6\r\ntick\n\n\r\n")
                    await asyncio.sleep(0.01)
                return
            await self.go.wait()
            visit.send(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n" + b'{"data":{"id":"r-1"}}')


@asynccontextmanager
async def stage(folder: Path, script: Held, *, connections: int = 64) -> AsyncIterator[tuple[Rig, Tool, int, LeasedRun]]:
    async with (
        Tool(script) as tool,
        rig.assembled(folder, port=tool.port, connections=connections) as gateway,
        rig.on_the_wire(gateway) as port,
    ):
        yield gateway, tool, port, await gateway.open()


async def agent(port: int) -> Agent:
    return Agent(*await asyncio.open_connection("127.0.0.1", port))


def request(method: str, path: str, lease: str, body: bytes = b"", *lines: str) -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {lease}", *lines]
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


async def test_of_five_writes_that_wait_for_the_one_connection_none_arrives_after_an_order(tmp_path: Path) -> None:
    script = Held()
    async with stage(tmp_path, script, connections=1) as (gateway, tool, port, run):
        agents = [await agent(port) for _ in range(6)]
        agents[0].send(request("POST", REFUNDS, run.lease, b'{"amount":0}'))
        await until(lambda: tool.requests)
        for number, one in enumerate(agents[1:]):
            one.send(request("POST", REFUNDS, run.lease, b'{"amount":%d}' % (number + 1)))
        await until(lambda: gateway.gateway.resources.store.journal.health().seq >= 7)  # the run and six intents
        await gateway.contain(run.run.run_id)
        script.go.set()
        first = await agents[0].response()
        others = [await one.response() for one in agents[1:]]
        assert first.status == 201, "what was on the wire ends with its true outcome"
        assert [orjson.loads(one.body)["code"] for one in others] == ["run-read-only"] * 5
        assert sum(one.startswith(b"POST ") for one in tool.requests) == 1
        outcomes = await gateway.journal(run.run.run_id, "outcome")
        assert sorted(one["result"] for one in outcomes) == ["denied"] * 5 + ["success"]
        for one in agents:
            await one.close()


async def test_what_was_decided_under_another_policy_is_not_sent_any_more(tmp_path: Path) -> None:
    """Policy changes at the one place where it is too late to ask again: with the write decided on, journaled, and waiting for its turn."""
    policies, script = tmp_path / "policies", Held()
    shutil.copytree(rig.ROOT / "policies", policies)
    async with (
        Tool(script) as tool,
        rig.assembled(tmp_path, port=tool.port, connections=1, policy=f"{{engine: embedded, path: {policies}}}") as gateway,
        rig.on_the_wire(gateway) as port,
    ):
        run, agents = await gateway.open(), [await agent(port) for _ in range(3)]
        agents[0].send(request("POST", REFUNDS, run.lease, b'{"amount":0}'))
        await until(lambda: tool.requests)
        agents[1].send(request("POST", REFUNDS, run.lease, b'{"amount":1}'))
        agents[2].send(request("GET", INVOICE, run.lease))
        await until(lambda: gateway.gateway.resources.store.journal.health().seq >= 3)  # the run and two intents
        before = gateway.gateway.resources.engine.revision
        stricter = 'package killcord.authz\n\ndenials contains {"code": "closed", "message": "Nothing now."}\n'
        (policies / "killcord" / "authz" / "closed.rego").write_text(stricter)
        await gateway.gateway.resources.engine.refresh()
        await gateway.gateway.resources.engine.refresh()
        assert gateway.gateway.resources.engine.revision != before
        script.go.set()
        assert (await agents[0].response()).status == 201, "what was on the wire ends with its true outcome"
        late = [await one.response() for one in agents[1:]]
        assert {(one.status, orjson.loads(one.body)["code"]) for one in late} <= {(503, "policy-unavailable"), (403, "policy-denied")}
        assert late[0].status == 503, "decided on before, and not asked about again: it is for the agent to send it once more"
        assert sum(one.startswith(b"POST ") for one in tool.requests) == 1
        outcomes = await gateway.journal(run.run.run_id, "outcome")
        assert sorted(one["result"] for one in outcomes) == ["denied", "success"]
        for one in agents:
            await one.close()


CALLS = [("GET", INVOICE, b""), ("POST", REFUNDS, b'{"amount":1}')]


@pytest.mark.parametrize("call", CALLS, ids=["read", "write"])
@pytest.mark.parametrize("mode", [Mode.REVOKED, Mode.PAUSED])
async def test_a_stream_is_cut_at_the_order_and_the_tools_side_is_closed(tmp_path: Path, mode: Mode, call: tuple[str, str, bytes]) -> None:
    method, path, body = call
    async with stage(tmp_path, Held(streams=True)) as (gateway, tool, port, run):
        client = await agent(port)
        client.send(request(method, path, run.lease, body))
        head = await client.head()
        assert b"200 OK" in head
        assert b"text/event-stream" in head
        assert await client.reader.readuntil(b"tick\n\n")
        await gateway.contain(run.run.run_id, mode)
        rest = await client.rest()
        assert not rest.endswith(b"0\r\n\r\n"), "a stream that was cut must not look as if it had ended"
        async with asyncio.timeout(10):
            await tool.visits[0].gone.wait()
        assert [one["result"] for one in await gateway.journal(run.run.run_id, "outcome")] == ["success"] * (method == "POST")
        await client.close()


@pytest.mark.parametrize("call", CALLS, ids=["read", "write"])
async def test_a_stream_continues_under_read_only(tmp_path: Path, call: tuple[str, str, bytes]) -> None:
    method, path, body = call
    async with stage(tmp_path, Held(streams=True)) as (gateway, _, port, run):
        client = await agent(port)
        client.send(request(method, path, run.lease, body))
        await client.head()
        await gateway.contain(run.run.run_id, Mode.READ_ONLY)
        for _ in range(20):
            assert await client.reader.readuntil(b"tick\n\n")
        await client.close()


async def test_a_write_whose_client_goes_away_is_carried_to_its_end_and_journaled(tmp_path: Path) -> None:
    script = Held()
    async with stage(tmp_path, script) as (gateway, tool, port, run):
        client = await agent(port)
        client.send(request("POST", REFUNDS, run.lease, b'{"amount":5}'))
        await until(lambda: tool.requests)
        await client.close()
        script.go.set()
        await until(lambda: gateway.gateway.resources.store.journal.health().seq >= 3)
        outcome = (await gateway.journal(run.run.run_id, "outcome"))[-1]
        assert outcome["result"] == "success"
        again = await agent(port)
        again.send(request("POST", REFUNDS, run.lease, b'{"amount":5}'))
        replay = await again.response()
        assert (replay.status, replay.value(b"Idempotent-Replayed")) == (201, b"true")
        await again.close()


async def test_a_read_whose_client_goes_away_is_ended_at_the_tool(tmp_path: Path) -> None:
    async with stage(tmp_path, Held()) as (_, tool, port, run):
        client = await agent(port)
        client.send(request("GET", INVOICE, run.lease))
        await until(lambda: tool.requests)
        await client.close()
        async with asyncio.timeout(10):
            await tool.visits[0].gone.wait()


async def test_what_never_became_a_call_is_journaled_where_its_headers_tell_the_sender(tmp_path: Path) -> None:
    async with stage(tmp_path, Held()) as (gateway, tool, port, run):
        client = await agent(port)
        client.send(request("GET", "/ledger/v1/tenants/acme/%2e%2e/globex/invoices/1", run.lease))
        reply = await client.response()
        assert (reply.status, orjson.loads(reply.body)["code"]) == (400, "malformed-request")
        refusal = (await gateway.journal(run.run.run_id, "refusal"))[-1]
        assert (refusal["code"], refusal["status"]) == ("malformed-request", 400)
        assert reply.value(b"Killcord-Run") == run.run.run_id.encode()
        assert reply.value(b"Killcord-Entry") == f"{refusal['stream']}/{refusal['seq']}".encode()
        assert tool.visits == []
        await client.close()


async def test_a_body_is_asked_for_only_once_its_head_would_pass(tmp_path: Path) -> None:
    async with stage(tmp_path, Held()) as (gateway, _, port, run):
        refused = await agent(port)
        refused.send(request("POST", REFUNDS, "nobody", b"", "Expect: 100-continue", "Content-Length: 12"))
        reply = await refused.response()
        assert (reply.status, orjson.loads(reply.body)["code"]) == (401, "lease-invalid")
        asked = await agent(port)
        asked.send(request("POST", REFUNDS, run.lease, b"", "Expect: 100-continue", "Content-Length: 12", "Content-Type: application/json"))
        assert (await asked.head()).startswith(b"HTTP/1.1 100 ")
        assert gateway.logged == [] or gateway.logged[-1][0] == "refusal"
        for one in (refused, asked):
            await one.close()


@pytest.mark.parametrize(
    ("target", "mode", "expected"),
    [
        ("*", Mode.ACTIVE, (400, "malformed-request")),
        ("/ledger/v1/%2e%2e/x", Mode.ACTIVE, (400, "malformed-request")),
        ("/nothing/x", Mode.ACTIVE, (404, "tool-unknown")),
        (REFUNDS, Mode.PAUSED, (503, "run-paused")),
        (REFUNDS, Mode.QUARANTINED, (403, "run-quarantined")),
        (REFUNDS, Mode.REVOKED, (403, "lease-revoked")),
    ],
)
async def test_no_body_is_asked_for_where_its_head_says_already_that_it_cannot_pass(
    tmp_path: Path, target: str, mode: Mode, expected: tuple[int, str]
) -> None:
    async with stage(tmp_path, Held()) as (gateway, tool, port, run):
        if mode is not Mode.ACTIVE:
            await gateway.contain(run.run.run_id, mode)
        client = await agent(port)
        client.send(request("POST", target, run.lease, b"", "Expect: 100-continue", "Content-Length: 12"))
        reply = await client.response()
        assert (reply.status, orjson.loads(reply.body)["code"]) == expected
        assert (await gateway.journal(run.run.run_id, "refusal"))[-1]["code"] == expected[1]
        assert tool.visits == []
        await client.close()


def dripping(framing: bytes) -> Callable[[Visit], Awaitable[None]]:
    """Answers without an end, a byte at a time, and never silent for long."""

    async def drips(visit: Visit) -> None:
        while await visit.request() is not None:
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + framing + b"\r\n\r\n")
            while not visit.gone.is_set():
                visit.send(b" " if framing.startswith(b"Content") else b"1\r\n \r\n")
                await asyncio.sleep(0.02)

    return drips


SHORT, CHUNKED = b"Content-Length: 2000", b"Transfer-Encoding: chunked"


@pytest.mark.parametrize("framing", [SHORT, CHUNKED])
async def test_a_tool_that_drips_the_state_of_an_object_does_not_hold_the_write_for_ever(tmp_path: Path, framing: bytes) -> None:
    async with Tool(dripping(framing)) as tool, rig.assembled(tmp_path, port=tool.port, timeout="200ms") as gateway:
        run = await gateway.open()
        async with asyncio.timeout(10):
            reply = await gateway.call(run.lease, "PATCH", INVOICE.removeprefix("/ledger"), {"status": "paid"})
        assert (reply.status, rig.code(reply)) == (504, "tool-timeout")
        assert [request.split(b" ", 1)[0] for request in tool.requests] == [b"GET"]


@pytest.mark.parametrize(("framing", "status", "result"), [(SHORT, 504, "unknown"), (CHUNKED, 200, "success")])
async def test_a_tool_that_drips_its_answer_to_a_write_does_not_leave_it_in_flight(
    tmp_path: Path, framing: bytes, status: int, result: str
) -> None:
    async with Tool(dripping(framing)) as tool, rig.assembled(tmp_path, port=tool.port, timeout="200ms") as gateway:
        run = await gateway.open()
        async with asyncio.timeout(10):
            reply = await gateway.call(run.lease, "POST", REFUNDS.removeprefix("/ledger"), {"amount": 1})
        assert reply.status == status
        assert [entry["result"] for entry in await gateway.journal(run.run.run_id, "outcome")] == [result]
        if reply.rest is not None:
            await response.close(reply.rest)
