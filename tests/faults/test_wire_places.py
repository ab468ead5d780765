"""Where the server listens and where tools live: TCP over IPv4 and IPv6, Unix sockets, TLS, and addresses that are not dialled."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from gateway.core import addresses
from gateway.errors import UpstreamFailure
from gateway.model.call import Outgoing
from gateway.wire.limits import PoolBounds
from gateway.wire.outbound.channel import Origin
from gateway.wire.outbound.pool import Pool
from tests.support.certificate import certificate
from tests.support.tool import Tool
from tests.support.wire import Agent, gateway, get

READ = Outgoing(tool="erp", tenant="acme", method="GET", target="/x", headers=((b"Host", b"tool"),), timeout=5.0, retriable=True)


def no_fence() -> None:
    pass


async def failure(origin: Origin) -> UpstreamFailure:
    pool = Pool({"erp": origin}, allowed=addresses.allowed)
    with pytest.raises(UpstreamFailure) as found:
        await pool.send(READ, no_fence)
    await pool.close()
    return found.value


async def test_a_tool_on_ipv6() -> None:
    async with Tool(host="::1") as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get())
        assert (await agent.response()).body == b"ok"


async def test_a_tool_on_a_unix_socket(tmp_path: Path) -> None:
    async with Tool(unix=str(tmp_path / "tool.sock")) as tool, gateway(tool) as proxy:
        agent = await proxy.agent()
        agent.send(get())
        assert (await agent.response()).body == b"ok"


async def test_the_server_on_ipv6_and_on_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "proxy.sock")
    async with Tool() as tool, gateway(tool) as proxy:
        host, port = await proxy.server.open_tcp("::1", 0)
        await proxy.server.open_unix(path)
        assert host == "::1"
        for streams in (await asyncio.open_connection("::1", port), await asyncio.open_unix_connection(path)):
            agent = Agent(*streams)
            agent.send(get())
            assert (await agent.response()).body == b"ok"
            await agent.close()


@pytest.mark.parametrize("host", ["169.254.169.254", "::ffff:169.254.169.254", "100.100.100.200", "0.0.0.0"])
async def test_a_forbidden_address_is_not_dialled(host: str) -> None:
    found = await failure(Origin(host=host, port=80))
    assert not found.sent
    assert "not allowed" in found.detail


async def test_a_name_that_does_not_resolve_was_sent_nothing() -> None:
    assert not (await failure(Origin(host="no-such-host.invalid", port=80))).sent


async def test_the_second_address_is_tried_where_the_first_refuses() -> None:
    async with Tool() as tool:
        pool = Pool({"erp": Origin(host="localhost", port=tool.port)}, allowed=addresses.allowed)
        assert (await pool.send(READ, no_fence)).status == 200
        await pool.close()


async def test_tls_is_verified_by_name(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "tool.example")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(cert, key)
    trusting = ssl.create_default_context(cafile=str(cert))
    async with Tool(tls=serving) as tool:

        def origin(tls: ssl.SSLContext, name: str) -> Origin:
            return Origin(host="127.0.0.1", port=tool.port, tls=tls, server_hostname=name)

        pool = Pool({"erp": origin(trusting, "tool.example")}, allowed=addresses.allowed)
        for _ in range(3):
            assert (await pool.send(READ, no_fence)).body == b"ok"
        assert len(tool.visits) == 1
        await pool.close()
        assert len(tool.requests) == 3
        for distrusted in (origin(trusting, "other.example"), origin(ssl.create_default_context(), "tool.example")):
            found = await failure(distrusted)
            assert not found.sent
            assert "TLS" in found.detail
        assert len(tool.requests) == 3


async def test_closing_the_pool_ends_what_is_under_way() -> None:
    async with Tool() as tool:
        pool = Pool({"erp": Origin(host="127.0.0.1", port=tool.port)}, allowed=addresses.allowed, bounds=PoolBounds())
        assert (await pool.send(READ, no_fence)).status == 200
        await pool.close()
        with pytest.raises(UpstreamFailure) as found:
            await pool.send(READ, no_fence)
        assert not found.value.sent


async def test_an_unknown_tool_is_sent_nothing() -> None:
    pool = Pool({}, allowed=addresses.allowed)
    with pytest.raises(UpstreamFailure) as found:
        await pool.send(READ, no_fence)
    assert not found.value.sent


@pytest.mark.parametrize(
    "request_",
    [
        Outgoing(tool="erp", tenant="t", method="GET", target="/x y", headers=()),
        Outgoing(tool="erp", tenant="t", method="GET", target="/x\r\nHost: evil", headers=()),
        Outgoing(tool="erp", tenant="t", method="GET", target="/x", headers=((b"X", b"a\r\nY: b"),)),
        Outgoing(tool="erp", tenant="t", method="PUT", target="/x", headers=(), body=b"no length"),
        Outgoing(tool="erp", tenant="t", method="PUT", target="/x", headers=((b"Content-Length", b"3"),), body=b"longer"),
    ],
)
async def test_what_would_not_be_one_request_does_not_leave(request_: Outgoing) -> None:
    async with Tool() as tool:
        pool = Pool({"erp": Origin(host="127.0.0.1", port=tool.port)}, allowed=addresses.allowed)
        with pytest.raises(UpstreamFailure) as found:
            await pool.send(request_, no_fence)
        assert not found.value.sent
        assert tool.raw == b""
        await pool.close()
