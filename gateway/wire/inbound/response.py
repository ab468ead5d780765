"""A reply as bytes: status line, fields, and the framing of its body. Pure."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus

from msgspec import Struct

from gateway.model.wire import Head, Reply

_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade", b"trailer"})
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
LAST_CHUNK = b"0\r\n\r\n"


class ResponseHead(Struct, frozen=True):
    """The first bytes of a reply: its head, and what of its body is there. ``streams``: the reply's ``rest`` is to follow,
    in chunks where ``chunked``, else ``due`` bytes of it (``None``: until the connection closes). ``keep``: the connection lives on.
    """

    data: bytes
    keep: bool
    streams: bool = False
    chunked: bool = False
    due: int | None = None


def opening(reply: Reply, head: Head | None, *, keep: bool, date: bytes) -> ResponseHead:
    """How a reply to ``head`` begins (``None``: a request that could not be read). ``date`` is the Date where the reply has none.

    Nothing is added but ``Date`` and the framing, which is made anew; a declared length holds for a streamed body.

    Raises:
        ValueError: a field of the reply holds a line end.
    """
    method, old = (head.method, head.http_1_0) if head else ("GET", False)
    lines, declared = _lines(reply, date)
    keep = keep and not reply.close
    streams = chunked = False
    due: int | None = None
    content = reply.body
    if method == "HEAD" or reply.status in (204, 304):
        content = b""
        length = reply.bodiless_length if reply.bodiless_length is not None else declared
        if length is not None and reply.status != 204:
            lines.append(b"Content-Length: %d\r\n" % length)
    elif reply.rest is None:
        lines.append(b"Content-Length: %d\r\n" % len(content))
    else:
        streams = True
        if declared is not None:
            lines.append(b"Content-Length: %d\r\n" % declared)
            due = declared - len(content)
        elif old:
            keep = False
        else:
            lines.append(b"Transfer-Encoding: chunked\r\n")
            chunked, content = True, chunk(content)
    if not keep:
        lines.append(b"Connection: close\r\n")
    elif old:
        lines.append(b"Connection: keep-alive\r\n")
    return ResponseHead(_joined(reply.status, lines) + content, keep, streams, chunked, due)


def chunk(data: bytes) -> bytes:
    """Data as one chunk; nothing for no data, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _lines(reply: Reply, date: bytes) -> tuple[list[bytes], int | None]:
    declared, dated, lines = None, False, []
    for name, value in reply.headers:
        kind = _kind(name)
        if kind == b"content-length":
            declared = int(value)
        elif kind is None:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif kind == b"date":
            dated = True
            lines.append(b"%b: %b\r\n" % (name, value))
    if not dated:
        lines.append(b"Date: %b\r\n" % date)
    return lines, declared


@lru_cache(maxsize=1024)
def _kind(name: bytes) -> bytes | None:
    """The lower-case name of a field that takes part in framing, and of Date; ``None`` for all others."""
    lower = name.lower()
    return lower if lower in _FRAMING or lower == b"date" else None


def _joined(status: int, lines: list[bytes]) -> bytes:
    block = b"".join(lines)
    if block.count(b"\n") != len(lines) or block.count(b"\r") != len(lines):
        raise ValueError("a field of the reply holds a line end")
    return (_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status) + block + b"\r\n"
