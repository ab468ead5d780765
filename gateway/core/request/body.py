"""What a body says, as JSON values; the body itself continues as it was sent. Pure.

Requests are read strictly: JSON that every reader reads alike (RFC 8259 as narrowed by RFC 7493, and narrower) and forms with each name
once. A tool's reply is not trusted: what cannot be read is ``None``, never an error.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zlib
from collections.abc import Iterable
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from gateway.core.request import exact_json, media_type
from gateway.core.request.media_type import Kind
from gateway.errors import BodyTooLarge, MalformedRequest
from gateway.model.call import BodyKind, Headers


class Reading(Struct, frozen=True, gc=False):
    """What a body says. ``args`` are its values, ``None`` if it is empty or opaque; ``why`` then says what keeps it from being read.

    ``long_numbers``: it may have a number of sixteen digits or more, or one with an exponent.
    """

    kind: BodyKind
    args: object = None
    long_numbers: bool = False
    why: str | None = None


_GZIP, _ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
_NOTHING = Reading(BodyKind.NONE)


def reading(headers: Headers, body: bytes, *, cap: int) -> Reading:
    """What a body says: JSON values, or a form as an object of strings. Opaque is what is neither, or is packed in a way unknown here.

    A body is JSON if its type is JSON; without a type or with a ``text/`` one, if it begins like an object or a list.

    Raises:
        MalformedRequest: a JSON or form body, or a type, that two readers could read differently.
        BodyTooLarge: the body unpacks to more than ``cap`` bytes.
    """
    if not body:
        return _NOTHING
    content_type, coding = _described(headers)
    kind, codings = media_type.kind_of(content_type), media_type.codings(coding)
    if kind is Kind.OTHER:
        return Reading(BodyKind.OPAQUE, why=f"its type is {content_type.decode('latin-1')!r}")
    if len(codings) > 1 or (codings and codings[0] not in _CODINGS):
        return Reading(BodyKind.OPAQUE, why=f"its content coding {', '.join(codings)!r} is not supported")
    plain = _unpacked(body, codings[0], cap) if codings else body
    if kind is Kind.FORM:
        return Reading(BodyKind.FORM, _form(plain))
    if kind is not Kind.JSON and not begins_like_json(plain):
        return Reading(
            BodyKind.OPAQUE, why="it is text that is not JSON" if kind is Kind.TEXT else "it has no Content-Type, and is not JSON"
        )
    value = loads(plain)
    return Reading(BodyKind.JSON, value, long_numbers=exact_json.may_be_rounded(plain))


def _described(headers: Headers) -> tuple[bytes, bytes]:
    """Content-Type and Content-Encoding, empty if absent. (The wire refuses a second field of these names.)"""
    content_type, coding = b"", b""
    for name, value in headers:
        if name[:8].lower() == b"content-":
            lower = name.lower()
            if lower == b"content-type":
                content_type = value
            elif lower == b"content-encoding":
                coding = value
    return content_type, coding


def begins_like_json(body: bytes) -> bool:
    """Whether a text begins as a JSON object or list does, perhaps behind a byte order mark."""
    return body.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] in (b"{", b"[")


def _ascii(body: bytes) -> str:
    try:
        return body.decode("ascii")
    except UnicodeDecodeError as wrong:
        raise MalformedRequest("The form body contains a byte that must be percent-encoded.") from wrong


def _form(body: bytes) -> dict[str, str]:
    fields = read(_ascii(body), form=True)
    # Some servers decode the other fields by the charset that this one names (HTML 4.10.21.3).
    if fields.get("_charset_", "utf-8").lower() not in ("utf-8", "us-ascii"):
        raise MalformedRequest("The form names another charset than UTF-8 in '_charset_'.")
    return fields


def _unpacked(body: bytes, coding: str, cap: int) -> bytes:
    unpacker = zlib.decompressobj(_CODINGS[coding])
    try:
        plain = unpacker.decompress(body, cap + 1)
    except zlib.error as wrong:
        raise MalformedRequest(f"The body is not valid {coding}; send it uncompressed.") from wrong
    if len(plain) > cap:
        raise BodyTooLarge(f"The body unpacks to more than {cap} bytes.")
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedRequest(f"The body is not exactly one {coding} stream; send it uncompressed.")
    return plain


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def json_value(plain: bytes | None) -> object:
    """The JSON value of a tool's reply without its codings, ``None`` if it is not JSON, or was not readable.

    A byte order mark in front of it is left out (RFC 8259, 8.1).
    """
    if not plain:
        return None
    try:
        return exact_json.loads(plain)
    except ValueError:
        return json_value(plain[3:]) if plain.startswith(_BYTE_ORDER_MARK) else None


def why_not_json(plain: bytes) -> str | None:
    """What keeps a tool's reply from being read as JSON, as a phrase without anything of what it says; ``None`` if nothing does."""
    return exact_json.fault(plain.removeprefix(_BYTE_ORDER_MARK))


DEPTH = 64
# An unclosed string matches to the end: searched for again at each of its escaped quotes, it would cost quadratic time.
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def loads(body: bytes) -> object:
    """The value of a JSON text: UTF-8 without a byte order mark, at most ``DEPTH`` deep, nothing behind it.

    No object has two keys that are equal under NFKC and case folding, or a key with a control character; strings hold no lone surrogates.
    Numbers are as :func:`exact_json.loads` gives them.

    Raises:
        MalformedRequest: it is not such a text; the detail says why.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as wrong:
        raise MalformedRequest(f"The JSON body is not UTF-8 (byte {wrong.start}).") from wrong
    if text.startswith("\ufeff"):
        raise MalformedRequest("The JSON body begins with a byte order mark; remove it.")
    if _deeper(body, DEPTH):
        raise MalformedRequest(f"The JSON body is nested deeper than {DEPTH} levels.")
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as wrong:
        raise MalformedRequest(f"The body is not valid JSON: {wrong.msg} at character {wrong.pos}.") from wrong
    except ValueError as wrong:
        raise MalformedRequest(f"A JSON number in the body cannot be read: {wrong}.") from wrong
    except RecursionError as wrong:
        raise MalformedRequest(f"The JSON body is nested deeper than {DEPTH} levels.") from wrong
    # Surrogates can only come from escapes: raw ones are no UTF-8.
    if "\\u" in text:
        _refuse_surrogates(value)
    return value


def collide(keys: Iterable[str]) -> bool:
    """Whether two of the keys are equal, or are case or Unicode twins of each other."""
    listed = list(keys)
    joined = "".join(listed)
    if joined.isascii() and joined == joined.lower():
        return len(set(listed)) != len(listed)
    return len({casefold(key) for key in listed}) != len(listed)


def casefold(key: str) -> str:
    """A key as the most lenient reader could take it: compatibility forms, case and invisible characters set aside."""
    key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).casefold())
    return key if key.isascii() else "".join(c for c in key if unicodedata.category(c) != "Cf")


def _deeper(body: bytes, limit: int) -> bool:
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    depth = 0
    for match in _NESTING.finditer(body):
        token = match.group()
        if token in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif token in b"]}":
            depth -= 1
    return False


def _refuse_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as wrong:
        raise MalformedRequest("The JSON body contains a lone surrogate (\\ud800-\\udfff without its other half).") from wrong


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedRequest("A JSON object in the body has a duplicate key.")
    if not "".join(found).isprintable() and any(_CONTROLS.search(key) for key in found):
        raise MalformedRequest("A key of a JSON object in the body contains a control character.")
    if collide(found):
        raise MalformedRequest("A JSON object in the body has two keys that differ only in case or in look-alike characters.")
    return found


def _constant(name: str) -> NoReturn:
    raise MalformedRequest(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=exact_json.integer, parse_float=exact_json.fraction, parse_constant=_constant
)


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
        raise MalformedRequest(f"The {place} contains a character that must be percent-encoded, or a broken escape.")
    pairs = [_pair(piece, place) for piece in raw.split("&") if piece]
    if collide(key for key, _ in pairs):
        raise MalformedRequest(f"The {place} has a duplicate key, or two keys that differ only in case or look-alike characters.")
    controls = _CONTROLS_IN_FORMS if form else _CONTROLS_IN_VALUES
    if any(_CONTROLS.search(key) or controls.search(value) for key, value in pairs):
        raise MalformedRequest(f"The {place} contains a control character.")
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
