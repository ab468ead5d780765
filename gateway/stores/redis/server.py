"""Where the server is, and a client of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECTIONS = 16
"""Most of them that a node has to the server; calls beyond wait for one, within their deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """``socket`` is a path and stands in place of ``host`` and ``port``; ``ca`` is a file of certificates that verifies ``tls``."""

    host: str = ""
    port: int = 6379
    socket: str = ""
    tls: bool = False
    ca: Path | None = None
    database: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.socket or f'{host}:{self.port}'}/{self.database}"


def client(server: Server) -> Redis:
    """A client that connects when it is first asked, with no deadlines of its own: whoever asks has to have one.

    It never asks twice by itself, since an answer that was lost may have been counted.
    """
    kind, place = _place(server)
    pool = BlockingConnectionPool(
        connection_class=kind,
        max_connections=CONNECTIONS,
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
