"""One attempt at one webhook: a POST to an address that was checked, and nothing of its answer but what has to be known."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

import gateway
from gateway.core import addresses

_HEADERS = {"User-Agent": f"killcord/{gateway.__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}

_Address = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` is 0 if no answer came; ``why`` then says what happened, without an address or URL."""

    status: int = 0
    retry_after: str | None = None
    why: str = ""


class Forbidden(OSError):
    """The host has an address that is not allowed."""


class Post:
    """A session for all webhooks. Made inside a running event loop."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(
            limit=0,  # each webhook has one request at a time, and none waits for another's
            force_close=True,  # a kept connection may have died unseen, and would cost an attempt
            use_dns_cache=False,
            resolver=_Resolver(),
            socket_factory=_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=_HEADERS,
            # Nothing of one answer may colour the next, and no environment variable leads elsewhere.
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            # One deadline of our own instead: it holds for the look-up of the name as well.
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        )
        self._trust: dict[Path | None, ssl.SSLContext] = {}

    async def send(self, url: str, body: bytes, headers: Mapping[str, str], *, ca: Path | None, within: float) -> Answer:
        """Send once; the answer's body is not read, and its connection not used again."""
        try:
            async with (
                asyncio.timeout(within),
                self._session.post(
                    URL(url, encoded=True), data=body, headers=headers, ssl=self._trusting(ca), allow_redirects=False
                ) as response,
            ):
                return Answer(response.status, response.headers.get("Retry-After"))
        except TimeoutError:
            return Answer(why=f"no answer within {within:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(why=_why(error))

    async def close(self) -> None:
        await self._session.close()

    def _trusting(self, ca: Path | None) -> ssl.SSLContext:
        if ca not in self._trust:
            self._trust[ca] = ssl.create_default_context(cafile=None if ca is None else str(ca))
        return self._trust[ca]


class _Resolver(AbstractResolver):
    """The system's, with every address checked, or a name could hide a forbidden one behind a permitted one."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        found = await aiohttp.ThreadedResolver().resolve(host, port, family)
        if not all(addresses.allowed(one["host"]) for one in found):
            raise Forbidden
        return found

    async def close(self) -> None: ...


def _socket(address: _Address) -> socket.socket:
    """A socket for the address that is dialled next: an address that is written in a URL never meets the resolver."""
    family, kind, protocol, _, place = address
    if not addresses.allowed(str(place[0])):
        raise Forbidden
    return socket.socket(family, kind, protocol)


def _why(error: BaseException) -> str:
    """What went wrong, from its kind alone: messages hold hosts and URLs."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Forbidden):
            return "its host has an address that is not allowed"
        cause = getattr(cause, "os_error", None) or cause.__cause__
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return "its TLS certificate or handshake is not acceptable"
    return "it cannot be reached" if isinstance(error, aiohttp.ClientConnectorError) else f"no answer ({type(error).__name__})"
