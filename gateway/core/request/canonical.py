"""The one reading of a request: what is decided on is, byte for byte, what is sent. Pure.

One segment of a path: decoded, judged, and written in its one canonical form. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from gateway.core.request import body as request_body
from gateway.errors import MalformedRequest
from gateway.model.call import Call, Head

# Most paths: nothing in them to decode or to doubt.
_PLAIN = re.compile(r"/[A-Za-z0-9_~-]++(?:/[A-Za-z0-9_~-][A-Za-z0-9\-._~]*+)++")


class Target(Struct, frozen=True, gc=False):
    """A request target taken apart. ``path`` is canonical and begins with ``/``; ``segments`` are it decoded (none for ``/``).

    A trailing slash is kept, as a last, empty segment. ``tool`` is the decoded first segment of what was sent, empty for ``/``.
    """

    tool: str
    path: str
    segments: tuple[str, ...]
    raw_query: str
    query: dict[str, str]


def split(target: str) -> Target:
    """Take an origin-form target (``/tool/its/path?query``) apart, once.

    Raises:
        MalformedRequest: two readers could differ over it (safety rules for paths and queries).
    """
    if not target.startswith("/"):
        raise MalformedRequest("The request target must be a path that begins with '/'.")
    if "#" in target:
        raise MalformedRequest("The request target contains a fragment ('#').")
    path, _, raw_query = target.partition("?")
    first, *others = path[1:].split("/")
    if _PLAIN.fullmatch(path):
        return Target(first, path[1 + len(first) :], tuple(others), raw_query, request_body.read(raw_query) if raw_query else {})
    if "" in others[:-1] or (others and not first):
        raise MalformedRequest("The path contains an empty segment ('//').")
    tool = decode(first) if first else ""
    # '/tool' and '/tool/' are the same place, the tool's root: there is no shorter path to send.
    decoded = () if others in ([], [""]) else tuple(decode(raw) if raw else "" for raw in others)
    path = "/" + "/".join(canonical(raw) for raw in others)
    return Target(tool, path, decoded, raw_query, request_body.read(raw_query) if raw_query else {})


def call(head: Head, body: bytes, *, cap: int = 1 << 20) -> Call:
    """The call that a head and its whole body make; ``cap`` bounds (in bytes) what a compressed body may unpack to.

    Raises:
        MalformedRequest: the target or the body cannot be read in one way only.
        BodyTooLarge: the body unpacks to more than ``cap``.
    """
    target = split(head.target)
    read = request_body.reading(head.headers, body, cap=cap)
    return Call(
        tool=target.tool,
        method=head.method,
        path=target.path,
        segments=target.segments,
        raw_query=target.raw_query,
        query=target.query,
        headers=head.headers,
        body=body,
        args=read.args,
        kind=read.kind,
        long_numbers=read.long_numbers,
        unread=read.why,
    )


_ALLOWED = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})++")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_DELIMITERS = frozenset("/\\?#;")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Slashes and backslashes to the eye that compatibility normalisation leaves as they are.
_SLASHES_TO_THE_EYE = frozenset("\u2044\u2215\u2216\u29f5\u29f8\u29f9\u2571\u2572")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def decode(raw: str) -> str:
    """The text of one segment, neither empty nor able to mean more than one segment to any reader.

    Raises:
        MalformedRequest: it holds what a tool could read as another path; the detail says what.
    """
    if not _ALLOWED.fullmatch(raw):
        raise MalformedRequest("The path contains a forbidden character, or a broken escape.")
    if "%" not in raw:
        text = raw
    else:
        text = _unescape(raw)
        _refuse_delimiters(text)
    # Some systems drop trailing blanks and dots, so '.. ' and '...' are as bad as '..'.
    if not text.strip(" ."):
        raise MalformedRequest("The path contains a dot segment; send the resolved path.")
    if not text.isascii():
        _refuse_look_alikes(text)
    return text


def canonical(raw: str) -> str:
    """A segment that ``decode`` accepts, by RFC 3986 6.2.2: escapes in upper case, unreserved characters bare."""
    return _ESCAPE.sub(_normal, raw) if "%" in raw else raw


def _normal(escape: re.Match[str]) -> str:
    character = chr(int(escape.group()[1:], 16))
    return character if character in _UNRESERVED else escape.group().upper()


def _unescape(raw: str) -> str:
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as wrong:
        raise MalformedRequest("An escape in the path is not UTF-8.") from wrong


def _refuse_delimiters(text: str) -> None:
    if not _DELIMITERS.isdisjoint(text):
        raise MalformedRequest("The path contains an encoded '/', '\\', '?', '#' or ';'.")
    if _ESCAPE.search(text):
        raise MalformedRequest("The path is percent-encoded twice.")
    if any(unicodedata.category(character) in _INVISIBLE for character in text):
        raise MalformedRequest("The path contains a control character or an invisible character.")


def _refuse_look_alikes(text: str) -> None:
    plain = unicodedata.normalize("NFKC", text)
    if not _SLASHES_TO_THE_EYE.isdisjoint(text) or not _DELIMITERS.isdisjoint(plain) or _ESCAPE.search(plain) or not plain.strip(" ."):
        raise MalformedRequest("The path contains a look-alike of '/', '\\', '.' or another delimiter.")
