"""A reply on its way to a client: status line, fields and framing as bytes, and its body, streamed with back-pressure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from itertools import compress

from msgspec import Struct

from gateway.errors import Refusal, UpstreamFailure
from gateway.model.call import Head, Reply

_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade", b"trailer"})
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}


class ResponseHead(Struct, frozen=True):
    """The first bytes of a reply: its head, and what of its body is there. ``streams``: the reply's ``rest`` is to follow,
    in chunks if ``chunked``, else ``due`` bytes of it (``None``: until the connection closes). ``keep``: the connection lives on.
    """

    data: bytes
    keep: bool
    streams: bool = False
    chunked: bool = False
    due: int | None = None


def response_head(reply: Reply, head: Head | None, *, keep: bool, now: float) -> ResponseHead:
    """How a reply to ``head`` begins (``None``: a request that could not be read). ``now`` (UTC seconds) is its Date if it has none.

    Nothing is added but ``Date`` and the framing, which is replaced; a declared length holds for a streamed body.

    Raises:
        ValueError: a field of the reply contains a line end.
    """
    method, old = (head.method, head.http_1_0) if head else ("GET", False)
    lines, declared = _lines(reply, now)
    keep = keep and not reply.close
    streams = chunked = False
    content, length, due = reply.body, declared, None
    if method == "HEAD" or reply.status in (204, 304):
        content, length = b"", declared if reply.bodiless_length is None else reply.bodiless_length
    elif reply.rest is None:
        length = len(content)
    else:
        streams, chunked = True, declared is None and not old
        keep = keep and (chunked or declared is not None)
        due = None if declared is None else declared - len(content)
    if chunked:
        content = _chunk(content)
        lines.append(b"Transfer-Encoding: chunked\r\n")
    elif length is not None and reply.status != 204:
        lines.append(b"Content-Length: %d\r\n" % length)
    if not keep:
        lines.append(b"Connection: close\r\n")
    elif old:
        lines.append(b"Connection: keep-alive\r\n")
    block = b"".join(lines)
    if block.count(b"\n") != len(lines) or block.count(b"\r") != len(lines):
        raise ValueError("a field of the reply contains a line end")
    status_line = _STATUS_LINES.get(reply.status) or b"HTTP/1.1 %d \r\n" % reply.status
    return ResponseHead(b"%b%b\r\n%b" % (status_line, block, content), keep, streams, chunked, due)


def _lines(reply: Reply, now: float) -> tuple[list[bytes], int | None]:
    """The field lines of a reply but for its framing, and the body length that it declares."""
    shape, declared = _shape(tuple([name for name, _ in reply.headers])), None
    lines = [b"%b: %b\r\n" % pair for pair in (compress(reply.headers, shape.passed) if shape.framed else reply.headers)]
    if shape.length is not None:
        declared = int(reply.headers[shape.length][1])
    if not shape.dated:
        lines.append(_date_line(int(now)))
    return lines, declared


@lru_cache(maxsize=1)
def _date_line(second: int) -> bytes:
    return b"Date: %b\r\n" % formatdate(second, usegmt=True).encode()


class _Shape(Struct, frozen=True):
    """What the names of a reply's fields say. ``passed``: which are no framing; ``framed``: one of them is.

    ``length`` is the place of the last Content-Length.
    """

    passed: tuple[bool, ...]
    framed: bool
    dated: bool
    length: int | None


@lru_cache(maxsize=512)
def _shape(names: tuple[bytes, ...]) -> _Shape:
    kinds = [_kind(name) for name in names]
    passed = tuple([kind in (None, b"date") for kind in kinds])
    lengths = [place for place, kind in enumerate(kinds) if kind == b"content-length"]
    return _Shape(passed, not all(passed), b"date" in kinds, lengths[-1] if lengths else None)


@lru_cache(maxsize=1024)
def _kind(name: bytes) -> bytes | None:
    """The lower-case name of a field that takes part in framing, and of Date; ``None`` for all others."""
    lower = name.lower()
    return lower if lower in _FRAMING or lower == b"date" else None


def _chunk(data: bytes) -> bytes:
    """Data as one chunk; nothing for no data, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class Writer:
    """Writes to a client that may read slowly, or be gone. ``writable`` is cleared while the client has a full buffer to read first."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.writable = asyncio.Event()
        self.writable.set()

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    async def send(self, reply: Reply, head: ResponseHead) -> bool:
        """Write a reply to its end and wait until the client has read most of it; whether the connection can be used again."""
        try:
            self.write(head.data)
            whole = await self._stream(reply.rest, head) if head.streams and reply.rest is not None else True
        finally:
            if reply.rest is not None:
                await close(reply.rest)
        await self.writable.wait()
        if not whole:
            # The client has to see that the body is not whole: no last chunk, fewer bytes than declared.
            self._transport.abort()
        return whole and head.keep and not self._transport.is_closing()

    async def _stream(self, rest: AsyncIterator[bytes], head: ResponseHead) -> bool:
        due = head.due
        try:
            async for data in rest:
                if due is not None:
                    if len(data) > due:
                        return False
                    due -= len(data)
                self.write(_chunk(data) if head.chunked else data)
                await self.writable.wait()
                if self._transport.is_closing():
                    return False
        except (UpstreamFailure, Refusal):
            return False
        if head.chunked:
            self.write(b"0\r\n\r\n")
        return not due


async def close(rest: AsyncIterator[bytes]) -> None:
    """End a stream that is no longer wanted; does nothing at its end."""
    if (aclose := getattr(rest, "aclose", None)) is not None:
        await aclose()
