"""JSON that every reader reads alike, or no JSON at all (RFC 8259 as narrowed by RFC 7493, and narrower). Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import NoReturn

from gateway.errors import MalformedRequest

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
        raise MalformedRequest("The JSON body begins with a byte order mark; send it without.")
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
        raise MalformedRequest("The JSON body holds a lone surrogate (\\ud800-\\udfff without its other half).") from wrong


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedRequest("A JSON object in the body has the same key twice.")
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
