"""A tool's body as expressions see it. A tool is not trusted: what cannot be read is ``None``, never an error."""

from __future__ import annotations

import zlib

import orjson

from gateway.model.call import Headers

BOUND = 4 << 20
"""Bytes that a compressed body may unfold to before it counts as unreadable."""


def read(headers: Headers, body: bytes) -> object:
    """The JSON value of a body, ``None`` where it is not JSON, is compressed in an unknown way, or unfolds to too much."""
    coding = next((value.strip().lower() for name, value in headers if name.lower() == b"content-encoding"), b"identity")
    plain = unfold(coding, body)
    if not plain:
        return None
    try:
        return orjson.loads(plain)
    except orjson.JSONDecodeError:
        return None


def unfold(coding: bytes, body: bytes, bound: int = BOUND) -> bytes | None:
    """The body without its coding; ``None`` where that is unknown, broken, or larger than ``bound``."""
    if coding in (b"identity", b""):
        return body
    if coding not in (b"gzip", b"x-gzip", b"deflate"):
        return None
    stream = zlib.decompressobj(wbits=47)
    try:
        plain = stream.decompress(body, bound + 1)
    except zlib.error:
        return None
    return plain if len(plain) <= bound and stream.eof else None
