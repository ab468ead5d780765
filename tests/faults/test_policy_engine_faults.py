"""Fault 6: a real OPA that is paused, killed, empty, slow or wrong. Nothing is sent, and work continues once it is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from gateway.app import servers
from gateway.control.supervisor import Supervisor
from gateway.model.call import Reply
from tests.support import crooked, opa, rig
from tests.support.crooked import Crooked, Twist, framed, instead
from tests.support.opa import Opa
from tests.support.policies import POLICIES
from tests.support.rig import Rig
from tests.support.tool import Tool
from tests.support.wire import until

INVOICE = "/v1/tenants/acme/invoices/inv_1"
PATIENT = 60.0
EMPTY = ("--log-format=text",)


@pytest.fixture
def server() -> Iterator[Opa]:
    with opa.serving() as made:
        yield made


@dataclass(slots=True)
class Node:
    """A gateway that asks an OPA, and the ports of its two servers as far as these tests need them."""

    rig: Rig
    lease: str
    operators: str

    async def write(self) -> Reply:
        return await self.rig.call(self.lease, "PATCH", INVOICE, {"status": "paid"})

    async def read(self) -> Reply:
        return await self.rig.call(self.lease, "GET", INVOICE)

    async def ready(self) -> tuple[int, dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.operators}/readyz") as answer:
            return answer.status, (await answer.json())["policy"]

    async def becomes(self, status: int) -> dict[str, Any]:
        """Wait until /readyz answers with this status."""
        async with asyncio.timeout(PATIENT):
            while (found := await self.ready())[0] != status:
                await asyncio.sleep(0.02)
        return found[1]


@asynccontextmanager
async def asking(folder: Path, url: str, *, timeout: str = "5s", watching: bool = True) -> AsyncIterator[Node]:
    """A gateway over an empty ledger but for one invoice; it looks at its OPA while it is ``watching``, else only at the start."""
    async with rig.assembled(folder, policy=f'{{engine: opa, url: "{url}", timeout: {timeout}}}') as made:
        made.ledger.put("acme", "invoices", "inv_1", status="open")
        runner = servers.control_api(made.gateway, lambda _: None, "all", lambda *_, **__: None)
        await runner.setup()
        supervisor = Supervisor(lambda *_, **__: None)
        supervisor.every(0.05 if watching else 3_600.0, "policy", made.gateway.resources.engine.refresh)
        try:
            site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield Node(made, (await made.open()).lease, f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await supervisor.finish(0.0)
            await runner.cleanup()


def assert_unavailable(node: Node, reply: Reply) -> None:
    """Refused as the contract has it, and nothing of it at the tool."""
    assert (reply.status, rig.code(reply)) == (503, "policy-unavailable")
    assert int(rig.header(reply, "Retry-After") or 0) >= 1
    assert orjson.loads(reply.body)["retryable"] is True
    assert node.rig.ledger.seen == []


async def assert_works(node: Node) -> None:
    assert (await node.write()).status == 200
    assert node.rig.ledger.get("acme", "invoices", "inv_1") == {"status": "paid"}


# --- a real OPA that stops, ends, comes back ---------------------------------------------------------------------------


async def test_a_paused_opa_stops_every_call_and_lets_them_on_once_it_continues(server: Opa, tmp_path: Path) -> None:
    async with asking(tmp_path, server.url, timeout="1s") as node:
        assert (await node.ready())[0] == 200
        server.pause()
        began = time.monotonic()
        assert_unavailable(node, await node.write())
        assert_unavailable(node, await node.read())
        assert time.monotonic() - began < 10.0
        told = await node.becomes(503)
        assert "did not answer" in told["detail"]
        assert_unavailable(node, await node.write())
        server.go_on()
        await node.becomes(200)
        await assert_works(node)


async def test_an_opa_killed_while_it_is_asked_refuses_the_call(server: Opa, tmp_path: Path) -> None:
    async with asking(tmp_path, server.url, timeout="60s", watching=False) as node:
        server.pause()
        call = asyncio.ensure_future(node.write())
        await until(server.unread)
        server.kill()
        assert_unavailable(node, await asyncio.wait_for(call, PATIENT))
        (refusal,) = await node.rig.journal(kind="refusal")
        assert (refusal["code"], refusal["status"], refusal["action"]) == ("policy-unavailable", 503, "invoice.update")


async def test_a_killed_opa_started_again_is_asked_again(server: Opa, tmp_path: Path) -> None:
    async with asking(tmp_path, server.url) as node:
        server.kill()
        assert_unavailable(node, await node.write())
        await node.becomes(503)
        assert_unavailable(node, await node.read())
        await asyncio.to_thread(server.start)
        await node.becomes(200)
        await assert_works(node)


async def test_a_gateway_starts_without_its_opa_and_takes_calls_once_it_is_there(server: Opa, tmp_path: Path) -> None:
    server.kill()
    async with asking(tmp_path, server.url) as node:
        status, told = await node.ready()
        assert (status, told["ok"]) == (503, False)
        assert server.url in told["detail"]
        assert_unavailable(node, await node.write())
        await asyncio.to_thread(server.start)
        await node.becomes(200)
        await assert_works(node)


async def test_an_opa_on_a_unix_socket_decides_stops_and_comes_back(tmp_path: Path) -> None:
    with opa.serving(socket=tmp_path / "opa.sock") as server:
        async with asking(tmp_path, server.url) as node:
            server.kill()
            assert_unavailable(node, await node.write())
            await asyncio.to_thread(server.start)
            await node.becomes(200)
            await assert_works(node)


# --- an OPA without our bundle -----------------------------------------------------------------------------------------


async def test_an_opa_without_policies_is_not_ready_until_it_has_some(tmp_path: Path) -> None:
    with opa.serving(EMPTY) as server:
        async with asking(tmp_path, server.url) as node:
            status, told = await node.ready()
            assert status == 503
            assert "data.killcord.authz.decision gives no usable decision" in told["detail"]
            assert_unavailable(node, await node.write())
            rego = b'package killcord.authz\n\ndecision := {"allow": true}\n'
            assert (await asyncio.to_thread(server.ask, "PUT", "/v1/policies/x.rego", rego))[0] == 200
            await node.becomes(200)
            await assert_works(node)


async def test_an_opa_that_comes_back_empty_lets_nothing_through(server: Opa, tmp_path: Path) -> None:
    async with asking(tmp_path, server.url, watching=False) as node:
        server.kill()
        server.options = EMPTY
        await asyncio.to_thread(server.start)
        # Nobody has looked since: the answer itself has to stop the call.
        reply = await node.write()
        assert (reply.status, rig.code(reply)) == (403, "policy-denied")
        await node.rig.gateway.resources.engine.refresh()
        assert_unavailable(node, await node.write())
        assert (await node.ready())[0] == 503


async def test_an_opa_that_still_waits_for_its_bundle_is_not_ready(tmp_path: Path) -> None:
    config = tmp_path / "opa.yaml"
    config.write_text('services: {nowhere: {url: "http://127.0.0.1:1"}}\nbundles: {authz: {service: nowhere, resource: authz.tar.gz}}\n')
    # Policies of its own it has: without its bundle they are not all that was meant to decide.
    with opa.serving(("--config-file", str(config)), bundles_active=False) as server:
        async with asking(tmp_path, server.url) as node:
            status, told = await node.ready()
            assert status == 503
            assert "not all active" in told["detail"]
            assert_unavailable(node, await node.write())


# --- an OPA that answers slowly or wrongly -----------------------------------------------------------------------------

ALLOWED = b'{"result":{"allow":true}}'
UNUSABLE: list[tuple[str, Twist]] = [
    ("a status of 500", instead(framed(b'{"code":"internal_error","message":"sorry"}', status=500))),
    ("a status of 500 with an allow in it", instead(framed(ALLOWED, status=500))),
    ("a redirect", instead(framed(ALLOWED, status=307, more="Location: http://127.0.0.1:1/\r\n"))),
    ("a status of 204", instead(b"HTTP/1.1 204 No Content\r\n\r\n")),
    ("an allow that is not JSON by its type", instead(framed(ALLOWED, kind="text/plain"))),
    ("an allow in another coding", instead(framed(ALLOWED, more="Content-Encoding: gzip\r\n"))),
    ("an allow twice", instead(framed(b'{"result":{"allow":false},"result":{"allow":true}}'))),
    ("a bare true", instead(framed(b"true"))),
    ("a bare text", instead(framed(b'"true"'))),
    ("a bare number", instead(framed(b"1"))),
    ("a list", instead(framed(b'[{"allow":true}]'))),
    ("nothing", instead(framed(b""))),
    ("JSON that ends early", instead(framed(ALLOWED[:-1]))),
    ("JSON and something behind it", instead(framed(ALLOWED + b"{}"))),
    ("no JSON", instead(framed(b"<html>allow: true</html>"))),
    ("no HTTP", instead(b"allow: true\r\n\r\n")),
    ("more than a decision can be", instead(framed(b'{"result":{"allow":true,"x":"' + b"x" * 2_000_000 + b'"}}'))),
    ("an answer without end", crooked.endless),
    ("an answer that is cut", crooked.cut),
    ("a dropped connection", crooked.dropped),
    ("a reset connection", crooked.reset),
]
DENIED: list[tuple[str, bytes]] = [
    ("an empty object", b"{}"),
    ("an allow outside of the result", b'{"allow":true}'),
    ("a result of true", b'{"result":true}'),
    ("a result of 1", b'{"result":1}'),
    ("an allow of text", b'{"result":{"allow":"true"}}'),
    ("an allow of 1", b'{"result":{"allow":1}}'),
    ("an allow of null", b'{"result":{"allow":null}}'),
    ("a list of allows", b'{"result":[{"allow":true}]}'),
    ("an obligation it is unknown", b'{"result":{"allow":true,"obligations":{"dance":true}}}'),
]


@asynccontextmanager
async def crookedly(folder: Path, server: Opa, timeout: str) -> AsyncIterator[tuple[Node, Crooked]]:
    """A gateway that has found its OPA in order, and looks no more; what is between them can be twisted."""
    between = Crooked(server)
    async with Tool(between) as relay, asking(folder, f"http://127.0.0.1:{relay.port}", timeout=timeout, watching=False) as node:
        yield node, between


@pytest.mark.parametrize("twist", [row[1] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])
async def test_an_answer_that_cannot_be_used_sends_nothing(server: Opa, tmp_path: Path, twist: Twist) -> None:
    async with crookedly(tmp_path, server, "20s") as (node, between):
        between.twist = twist
        assert_unavailable(node, await node.write())
        assert_unavailable(node, await node.read())
        between.twist = crooked.straight
        await assert_works(node)


@pytest.mark.parametrize("body", [row[1] for row in DENIED], ids=[row[0] for row in DENIED])
async def test_an_answer_that_is_no_decision_denies(server: Opa, tmp_path: Path, body: bytes) -> None:
    async with crookedly(tmp_path, server, "20s") as (node, between):
        between.twist = instead(framed(body))
        reply = await node.write()
        assert (reply.status, rig.code(reply)) == (403, "policy-denied")
        assert node.rig.ledger.seen == []
        between.twist = crooked.straight
        await assert_works(node)


@pytest.mark.parametrize("twist", [crooked.silent, crooked.trickling], ids=["silent", "trickling"])
async def test_an_answer_that_takes_too_long_ends_with_the_deadline(server: Opa, tmp_path: Path, twist: Twist) -> None:
    async with crookedly(tmp_path, server, "250ms") as (node, between):
        between.twist = twist
        began = time.monotonic()
        assert_unavailable(node, await node.write())
        # The bound is generous for the sake of a busy machine: what it rules out is a deadline per step, or none.
        assert 0.25 <= time.monotonic() - began < 5.0


async def test_the_deadline_counts_the_wait_for_a_connection(server: Opa, tmp_path: Path) -> None:
    async with crookedly(tmp_path, server, "500ms") as (node, between):
        between.twist = crooked.silent
        began = time.monotonic()
        replies = await asyncio.gather(*(node.read() for _ in range(200)))
        assert time.monotonic() - began < 10.0
        for reply in replies:
            assert_unavailable(node, reply)


# --- joined to OPA's own records ---------------------------------------------------------------------------------------


async def test_an_entry_carries_the_id_under_which_opa_logged_the_decision(tmp_path: Path) -> None:
    options = ("--set", "decision_logs.console=true", str(POLICIES))
    with opa.serving(options, log=tmp_path / "opa.log") as server:
        async with asking(tmp_path, server.url, watching=False) as node:
            await assert_works(node)
            (intent,) = await node.rig.journal(kind="intent")
            assert intent["decision"]["revision"] == node.rig.gateway.resources.engine.revision
            await until(lambda: intent["decision"]["id"] in (tmp_path / "opa.log").read_text(), within=PATIENT)
