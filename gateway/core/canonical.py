"""The one reading of a request: what is decided on is, byte for byte, what is sent. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.core import arguments, pairs, segment
from gateway.errors import MalformedRequest
from gateway.model.call import Call
from gateway.model.quick import quick
from gateway.model.wire import Head

# Most paths: nothing in them to decode or to doubt.
_PLAIN = re.compile(r"/[A-Za-z0-9_~-]++(?:/[A-Za-z0-9_~-][A-Za-z0-9\-._~]*+)++")


@quick
@dataclass(frozen=True, slots=True)
class Target:
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
        raise MalformedRequest("The request target has to be a path, beginning with '/'.")
    if "#" in target:
        raise MalformedRequest("The request target holds a fragment ('#').")
    path, _, raw_query = target.partition("?")
    first, *others = path[1:].split("/")
    if _PLAIN.fullmatch(path):
        return Target(first, path[1 + len(first) :], tuple(others), raw_query, pairs.read(raw_query) if raw_query else {})
    if "" in others[:-1] or (others and not first):
        raise MalformedRequest("The path holds an empty segment ('//').")
    tool = segment.decode(first) if first else ""
    # '/tool' and '/tool/' are the same place, the tool's root: there is no shorter path to send.
    decoded = () if others in ([], [""]) else tuple(segment.decode(raw) if raw else "" for raw in others)
    path = "/" + "/".join(segment.canonical(raw) for raw in others)
    return Target(tool, path, decoded, raw_query, pairs.read(raw_query) if raw_query else {})


def call(head: Head, body: bytes, *, cap: int = 1 << 20) -> Call:
    """The call that a head and its whole body make; ``cap`` bounds (in bytes) what a compressed body may unpack to.

    Raises:
        MalformedRequest: the target or the body cannot be read in one way only.
        BodyTooLarge: the body unpacks to more than ``cap``.
    """
    target = split(head.target)
    return Call(
        tool=target.tool,
        method=head.method,
        path=target.path,
        segments=target.segments,
        raw_query=target.raw_query,
        query=target.query,
        headers=head.headers,
        body=body,
        args=arguments.read(head.headers, body, cap=cap) if body else None,
    )
