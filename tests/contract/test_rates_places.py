"""Where a rate store can be: TCP, a Unix socket, behind TLS that is verified; as the configuration says it."""

from __future__ import annotations

from pathlib import Path

from gateway.app.resources import open_rates
from gateway.clients.clock import SystemClock
from gateway.model.run import Rate
from gateway.ports.rates import Rates
from gateway.settings.network import RedisConfig
from tests.support import valkey
from tests.support.certificate import certificate

GRANTS = ("+evalsha", "+eval", "+get", "+set", "+time", "+select")
"""All that a user of the server needs."""


async def opened(**place: object) -> Rates:
    return await open_rates(RedisConfig(timeout=valkey.PATIENT, **place), SystemClock().monotonic, connections=4)  # type: ignore[arg-type]


async def let_through(**place: object) -> bool:
    """Whether the store could be asked, and let a first call through."""
    rates = await opened(**place)
    try:
        if not rates.health()[0]:
            return False
        quota = await rates.take([("run:r1", Rate(1000))], now=0.0)
        return quota is not None and quota.wait == 0
    finally:
        await rates.close()


async def test_without_a_store_rates_are_metered_in_memory() -> None:
    rates = await open_rates(None, SystemClock().monotonic, connections=0)
    assert rates.health() == (True, "memory")


async def test_a_server_on_tcp_or_a_unix_socket_in_any_database(tmp_path: Path) -> None:
    path = str(tmp_path / "valkey.sock")
    with valkey.serving(tmp_path, "--unixsocket", path) as server:
        assert await let_through(host="127.0.0.1", port=server.port)
        assert await let_through(host="localhost", port=server.port, database=3)
        assert await let_through(socket=path, database=1)
        assert not await let_through(host="127.0.0.1", port=server.port, database=99)


async def test_a_server_of_one_user_is_asked_as_that_user(tmp_path: Path) -> None:
    with valkey.serving(tmp_path) as server:
        assert server.ask("ACL", "SETUSER", "killcord", "on", ">s3cret", "~{killcord}*", *GRANTS) == "+OK"
        assert server.ask("ACL", "SETUSER", "default", "off") == "+OK"
        assert await let_through(host="127.0.0.1", port=server.port, user="killcord", password="s3cret")
        assert not await let_through(host="127.0.0.1", port=server.port, user="killcord", password="s3cret", prefix="elsewhere")
        assert not await let_through(host="127.0.0.1", port=server.port)


async def test_tls_is_verified_by_authority_and_name(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "valkey.example")
    with valkey.serving(tmp_path) as server:
        async with valkey.behind_tls(server, cert, key) as port:
            assert await let_through(host="127.0.0.1", port=port, tls=True, ca=cert)
            assert not await let_through(host="127.0.0.1", port=port, tls=True)
            assert not await let_through(host="localhost", port=port, tls=True, ca=cert)
