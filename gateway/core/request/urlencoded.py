"""Names and values joined by ``&`` and ``=``: a query, or a form's body. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from gateway.core.request import strict_json
from gateway.errors import MalformedRequest

# What RFC 3986 allows in a query, and what browsers leave unescaped there; no ';', which some tools take for a '&'.
_ALLOWED = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@/?\[\]{}|^`]|%[0-9A-Fa-f]{2})*+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROLS_IN_VALUES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CONTROLS_IN_FORMS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def read(raw: str, *, form: bool = False) -> dict[str, str]:
    """The decoded pairs; a value may hold tabs and line ends (a form's also carriage returns), no other control characters.

    Raises:
        MalformedRequest: a character or an escape is not allowed, or two keys are equal or twins of each other.
    """
    place = "form" if form else "query"
    if not _ALLOWED.fullmatch(raw):
        raise MalformedRequest(f"The {place} holds a character that has to be percent-encoded, or a broken escape.")
    pairs = [_pair(piece, place) for piece in raw.split("&") if piece]
    if strict_json.collide(key for key, _ in pairs):
        raise MalformedRequest(f"The {place} names a key twice, or two that differ only in case or in look-alike characters.")
    controls = _CONTROLS_IN_FORMS if form else _CONTROLS_IN_VALUES
    if any(_CONTROLS.search(key) or controls.search(value) for key, value in pairs):
        raise MalformedRequest(f"The {place} holds a control character.")
    return dict(pairs)


def _pair(piece: str, place: str) -> tuple[str, str]:
    key, _, value = piece.partition("=")
    return _decoded(key, place), _decoded(value, place)


def _decoded(raw: str, place: str) -> str:
    text = raw.replace("+", " ")
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError as wrong:
        raise MalformedRequest(f"An escape in the {place} is not UTF-8.") from wrong
