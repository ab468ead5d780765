"""What crosses the wire: a request head as framed, a request to a tool, its answer, and the reply to the agent."""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec import Struct, field

from gateway.model.call import Headers


class Head(Struct, frozen=True, kw_only=True, gc=False):
    """A request head whose every byte was checked. ``target`` is the origin-form target as sent.

    ``length`` is the declared body length, ``None`` if the body is chunked; 0 if there is none.
    """

    method: str
    target: str
    headers: Headers
    length: int | None = 0
    http_1_0: bool = False
    expects_continue: bool = False


class Outgoing(Struct, frozen=True, kw_only=True, gc=False):
    """A request to a tool, complete: nothing is added to it, re-quoted or dropped on the way out.

    ``timeout`` (seconds) bounds connect and first byte together, and each pause between chunks. ``retriable`` is true
    for reads alone: once, on a fresh connection, where a kept one turned out to be dead before any answer byte came.
    """

    tool: str
    tenant: str
    method: str
    target: str
    headers: Headers
    body: bytes = b""
    timeout: float = 10.0
    retriable: bool = False


class Answer(Struct, frozen=True, kw_only=True):
    """A tool's answer without hop-by-hop headers. ``body`` is what was read so far, ``rest`` what is still to come (``None``: complete).

    The owner of an answer with a ``rest`` must consume or close it (``aclose``): otherwise the pool loses its connection.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    rest: AsyncIterator[bytes] | None = None

    @property
    def complete(self) -> bool:
        return self.rest is None


class Reply(Struct, frozen=True, kw_only=True):
    """What the agent gets. ``rest`` as in :class:`Answer`; ``close`` ends the connection after it.

    ``bodiless_length`` is the Content-Length a HEAD or 304 reply declares without having a body.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    rest: AsyncIterator[bytes] | None = None
    close: bool = False
    bodiless_length: int | None = field(default=None)
