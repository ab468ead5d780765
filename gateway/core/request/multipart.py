"""Multipart bodies told apart by their parts: a client makes up another boundary each time it sends the same. Pure."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote

from gateway.core.request import coding
from gateway.model.call import Headers

_TYPE = b"multipart/form-data"
_PARAMETER = re.compile(rb';[ \t]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("[^"\\\r\n]*"|[!#$%&\'*+.^_`|~0-9A-Za-z-]+)[ \t]*')
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
"""RFC 2046 5.1.1."""


_NAME = re.compile(rb"""(?<![^;\s])name(\*?)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^;\s]*))""", re.IGNORECASE)
"""The parameter by which a part says which field it is, as a lenient reader takes it."""


def parts_of(headers: Headers, body: bytes) -> list[str] | None:
    """What a form of parts holds: its type's other parameters, then the hex SHA-256 of each part (head and content) in order.

    ``None`` if it is no ``multipart/form-data``, or not exactly as RFC 7578 and RFC 2046 write it: without a preamble or an epilogue, every
    line of a delimiter ended by CRLF. Two bodies with the same parts differ in nothing but their boundary.
    """
    found = _pieces(headers, body)
    return None if found is None else [*found[0], *(hashlib.sha256(piece).hexdigest() for piece in found[1])]


def names_in(headers: Headers, body: bytes) -> list[str]:
    """The names of the fields of a form of parts; none if it is no ``multipart/form-data``.

    If it is not strictly one, what could be a name anywhere in it counts: a lenient tool may find a part there.
    """
    if not any(name.lower() == b"content-type" and value[: len(_TYPE)].lower() == _TYPE for name, value in headers):
        return []
    found = _pieces(headers, body)
    heads = [coding.plain(headers, body) or b""] if found is None else [piece.partition(b"\r\n\r\n")[0] for piece in found[1]]
    return [_name(*match) for head in heads for match in _NAME.findall(head)]


def _name(extended: bytes, *values: bytes) -> str:
    text = b"".join(values).decode("utf-8", "replace")
    return unquote(text.rpartition("'")[2]) if extended else text


def _pieces(headers: Headers, body: bytes) -> tuple[list[str], list[bytes]] | None:
    """The other parameters of its type, and the parts."""
    content_type = b""
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-encoding":
            return None
        if lower == b"content-type":
            content_type = value
    described = _described(content_type)
    if described is None:
        return None
    boundary, others = described
    delimiter = b"\r\n--" + boundary
    # The first delimiter has no line before it: given one, all are alike.
    first, *pieces = (b"\r\n" + body).split(delimiter)
    if first or len(pieces) < 2 or pieces[-1] not in (b"--", b"--\r\n"):
        return None
    if not all(piece.startswith(b"\r\n") for piece in pieces[:-1]):
        return None
    return others, pieces[:-1]


def _described(content_type: bytes) -> tuple[bytes, list[str]] | None:
    """The boundary, and the other parameters as they stand; ``None`` if the type is another, or not strictly written."""
    kind = content_type[: len(_TYPE)].lower()
    if kind != _TYPE:
        return None
    at, boundary, others = len(_TYPE), None, []
    while at < len(content_type):
        found = _PARAMETER.match(content_type, at)
        if found is None:
            return None
        name, value = found[1].lower(), found[2].strip(b'"')
        if name != b"boundary":
            others.append(f"{name.decode('ascii')}={value.decode('latin-1')}")
        elif boundary is not None:
            return None
        else:
            boundary = value
        at = found.end()
    return None if boundary is None or not _BOUNDARY.fullmatch(boundary) else (boundary, others)
