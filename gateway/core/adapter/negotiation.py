"""What headers of content negotiation say of the object that a call is about: its language, its form, how the tool is to answer. Pure.

A tool may keep one object for each language, or one form for each version of its API, all under one path (RFC 9110, 12; RFC 7240).
"""

from __future__ import annotations

import re
from functools import lru_cache

_PARTS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PARAMETERS = re.compile(r';\s*([^;=\s]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"?|[^;]*))?')
_ANY = frozenset({"*/*", "*", "application/*"})
_JSON = frozenset({"application/json", "text/json"})
_SAYS_NO_FORM = frozenset({"q", "charset"})
_HOW_TO_ANSWER = frozenset({"depth-noroot", "handling", "respond-async", "return", "safe", "wait"})
"""Preferences of IANA's registry."""


def language(accept_language: str) -> str:
    """The value of an Accept-Language that chooses among languages; empty if it takes any, or there is none."""
    ranges = {part.partition(";")[0].strip() for part in accept_language.split(",")}
    return "" if ranges <= {"*", ""} else accept_language


@lru_cache(1024)
def other_form(accept: str) -> bool:
    """Whether an Accept may get another form of an object than own requests do, which ask for JSON: it takes no JSON, or names a type of
    the tool's own (``application/vnd.example.v2+json``), or a parameter of JSON that could select a version.
    """
    named = [(one.partition(";")[0].strip(), one) for one in (part.strip().lower() for part in _PARTS.findall(accept)) if one]
    types = {name for name, _ in named}
    json = [one for name, one in named if name in _JSON or name.endswith("+json")]
    if any(name.partition("/")[2].startswith("vnd.") for name in types):
        return True
    if any(parameter not in _SAYS_NO_FORM for one in json for parameter, _ in _PARAMETERS.findall(one)):
        return True
    return bool(types) and not json and _ANY.isdisjoint(types)


def preferences(prefer: str) -> str:
    """What of a Prefer says more than how the tool is to answer, empty if nothing does."""
    parts = [part.strip() for part in _PARTS.findall(prefer)]
    return ", ".join(part for part in parts if part and re.split(r"[=;\s]", part, maxsplit=1)[0].lower() not in _HOW_TO_ANSWER)
