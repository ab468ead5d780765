"""What a body says, as JSON values, for policy to look at; the body itself goes on as it was sent. Pure.

A tool's body as expressions see it. A tool is not trusted: what cannot be read is ``None``, never an error.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import orjson

from gateway.core.request import strict_json, urlencoded
from gateway.errors import BodyTooLarge, MalformedRequest
from gateway.model.call import Headers

_JSON = frozenset({"application/json", "text/json"})
_FORM = "application/x-www-form-urlencoded"
_GZIP, _ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


def arguments(headers: Headers, body: bytes, *, cap: int) -> object:
    """The arguments in a body: JSON values, a form as an object of strings, or ``None`` where it is neither.

    A body is JSON when its type says so; without a type or with a ``text/`` one, when it begins like an object or a list.

    Raises:
        MalformedRequest: a JSON or form body that two readers could read differently, or a coding that cannot be looked into.
        BodyTooLarge: the body unpacks to more than ``cap`` bytes.
    """
    content_type, coding = _described(headers)
    kind, charset = _type(content_type)
    plain = body if coding in ("", "identity") else _unpacked(body, coding, cap)
    if kind == _FORM:
        return urlencoded.read(_ascii(plain), form=True)
    if kind in _JSON or kind.endswith("+json") or ((not kind or kind.startswith("text/")) and _begins_like_json(plain)):
        if charset not in ("", "utf-8", "us-ascii"):
            raise MalformedRequest(f"The body's charset is '{charset}'; JSON is sent as UTF-8.")
        return strict_json.loads(plain)
    return None


def _described(headers: Headers) -> tuple[bytes, str]:
    """Content-Type and Content-Encoding, empty where absent. (The wire refuses a second field of these names.)"""
    content_type, coding = b"", ""
    for name, value in headers:
        if name[:8].lower() == b"content-":
            lower = name.lower()
            if lower == b"content-type":
                content_type = value
            elif lower == b"content-encoding":
                coding = value.decode("latin-1").strip().lower()
    return content_type, coding


@lru_cache(maxsize=256)
def _type(value: bytes) -> tuple[str, str]:
    """The media type and its charset, in lower case."""
    kind, *parameters = (part.strip().lower() for part in value.decode("latin-1").split(";"))
    charsets = [p.removeprefix("charset=").strip('"') for p in parameters if p.startswith("charset=")]
    return kind, charsets[0] if len(charsets) == 1 else ", ".join(charsets)


def _begins_like_json(body: bytes) -> bool:
    return body.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] in (b"{", b"[")


def _ascii(body: bytes) -> str:
    try:
        return body.decode("ascii")
    except UnicodeDecodeError as wrong:
        raise MalformedRequest("The form body holds a byte that has to be percent-encoded.") from wrong


def _unpacked(body: bytes, coding: str, cap: int) -> bytes:
    bits = _CODINGS.get(coding)
    if bits is None:
        raise MalformedRequest(f"The gateway cannot look into the content coding '{coding}'; send the body uncompressed.")
    unpacker = zlib.decompressobj(bits)
    try:
        plain = unpacker.decompress(body, cap + 1)
    except zlib.error as wrong:
        raise MalformedRequest(f"The body is not valid {coding}; send it uncompressed.") from wrong
    if len(plain) > cap:
        raise BodyTooLarge(f"The body unpacks to more than {cap} bytes.")
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedRequest(f"The body is not exactly one {coding} stream; send it uncompressed.")
    return plain


BOUND = 4 << 20
"""Bytes that a compressed body may unfold to before it counts as unreadable."""


def json_value(headers: Headers, body: bytes) -> object:
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
