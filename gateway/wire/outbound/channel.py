"""One connection to a tool: opened to an address that was checked, kept between exchanges, and never trusted without a look."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from typing import cast

from msgspec import Struct

from gateway.errors import UpstreamFailure
from gateway.model.call import Outgoing
from gateway.wire.limits import PoolBounds
from gateway.wire.outbound.exchange import Exchange

Allowed = Callable[[str], bool]
"""Whether an IP address may be dialled."""


class Origin(Struct, frozen=True, kw_only=True):
    """Where a tool listens: ``host`` and ``port``, or the path of a Unix socket. With ``tls``, a context that verifies.

    ``server_hostname`` is the name the certificate has to hold (default: ``host``). ``connections`` is how many it is given,
    ``None`` for as many as the pool's bounds say.
    """

    host: str = ""
    port: int = 0
    unix: str | None = None
    tls: ssl.SSLContext | None = None
    server_hostname: str | None = None
    connections: int | None = None


class Channel(asyncio.Protocol):
    """Carries one exchange at a time. ``released`` is called at each exchange's end, with whether this can be used again;
    ``lost`` at the connection's own end.
    """

    def __init__(self, bounds: PoolBounds, released: Callable[[Channel, bool], None], lost: Callable[[Channel], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._bounds, self._released, self._lost = bounds, released, lost
        self._exchange: Exchange | None = None
        self._idle_since = 0.0
        self._long = False
        self._transport: asyncio.Transport
        self._poll = select.poll()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    # --- what the loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._idle_since = self._loop.time()
        self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLPRI | select.POLLRDHUP)

    def data_received(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.feed(data)
        else:
            # Bytes that answer nothing: whatever comes next on this connection cannot be trusted.
            self._transport.abort()

    def eof_received(self) -> bool:
        if self._exchange is not None:
            self._exchange.lost(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._exchange is not None:
            self._exchange.lost(exc or ConnectionResetError())
        self.closed.set_result(None)
        self._lost(self)

    # --- what the pool calls ---

    def usable(self) -> bool:
        """Whether a request can be written now: open, not idle for too long, nothing to read on it, not even an end (one system call)."""
        fresh = self._loop.time() - self._idle_since < self._bounds.idle_timeout
        return fresh and not self._transport.is_closing() and not self._poll.poll(0)

    def begin(self, data: bytes, request: Outgoing, deadline: float) -> Exchange:
        """Write a whole request (``data`` is its form on the wire), in this very step of the event loop, and read its answer."""
        self._long = len(data) > self._bounds.reuse_bytes
        self._exchange = Exchange(self._transport, request, deadline, self._bounds, self._release)
        self._transport.write(data)
        return self._exchange

    def abort(self) -> None:
        self._transport.abort()

    def _release(self, clean: bool) -> None:
        self._exchange = None
        self._idle_since = self._loop.time()
        # Else the tool may have answered without having read all of the request.
        self._released(self, clean and not self._long and self._transport.get_write_buffer_size() == 0)


async def dial(origin: Origin, allowed: Allowed, make: Callable[[], Channel], deadline: float) -> Channel:
    """A fresh connection; ``deadline`` is in the loop's time. One resolution: the addresses that were checked are those dialled.

    Raises:
        UpstreamFailure: cannot connect (``sent`` is false): not resolved, not allowed, refused, no trust, or not in time.
    """
    try:
        async with asyncio.timeout_at(deadline):
            if origin.unix is not None:
                return (await asyncio.get_running_loop().create_unix_connection(make, origin.unix))[1]
            return await _dial_first(origin, await _addresses(origin, allowed), make, deadline)
    except TimeoutError as late:
        raise UpstreamFailure("the tool accepted no connection in time", sent=False, late=True) from late
    except ssl.SSLError as distrust:
        raise UpstreamFailure(f"the tool's TLS certificate or handshake is not acceptable: {distrust.reason}", sent=False) from distrust
    except OSError as wrong:
        raise UpstreamFailure(f"the tool cannot be reached: {wrong.strerror or wrong}", sent=False) from wrong


async def _addresses(origin: Origin, allowed: Allowed) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    # All of them, or a name could hide a forbidden address behind a permitted one.
    if not addresses or not all(allowed(address) for address in addresses):
        raise UpstreamFailure(f"the tool's host '{origin.host}' resolves to an address that is not allowed", sent=False)
    return addresses


async def _dial_first(origin: Origin, addresses: list[str], make: Callable[[], Channel], deadline: float) -> Channel:
    """The first address that answers; each gets an equal share of the time that is left."""
    loop = asyncio.get_running_loop()
    name = (origin.server_hostname or origin.host) if origin.tls else None
    failure: OSError = OSError("no address")
    for left in range(len(addresses), 0, -1):
        now = loop.time()
        try:
            async with asyncio.timeout_at(now + (deadline - now) / left):
                return (await loop.create_connection(make, addresses[-left], origin.port, ssl=origin.tls, server_hostname=name))[1]
        except ssl.SSLError:
            raise
        except OSError as wrong:  # TimeoutError is one
            failure = wrong
    raise failure
