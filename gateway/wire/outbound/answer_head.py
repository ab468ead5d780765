"""The head of a tool's answer, judged: what is passed on, how its body ends, whether its connection can be used again. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from gateway.model.call import Headers

_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"})
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NO_TOKEN = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_LENGTH = re.compile(rb"[0-9]{1,18}")


class Malformed(Exception):
    """The tool's answer is not HTTP/1.1 as it has to be; the message says what is wrong."""


class Judged(Struct, frozen=True):
    """``headers`` without the hop-by-hop ones. ``length`` of the body is ``None`` where it ends with its last chunk, or
    (``until_close``) with the connection. ``keep``: the connection may be used again after a clean end.
    """

    status: int
    headers: Headers
    length: int | None
    until_close: bool
    keep: bool


def judge(*, method: str, status: int, version: str, fields: list[tuple[bytes, bytes]]) -> Judged:
    """Judge a final answer's head.

    Raises:
        Malformed: the answer could be taken for another than it is.
    """
    if version not in ("1.1", "1.0") or not 200 <= status <= 599:
        raise Malformed(f"an answer of HTTP/{version} with status {status}")
    if _CONTROLS.search(b"".join([value for _, value in fields])):
        raise Malformed("a control character in a header field of its answer")
    passed: list[tuple[bytes, bytes]] = []
    options: set[bytes] = set()
    length: int | None = None
    coding: bytes | None = None
    for name, value in fields:
        lower = _special(name)
        if lower is None:
            passed.append((name, value))
        elif lower == b"connection":
            options.update(option.strip(b"\t ").lower() for option in value.split(b","))
        elif lower == b"transfer-encoding":
            coding = value.lower() if coding is None else b""
        elif lower == b"content-length":
            length = _length(value, length)
            passed.append((name, value))
    if coding is not None and (coding != b"chunked" or version == "1.0" or length is not None):
        raise Malformed("a transfer coding other than one 'chunked', or one beside a length or in HTTP/1.0")
    if options - {b"close", b"keep-alive"}:
        passed = [field for field in passed if field[0].lower() not in options]
    if method == "HEAD" or status in (204, 304):
        length = 0
    until_close = length is None and coding is None
    keep = not until_close and b"close" not in options and (version == "1.1" or b"keep-alive" in options)
    return Judged(status, tuple(passed), length, until_close, keep)


@lru_cache(maxsize=4096)
def _special(name: bytes) -> bytes | None:
    """The lower-case name of a field that takes part in framing or goes no further; ``None`` for one that is passed on.

    Raises:
        Malformed: it is no name.
    """
    if _NO_TOKEN.search(name):
        raise Malformed("a header field of its answer with a name that is none")
    lower = name.lower()
    return lower if lower in _HOP_BY_HOP or lower == b"content-length" or lower.startswith(b"proxy-") else None


def _length(value: bytes, before: int | None) -> int:
    if before is not None or not _LENGTH.fullmatch(value):
        raise Malformed("a Content-Length that is no single number")
    return int(value)
