"""Versions of objects: which of them are entity tags (RFC 9110, 8.8.3), which are the same, and which can guard a write. Pure.

A version is verbatim as the tool gave it: an entity tag, a value of the body, or a digest that the gateway computed.
"""

from __future__ import annotations

import re
from enum import StrEnum
from hashlib import sha256

from gateway.core.request import exact_json

_TAG = re.compile(r'(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"')
_BARE = re.compile(r"[\x21\x23-\x29\x2b\x2d-\x7e]+")
"""A value without quotes that an If-Match can hold without reading as a list or as ``*``."""
_LISTED = re.compile(r'\s*(?:(?P<tag>(?:W/)?"[\x21\x23-\x7e\x80-\xff]*")\s*)?(?:,|$)')
# What servers append to the tag of a compressed reply: Apache -gzip, Jetty --gzip, and others.
_SUFFIXES = r"(?P<plain>.+?)(?:--?|[;:+_.])(?:x-gzip|gzip|deflate|zstd%s)"
_NOTED, _READ = re.compile(_SUFFIXES % "|br"), re.compile(_SUFFIXES % "")


# As HTTP and RFC 3339 write it, and as seconds since 1970 between 2001 and 2065.
_SECONDS = re.compile(
    r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT"
    r"|\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}([.,]0+)?)?( ?([Zz]|UTC|[+-]\d{2}:?\d{2}))?)?"
    r"|[12]\d{9}(\.0+)?"
)


class Guard(StrEnum):
    """How a write is bound to the version of its object.

    ``IF_MATCH``: the tool compares strong entity tags, as RFC 9110 has it. ``IF_MATCH_VERBATIM``: the tool accepts in If-Match what it gave
    as version, weak tags and values without quotes too. ``COMPARE``: the gateway compares right before it sends.
    """

    IF_MATCH = "if_match"
    IF_MATCH_VERBATIM = "if_match_verbatim"
    COMPARE = "compare"


def same(known: str | None, seen: str | None) -> bool:
    """Whether a version that was noted and the one that was read are of the same state.

    Tags are compared weakly, and without the suffix that some servers give to the tag of a compressed reply: which of them a reply carried
    says how it was transferred, not what it held. The gateway's own reads ask for no compression: in the tag of one, ``-br`` is more likely
    to be Brazil.
    """
    if known == seen:
        return True
    if known is None or seen is None or (one := _TAG.fullmatch(known)) is None or (other := _TAG.fullmatch(seen)) is None:
        return False
    return not _forms(one["opaque"], _NOTED).isdisjoint(_forms(other["opaque"], _READ))


def is_tag(version: str | None) -> bool:
    """Whether it is an entity tag, strong or weak."""
    return version is not None and _TAG.fullmatch(version) is not None


def is_weak(version: str) -> bool:
    """Whether it is an entity tag that a tool must not accept in If-Match (RFC 9110, 13.1.1)."""
    found = _TAG.fullmatch(version)
    return found is not None and found["weak"] is not None


def in_if_match(version: str | None, guard: Guard | None) -> str | None:
    """The value of the If-Match that binds a write to ``version``, ``None`` if none can: then the gateway alone compares.

    A compensation whose action declares no ``guard`` sends a strong tag as well: a tool that does not know If-Match ignores it.
    """
    if version is None or guard is Guard.COMPARE or (found := _TAG.fullmatch(version)) is None:
        bare = version is not None and guard is Guard.IF_MATCH_VERBATIM and _BARE.fullmatch(version)
        return version if bare else None
    return version if found["weak"] is None or guard is Guard.IF_MATCH_VERBATIM else None


def is_coarse(version: str) -> bool:
    """Whether it is a time in whole seconds: two writes within one second leave the same one (RFC 9110, 8.8.2.2)."""
    found = _TAG.fullmatch(version)
    return _SECONDS.fullmatch(version if found is None else found["opaque"]) is not None


def digest(value: object) -> str | None:
    """A version for an object of a tool that gives none: of bytes, or of the canonical text of a JSON value; ``None`` without a value."""
    try:
        text = value if isinstance(value, bytes) else None if value is None else exact_json.canonical(value)
    except ValueError:
        return None
    return None if text is None else f"sha256:{sha256(text).hexdigest()}"


def tags(field: str) -> tuple[str, ...]:
    """The entity tags of an If-Match or If-None-Match, verbatim; none if it is ``*`` or not a list of tags."""
    found: list[str] = []
    end = 0
    while end < len(field):
        match = _LISTED.match(field, end)
        if match is None:
            return ()
        found += [match["tag"]] if match["tag"] else []
        end = match.end()
    return tuple(found)


def _forms(opaque: str, suffixed: re.Pattern[str]) -> set[str]:
    found = suffixed.fullmatch(opaque)
    return {opaque} if found is None else {opaque, found["plain"]}
