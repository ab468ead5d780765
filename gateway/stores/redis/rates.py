"""GCRA meters on a Redis or Valkey server, exact across all nodes that ask it, and the client that asks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from gateway import errors
from gateway.core import limits
from gateway.model.run import Rate
from gateway.ports.rates import Quota, Rates, Server

SCRIPT = resources.files(__package__).joinpath("meters.lua").read_text()
_DIGEST = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

KEPT = 60_000
"""Milliseconds for which a key outlives its use: a server that takes over may have a clock that runs ahead."""

PAUSE = 0.1
"""Seconds between two calls that ask a lost server; the calls between them are not made to wait for it."""

_CHECK = ("check", Rate(1_000_000))
"""A meter that no call has, so that a look at the server also shows whether it takes writes."""


@dataclass(slots=True)
class RedisRates(Rates):
    """All meters of a call in one round trip, each taken or none.

    Time is the server's own, so that the clocks of nodes need not agree; ``server_time`` off takes the caller's ``now``.
    Whatever keeps the server from answering within ``timeout`` seconds counts as its loss. Then calls go to ``fallback``,
    or are refused if there is none, until the server answers again. All keys lie in one hash slot, that of ``{prefix}``.
    """

    redis: Redis
    prefix: str
    timeout: float
    monotonic: Callable[[], float]
    place: str
    fallback: Rates | None = None
    server_time: bool = True
    _lost: str = field(default="")
    _again: float = field(default=0.0)

    async def take(self, meters: Sequence[tuple[str, Rate]], *, now: float) -> Quota | None:
        """Take one call from every meter, or, if one has none left, from none of them.

        Raises:
            RateLimited: the server cannot be asked and there is no fallback.
        """
        if not meters:
            return None
        quota = await self._asked(meters, now) if self._worth_asking() else None
        return quota if quota is not None else await self._without(meters, now)

    async def check(self) -> None:
        """Ask the server, whatever was found before, so that :meth:`health` shows how it is now."""
        await self._asked([_CHECK], 0.0)

    def health(self) -> tuple[bool, str]:
        """Whether calls can be metered, and a line about it."""
        if not self._lost:
            return True, f"redis at {self.place}"
        instead = "calls are refused" if self.fallback is None else f"each node meters alone: {self.fallback.health()[1]}"
        return self.fallback is not None, f"redis at {self.place} does not answer ({self._lost}); {instead}"

    async def close(self) -> None:
        await self.redis.aclose()

    def _worth_asking(self) -> bool:
        if not self._lost:
            return True
        now = self.monotonic()
        if now < self._again:
            return False
        self._again = now + PAUSE
        return True

    async def _asked(self, meters: Sequence[tuple[str, Rate]], now: float) -> Quota | None:
        """The server's answer, ``None`` if none came."""
        try:
            async with asyncio.timeout(self.timeout):
                quota = _quota(meters, await self._run(meters, now))
        except (RedisError, OSError) as error:
            self._lost = f"{type(error).__name__}: {error}" if str(error) else f"no answer within {self.timeout:g} s"
            self._again = self.monotonic() + PAUSE
            await self._hang_up()
            return None
        self._lost = ""
        return quota

    async def _hang_up(self) -> None:
        """A demoted server keeps its connections: the next call must find the new one."""
        with contextlib.suppress(RedisError, OSError):
            async with asyncio.timeout(self.timeout):
                await self.redis.connection_pool.disconnect(inuse_connections=False)

    async def _run(self, meters: Sequence[tuple[str, Rate]], now: float) -> object:
        keys = [f"{{{self.prefix}}}:{name}" for name, _ in meters]
        rates = [part for _, rate in meters for part in (rate.count, repr(rate.seconds))]
        arguments = [*keys, repr(limits.ROUNDING), KEPT, "" if self.server_time else repr(now), *rates]
        try:
            return await self.redis.evalsha(_DIGEST, len(keys), *arguments)
        except NoScriptError:
            # The server was restarted or flushed; the script is stored again here.
            return await self.redis.eval(SCRIPT, len(keys), *arguments)

    async def _without(self, meters: Sequence[tuple[str, Rate]], now: float) -> Quota | None:
        if self.fallback is not None:
            return await self.fallback.take(meters, now=now)
        unmetered: dict[str, Any] = {"violated-policies": [name for name, _ in meters]}
        raise errors.RateLimited("The rate store does not answer; calls cannot be metered without it.", retry_after=1.0, **unmetered)


def _quota(meters: Sequence[tuple[str, Rate]], answer: object) -> Quota:
    match answer:
        case [int(meter), int(remaining), bytes(wait)] if 0 < meter <= len(meters):
            return Quota(*meters[meter - 1], remaining, float(wait))
    raise RedisError("the server does not run scripts like Redis and Valkey")


CONNECTIONS = 16
"""Most of them that a node has to the server; calls beyond wait for one, within their deadline."""


def client(server: Server, *, connections: int = CONNECTIONS) -> Redis:
    """A client that connects when it is first asked, with no deadlines of its own: the caller has to have one.

    It never retries, since a lost answer may have been counted.
    """
    kind, place = _place(server)
    pool = BlockingConnectionPool(
        connection_class=kind,
        max_connections=connections,
        timeout=None,
        # With deadlines the library waits by asyncio.wait_for, which before Python 3.12 can swallow a cancellation.
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # the third asks for notices of maintenance, which no meter needs
        driver_info=None,  # no CLIENT SETINFO: two questions less on each new connection
        db=server.database,
        username=server.user,
        password=server.password,
        **place,
    )
    return Redis.from_pool(pool)


def _place(server: Server) -> tuple[type[Any], dict[str, Any]]:
    if server.socket:
        return UnixDomainSocketConnection, {"path": server.socket}
    place: dict[str, Any] = {"host": server.host, "port": server.port, "socket_keepalive": True}
    if not server.tls:
        return Connection, place
    return SSLConnection, {**place, "ssl_ca_certs": str(server.ca) if server.ca else None}
