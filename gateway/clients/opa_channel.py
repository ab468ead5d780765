"""The way to an OPA: one exchange at a time, one deadline over all of it, and no answer but a whole one of JSON."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
from yarl import URL

from gateway import errors

CONNECTIONS = 64
KEPT = 15.0
"""Seconds that an idle connection is kept."""

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; ``body`` was sent as JSON, which is not to say that it is."""

    status: int
    body: bytes


class Channel:
    """Connections to one OPA, of a session of their own. To be made where an event loop runs.

    ``base`` is ``http://host:port`` or ``https://...``, with a path where OPA lies under one; ``socket`` is the Unix
    socket to dial instead of what ``base`` names.
    """

    def __init__(self, base: str, socket: str = "") -> None:
        self._base = base
        connector = (
            aiohttp.UnixConnector(socket, limit=CONNECTIONS, keepalive_timeout=KEPT)
            if socket
            else aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEPT)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=_HEADERS,
            skip_auto_headers=("User-Agent",),
            # Nothing of one answer may colour the next, and no environment variable leads elsewhere.
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            # One deadline of our own instead: it holds for the wait for a connection and for reading the answer as well.
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        )

    def at(self, path: str) -> URL:
        """The URL of a path and query as they are to be sent."""
        return URL(self._base + path, encoded=True)

    async def ask(self, method: str, url: URL, body: bytes | None = None, *, within: float, most: int) -> Answer:
        """Send once and take the answer, all ``within`` so many seconds and of at most ``most`` bytes.

        aiohttp resends what is idempotent after a dropped connection: GET is, POST is not.

        Raises:
            PolicyUnavailable: there is no such answer.
        """
        try:
            async with (
                asyncio.timeout(within),
                self._session.request(method, url, data=body, allow_redirects=False, raise_for_status=False) as response,
            ):
                if response.content_type != "application/json" or "Content-Encoding" in response.headers:
                    raise _unavailable(f"something else than JSON (status {response.status})")
                return Answer(response.status, await _bounded(response.content, most))
        except TimeoutError as error:
            raise errors.PolicyUnavailable(f"The policy engine did not answer within {within * 1000:g} ms.", retry_after=1.0) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise errors.PolicyUnavailable("The policy engine cannot be reached, or dropped the question.", retry_after=1.0) from error

    async def close(self) -> None:
        await self._session.close()


async def _bounded(content: aiohttp.StreamReader, most: int) -> bytes:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > most:
            raise _unavailable(f"more than {most} bytes")
    return bytes(body)


def _unavailable(what: str) -> errors.PolicyUnavailable:
    return errors.PolicyUnavailable(f"The policy engine answered {what}.", retry_after=1.0)
