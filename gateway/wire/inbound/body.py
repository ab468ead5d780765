"""Strict framing of request bodies: exact lengths, and chunks without extensions. Incremental; no I/O."""

from __future__ import annotations

import re
from typing import Protocol

from gateway.errors import BodyTooLarge, MalformedRequest
from gateway.wire.limits import Bounds

_SIZE = re.compile(rb"(0|[1-9A-Fa-f][0-9A-Fa-f]{0,7})\r\n")
_LONGEST_SIZE = 10
_TRAILER = re.compile(rb"[!#$%&'*+\-.^`|~0-9A-Za-z]+:[\t -~]*\r\n")
_LINE_END = re.compile(rb"[\r\n]")


class Framing(Protocol):
    def feed(self, buffer: bytearray) -> bytes | None:
        """Take what belongs to the body off the front of ``buffer``; the body, once it is whole.

        Raises:
            MalformedRequest: the framing is not exact.
            BodyTooLarge: the body is longer than the cap.
        """
        ...


class Exact:
    """A body of a declared length."""

    __slots__ = ("_length",)

    def __init__(self, length: int) -> None:
        self._length = length

    def feed(self, buffer: bytearray) -> bytes | None:
        if len(buffer) < self._length:
            return None
        body = bytes(buffer[: self._length])
        del buffer[: self._length]
        return body


class Chunked:
    """A chunked body. Sizes are plain hexadecimal, line ends are CRLF; trailers are checked like fields, and dropped."""

    __slots__ = ("_body", "_bounds", "_chunks", "_left", "_trailers")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._body = bytearray()
        self._chunks = 0
        self._left = 0  # of the chunk being read, with its CRLF
        self._trailers = -1  # bytes of trailers seen; -1 before the last chunk

    def feed(self, buffer: bytearray) -> bytes | None:
        position = 0
        while self._trailers < 0:
            step = self._data(buffer, position) if self._left else self._size(buffer, position)
            if step is None:
                break
            position = step
        del buffer[:position]
        if self._trailers >= 0 and self._ended(buffer):
            return bytes(self._body)
        return None

    def _size(self, buffer: bytearray, position: int) -> int | None:
        match = _SIZE.match(buffer, position)
        if match is None:
            start = bytes(buffer[position : position + _LONGEST_SIZE])
            if len(start) == _LONGEST_SIZE or not _could_be_size(start):
                raise MalformedRequest("A chunk size is not plain hexadecimal followed by CRLF.")
            return None
        size = int(match[1], 16)
        self._chunks += 1
        if len(self._body) + size > self._bounds.body_cap:
            raise BodyTooLarge(f"The body is longer than {self._bounds.body_cap} bytes.")
        if self._chunks > self._bounds.chunks:
            raise BodyTooLarge(f"The body comes in more than {self._bounds.chunks} chunks.")
        if size == 0:
            self._trailers = 0
        else:
            self._left = size + 2
        return match.end()

    def _data(self, buffer: bytearray, position: int) -> int | None:
        available = min(self._left, len(buffer) - position)
        if available == 0:
            return None
        content = min(max(self._left - 2, 0), available)
        self._body += buffer[position : position + content]
        rest = bytes(buffer[position + content : position + available])
        expected = b"\r\n"[2 - min(self._left - content, 2) :][: len(rest)]
        if rest != expected:
            raise MalformedRequest("A chunk is not exactly as long as it says.")
        self._left -= available
        return position + available

    def _ended(self, buffer: bytearray) -> bool:
        while (end := buffer.find(b"\r\n")) > 0:
            line = bytes(buffer[: end + 2])
            if not _TRAILER.fullmatch(line):
                raise MalformedRequest("A trailer is not 'name: value' in plain ASCII.")
            self._count_trailer(len(line))
            del buffer[: end + 2]
        if end == 0:
            del buffer[:2]
            return True
        if _LINE_END.search(buffer) and not (buffer.endswith(b"\r") and len(_LINE_END.findall(buffer)) == 1):
            raise MalformedRequest("A trailer holds a bare CR or LF.")
        if self._trailers + len(buffer) > self._bounds.trailer_bytes:
            self._count_trailer(len(buffer))
        return False

    def _count_trailer(self, size: int) -> None:
        self._trailers += size
        if self._trailers > self._bounds.trailer_bytes:
            raise MalformedRequest(f"The trailers are longer than {self._bounds.trailer_bytes} bytes.")


def framing(length: int | None, bounds: Bounds) -> Framing:
    """How a body of a declared length (``None``: chunked) is read.

    Raises:
        BodyTooLarge: the declared length is over the cap.
    """
    if length is None:
        return Chunked(bounds)
    if length > bounds.body_cap:
        raise BodyTooLarge(f"The body is longer than {bounds.body_cap} bytes.")
    return Exact(length)


def _could_be_size(start: bytes) -> bool:
    return _SIZE.fullmatch((start.removesuffix(b"\r") or b"0") + b"\r\n") is not None and start != b"\r"
