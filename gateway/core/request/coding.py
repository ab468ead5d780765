"""Content codings (RFC 9110, 8.4.1): what a tool's reply holds when they are taken off. Pure.

A reply is not trusted: what cannot be read, or holds more than a bound, is ``None`` and never an error.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

import brotli

from gateway.model.call import Answer, Headers

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BOUND = 4 << 20
"""Bytes that a compressed body may expand to before it counts as unreadable."""

_LAYERS = 2
"""Codings of one body, one upon the other, that are taken off."""
_WINDOW = 23
"""Of zstd, the logarithm of the bytes that a decoder must be able to keep: RFC 9659 allows no more on the web."""


class _Stream(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def of(headers: Headers) -> tuple[bytes, ...]:
    """The codings of a body in the order in which they were applied, in lower case and without ``identity``."""
    values = [value for name, value in headers if name.lower() == b"content-encoding"]
    if not values:
        return ()
    names = [one.strip().lower() for one in b",".join(values).split(b",")]
    return tuple(one for one in names if one not in (b"", b"identity"))


def plain(headers: Headers, body: bytes, bound: int = BOUND) -> bytes | None:
    """The body without its codings; ``None`` if one is unknown or broken, or it expands to more than ``bound`` bytes."""
    codings = of(headers)
    if not codings or not body:
        return body
    if len(codings) > _LAYERS:
        return None
    decoded: bytes | None = body
    for coding in reversed(codings):
        decoder = _DECODERS.get(coding)
        if decoder is None or decoded is None:
            return None
        decoded = decoder(decoded, bound)
    return decoded


def without(answer: Answer) -> Answer:
    """A complete answer without its codings, or as it is if they cannot be taken off."""
    if not of(answer.headers) or (body := plain(answer.headers, answer.body)) is None:
        return answer
    kept = tuple(pair for pair in answer.headers if pair[0].lower() not in (b"content-encoding", b"content-length"))
    return Answer(status=answer.status, headers=kept, body=body)


def _gzip(body: bytes, bound: int) -> bytes | None:
    return _frames(lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), body, bound)


def _deflate(body: bytes, bound: int) -> bytes | None:
    """The zlib format, as RFC 9110 has it, or the bare stream that some servers send under this name."""
    found = _frames(lambda: zlib.decompressobj(zlib.MAX_WBITS), body, bound)
    return _frames(lambda: zlib.decompressobj(-zlib.MAX_WBITS), body, bound) if found is None else found


def _zstd(body: bytes, bound: int) -> bytes | None:
    return _frames(lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW}), body, bound)


def _frames(stream: Callable[[], _Stream], body: bytes, bound: int) -> bytes | None:
    """What one or several frames hold; nothing else may follow them."""
    parts, size = [], 0
    while body:
        one = stream()
        try:
            parts.append(one.decompress(body, bound + 1 - size))
        except (zlib.error, zstd.ZstdError):
            return None
        size += len(parts[-1])
        if size > bound or not one.eof:
            return None
        body = one.unused_data
    return b"".join(parts)


def _brotli(body: bytes, bound: int) -> bytes | None:
    stream, parts, size = brotli.Decompressor(), [], 0
    try:
        # It gives what it has in pieces, and an empty one when it would need more of the body.
        while part := stream.process(body, output_buffer_limit=bound + 1 - size):
            body = b""
            parts.append(part)
            size += len(part)
            if size > bound:
                return None
            if stream.is_finished():
                break
    except brotli.error:
        return None
    return b"".join(parts) if stream.is_finished() else None


_DECODERS: dict[bytes, Callable[[bytes, int], bytes | None]] = {
    b"gzip": _gzip,
    b"x-gzip": _gzip,
    b"deflate": _deflate,
    b"br": _brotli,
    b"zstd": _zstd,
}
