"""Opening a connection to a tool: one resolution, every address checked, the checked one dialled."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import UpstreamFailure
from gateway.wire.outbound.channel import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
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


Allowed = Callable[[str], bool]
MakeChannel = Callable[[], Channel]


async def dial(origin: Origin, allowed: Allowed, make: MakeChannel, deadline: float) -> Channel:
    """A fresh connection; ``deadline`` is in the loop's time.

    Raises:
        UpstreamFailure: there is none (``sent`` is false): not resolved, not allowed, refused, no trust, or not in time.
    """
    try:
        async with asyncio.timeout_at(deadline):
            if origin.unix is not None:
                return (await asyncio.get_running_loop().create_unix_connection(make, origin.unix))[1]
            return await _dial_first(origin, await _addresses(origin, allowed), make, deadline)
    except TimeoutError as late:
        raise UpstreamFailure("the tool took no connection in time", sent=False, late=True) from late
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


async def _dial_first(origin: Origin, addresses: list[str], make: MakeChannel, deadline: float) -> Channel:
    """The first address that answers; each gets an equal share of the time that is left."""
    loop = asyncio.get_running_loop()
    name = (origin.server_hostname or origin.host) if origin.tls else None
    failure: OSError = OSError("no address")
    for left in range(len(addresses), 0, -1):
        address = addresses[-left]
        now = loop.time()
        try:
            async with asyncio.timeout_at(now + (deadline - now) / left):
                return (await loop.create_connection(make, address, origin.port, ssl=origin.tls, server_hostname=name))[1]
        except ssl.SSLError:
            raise
        except OSError as wrong:  # TimeoutError is one
            failure = wrong
    raise failure
