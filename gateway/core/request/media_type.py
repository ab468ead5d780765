"""How a request's body is to be read, by its Content-Type and Content-Encoding, in RFC 9110's own grammar. Pure.

A field that two readers could take differently is refused: another charset, a list, a parameter that could change what is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from functools import lru_cache

from gateway.errors import MalformedRequest

# RFC 9110 5.6.2, without the *: no registered type has it, and in a parameter it is an encoding.
_NAME = r"[A-Za-z0-9!#$&\-^_.+%'`|~]+"
_TYPE = re.compile(rf"({_NAME})/({_NAME})")
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*({_NAME})=(?:({_NAME})|"((?:[\t !#-\[\]-~]|\\[\t -~])*)")')
_CODINGS = re.compile(rf"{_NAME}(?:[ \t]*,[ \t]*{_NAME})*")
_CHARSETS = frozenset({"utf-8", "us-ascii"})

# Parameters of JSON types in use: they name a version, a profile or the form of metadata, and leave the text what it is.
_OF_JSON = frozenset(
    {
        "charset",
        "domain-model",
        "exponentialdecimals",
        "ext",
        "ieee754compatible",
        "metadata",
        "odata",
        "odata.metadata",
        "odata.streaming",
        "profile",
        "schema",
        "streaming",
        "v",
        "version",
    }
)
_OF_FORMS = frozenset({"charset"})


class Kind(Enum):
    """What a media type says of a body."""

    MISSING = auto()
    JSON = auto()
    FORM = auto()
    TEXT = auto()
    OTHER = auto()


@lru_cache(maxsize=256)
def kind_of(field: bytes) -> Kind:
    """What the value of Content-Type says; empty if there is none.

    Raises:
        MalformedRequest: it is not exactly one media type, or a charset or parameter of it could make a tool read another body.
    """
    text = field.decode("latin-1").strip(" \t")
    if not text:
        return Kind.MISSING
    found = _TYPE.match(text)
    if found is None:
        raise _malformed("is not type/subtype")
    top, sub = found[1].lower(), found[2].lower()
    parameters = _parameters(text, found.end())
    kind = _kind(top, sub)
    if kind in (Kind.JSON, Kind.TEXT, Kind.FORM) and (charset := parameters.get("charset", "utf-8").lower()) not in _CHARSETS:
        raise MalformedRequest(f"The body's charset is {charset!r}; send it as UTF-8.")
    known = _OF_JSON if kind is Kind.JSON else _OF_FORMS
    if kind in (Kind.JSON, Kind.FORM) and (unknown := sorted(parameters.keys() - known)):
        raise _malformed(f"has the parameter {unknown[0]!r}, which a tool could act on; leave it out")
    return kind


@lru_cache(maxsize=64)
def codings(field: bytes) -> tuple[str, ...]:
    """The codings that Content-Encoding names, in lower case, without ``identity``; none if the field is empty.

    Raises:
        MalformedRequest: it is no list of names.
    """
    text = field.decode("latin-1").strip(" \t")
    if text and not _CODINGS.fullmatch(text):
        raise MalformedRequest("Content-Encoding is not a list of names of codings.")
    return tuple(name for name in (part.strip(" \t").lower() for part in text.split(",")) if name not in ("", "identity"))


def _kind(top: str, sub: str) -> Kind:
    if (top == "application" and sub == "json") or (top == "text" and sub == "json") or (sub.endswith("+json") and sub != "+json"):
        return Kind.JSON
    if top == "application" and sub == "x-www-form-urlencoded":
        return Kind.FORM
    return Kind.TEXT if top == "text" else Kind.OTHER


def _parameters(text: str, end: int) -> Mapping[str, str]:
    found: dict[str, str] = {}
    while end < len(text):
        parameter = _PARAMETER.match(text, end)
        if parameter is None:
            raise _malformed("is not one media type with parameters of the form name=value")
        name, end = parameter[1].lower(), parameter.end()
        if name in found:
            raise _malformed(f"has the parameter {name!r} twice")
        if parameter[3] is not None and "\\" in parameter[3]:
            raise _malformed(f"has an escape in the parameter {name!r}")
        found[name] = parameter[2] if parameter[3] is None else parameter[3]
    return found


def _malformed(what: str) -> MalformedRequest:
    return MalformedRequest(f"Content-Type {what}.")
