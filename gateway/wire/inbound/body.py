"""Strict framing of request bodies: exact lengths, and chunks without extensions. Incremental; no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from gateway.errors import BodyTooLarge, MalformedRequest
from gateway.wire.limits import Bounds

_SIZE = re.compile(rb"(0|[1-9A-Fa-f][0-9A-Fa-f]{0,7})\r\n")
_SIZE_START = re.compile(rb"(?:(?:0|[1-9A-Fa-f][0-9A-Fa-f]{0,7})\r?)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^`|~0-9A-Za-z]+:[\t -~]*\r\n")
_BARE = re.compile(rb"\n|\r(?!\Z)")


Framing = Callable[[bytearray], bytes | None]
"""Takes a body off the front of a buffer once it is whole."""


class Chunked:
    """A chunked body. Sizes are plain hexadecimal, line ends are CRLF; trailers are checked like fields, and dropped."""

    __slots__ = ("_body", "_bounds", "_chunks", "_trailers")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._body = bytearray()
        self._chunks = 0
        self._trailers = -1  # bytes of trailers seen; -1 before the last chunk

    def feed(self, buffer: bytearray) -> bytes | None:
        """Take what belongs to the body off the front of ``buffer``; the body, once it is whole.

        Raises:
            MalformedRequest: the framing is not exact.
            BodyTooLarge: the body is longer than the cap.
        """
        position = 0
        while self._trailers < 0 and (end := self._chunk(buffer, position)) is not None:
            position = end
        del buffer[:position]
        return bytes(self._body) if self._trailers >= 0 and self._ended(buffer) else None

    def _chunk(self, buffer: bytearray, position: int) -> int | None:
        """Where the chunk that begins at ``position`` ends; ``None`` if it is not whole yet."""
        match = _SIZE.match(buffer, position)
        if match is None:
            if not _SIZE_START.fullmatch(buffer, position):
                raise MalformedRequest("A chunk size is not plain hexadecimal followed by CRLF.")
            return None
        size, end = int(match[1], 16), match.end() + int(match[1], 16)
        if len(self._body) + size > self._bounds.body_cap:
            raise BodyTooLarge(f"The body is longer than {self._bounds.body_cap} bytes.")
        if self._chunks == self._bounds.chunks:
            raise BodyTooLarge(f"The body comes in more than {self._bounds.chunks} chunks.")
        if size == 0:
            self._trailers = 0
            return end
        if not b"\r\n".startswith(bytes(buffer[end : end + 2])):
            raise MalformedRequest("A chunk does not have its declared length.")
        if len(buffer) < end + 2:
            return None
        self._body += buffer[match.end() : end]
        self._chunks += 1
        return end + 2

    def _ended(self, buffer: bytearray) -> bool:
        while (end := buffer.find(b"\r\n")) > 0:
            line = bytes(buffer[: end + 2])
            if not _TRAILER.fullmatch(line):
                raise MalformedRequest("A trailer is not 'name: value' in plain ASCII.")
            self._trailers += len(line)
            del buffer[: end + 2]
        if end < 0 and _BARE.search(buffer):
            raise MalformedRequest("A trailer contains a bare CR or LF.")
        if self._trailers + (len(buffer) if end < 0 else 0) > self._bounds.trailer_bytes:
            raise MalformedRequest(f"The trailers are longer than {self._bounds.trailer_bytes} bytes.")
        if end == 0:
            del buffer[:2]
        return end == 0


def framing(length: int | None, bounds: Bounds) -> Framing:
    """How a body of a declared length (``None``: chunked) is read.

    Raises:
        BodyTooLarge: the declared length is over the cap.
    """
    if length is None:
        return Chunked(bounds).feed
    if length > bounds.body_cap:
        raise BodyTooLarge(f"The body is longer than {bounds.body_cap} bytes.")
    return partial(_take, length)


def _take(length: int, buffer: bytearray) -> bytes | None:
    if len(buffer) < length:
        return None
    body = bytes(buffer[:length])
    del buffer[:length]
    return body
