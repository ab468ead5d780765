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
from functools import lru_cache
from typing import NoReturn
from urllib.parse import unquote_to_bytes

import orjson

from gateway.errors import BodyTooLarge, MalformedRequest
from gateway.model.call import Headers

_JSON = frozenset({"application/json", "text/json"})
_FORM = "application/x-www-form-urlencoded"
_GZIP, _ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


def arguments(headers: Headers, body: bytes, *, cap: int) -> object:
    """The arguments in a body: JSON values, a form as an object of strings, or ``None`` if it is neither.

    A body is JSON if its type is JSON; without a type or with a ``text/`` one, if it begins like an object or a list.

    Raises:
        MalformedRequest: a JSON or form body that two readers could read differently, or an unsupported coding.
        BodyTooLarge: the body unpacks to more than ``cap`` bytes.
    """
    content_type, coding = _described(headers)
    kind, charset = _type(content_type)
    plain = body if coding in ("", "identity") else _unpacked(body, coding, cap)
    if kind == _FORM:
        return read(_ascii(plain), form=True)
    if kind in _JSON or kind.endswith("+json") or ((not kind or kind.startswith("text/")) and _begins_like_json(plain)):
        if charset not in ("", "utf-8", "us-ascii"):
            raise MalformedRequest(f"The body's charset is '{charset}'; send JSON as UTF-8.")
        return loads(plain)
    return None


def _described(headers: Headers) -> tuple[bytes, str]:
    """Content-Type and Content-Encoding, empty if absent. (The wire refuses a second field of these names.)"""
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
        raise MalformedRequest("The form body contains a byte that must be percent-encoded.") from wrong


def _unpacked(body: bytes, coding: str, cap: int) -> bytes:
    bits = _CODINGS.get(coding)
    if bits is None:
        raise MalformedRequest(f"The gateway does not support the content coding '{coding}'; send the body uncompressed.")
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
    """The JSON value of a body, ``None`` if it is not JSON, is compressed in an unknown way, or unfolds to too much."""
    coding = next((value.strip().lower() for name, value in headers if name.lower() == b"content-encoding"), b"identity")
    plain = unfold(coding, body)
    if not plain:
        return None
    try:
        return orjson.loads(plain)
    except orjson.JSONDecodeError:
        return None


def unfold(coding: bytes, body: bytes, bound: int = BOUND) -> bytes | None:
    """The body without its coding; ``None`` if that is unknown, broken, or larger than ``bound``."""
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


DEPTH = 64
_INTEGERS = range(-(2**63), 2**64)
_LONGEST_INTEGER = len(str(-(2**63)))
# An unclosed string matches to the end: searched for again at each of its escaped quotes, it would cost quadratic time.
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def loads(body: bytes) -> object:
    """The value of a JSON text: UTF-8 without a byte order mark, at most ``DEPTH`` deep, nothing behind it.

    No object has two keys that are equal under NFKC and case folding; numbers are doubles or integers of 64 bits;
    strings hold no lone surrogates.

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
    return len({fold(key) for key in listed}) != len(listed)


def fold(key: str) -> str:
    """A key as the most lenient reader could take it: compatibility forms, case and invisible characters set aside."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).casefold())
    return folded if folded.isascii() else "".join(c for c in folded if unicodedata.category(c) != "Cf")


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
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as wrong:
        raise MalformedRequest("The JSON body contains a lone surrogate (\\ud800-\\udfff without its other half).") from wrong


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedRequest("A JSON object in the body has a duplicate key.")
    if collide(found):
        raise MalformedRequest("A JSON object in the body has two keys that differ only in case or in look-alike characters.")
    return found


def _integer(text: str) -> int:
    # The length first: turning thousands of digits into an int is slow, and Python refuses it with an error of its own.
    if len(text) > _LONGEST_INTEGER or (number := int(text)) not in _INTEGERS:
        raise MalformedRequest("A JSON number in the body does not fit 64 bits; send it as a string.")
    return number


def _double(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise MalformedRequest("A JSON number in the body overflows a double; send it as a string.")
    return number


def _constant(name: str) -> NoReturn:
    raise MalformedRequest(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_double, parse_constant=_constant)


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
