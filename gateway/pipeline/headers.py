"""Which headers of a tool's answer go how far: what stays between the tool and the gateway, and what the agent gets of the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import compress
from operator import itemgetter

from msgspec import Struct
from msgspec.structs import replace

from gateway.core import links
from gateway.core.links import LinkBase
from gateway.model.call import Answer, Call, Headers
from gateway.pipeline.tool import Tool

_NAME, _VALUE = itemgetter(0), itemgetter(1)
Rewrite = Callable[[LinkBase, str], str | None]

_COOKIES = frozenset({b"set-cookie", b"set-cookie2"})
"""Kept back, unless the cookies of the tool pass the gateway."""
_CHALLENGES = frozenset({b"www-authenticate", b"authentication-info"})
"""Kept back if the tool has a secret: they are about the gateway's credential, of which the agent knows nothing."""
_DROPPED = frozenset({b"idempotent-replayed", b"clear-site-data", b"strict-transport-security", b"alt-svc", b"nel", b"report-to"})
"""What the gateway sets itself, and what would hold for every tool: to a client they are one origin."""
_REWRITTEN: Mapping[bytes, Rewrite] = {
    b"location": links.reference,
    b"content-location": links.reference,
    b"operation-location": links.reference,
    b"azure-asyncoperation": links.reference,
    b"link": links.links,
    b"refresh": links.refresh,
}
"""Headers that hold references, and how each is written for the data API."""


class _Fate(Struct, frozen=True):
    """What becomes of a header. ``between``: it is about the connection between tool and gateway alone."""

    passed: bool = True
    between: bool = False
    cookie: bool = False
    length: bool = False
    rewrite: Rewrite | None = None


_PLAIN = _Fate()


class _Fates(Struct, frozen=True):
    """Those of all the headers of an answer. ``between`` and ``rewritten``: one of them at least is; ``passed``: which reach the agent,
    and ``framed``: which do if the body still streams.
    """

    each: tuple[_Fate, ...]
    between: bool
    rewritten: bool
    passed: tuple[bool, ...]
    framed: tuple[bool, ...]


@lru_cache(512)
def _fates(names: tuple[bytes, ...]) -> _Fates:
    """A tool's answers have the same names again and again."""
    each = tuple([_fate(name.lower()) for name in names])
    return _Fates(
        each,
        any(one.between for one in each),
        any(one.rewrite is not None for one in each),
        tuple([one.passed for one in each]),
        tuple([one.passed or one.length for one in each]),
    )


def _fate(low: bytes) -> _Fate:
    if low in _DROPPED or low.startswith((b"killcord-", b"ratelimit")):
        return _Fate(passed=False)
    if low in _COOKIES or low in _CHALLENGES:
        return _Fate(between=True, cookie=low in _COOKIES)
    if low == b"content-length":
        return _Fate(passed=False, length=True)
    rewrite = _REWRITTEN.get(low)
    return _PLAIN if rewrite is None else _Fate(rewrite=rewrite)


def received(tool: Tool, tenant: str, answer: Answer) -> Answer:
    """An answer without what is between its tool and the gateway alone: its cookies (unless the tool's entry passes them), its challenges
    about the gateway's credential, and a header that gives that credential back. Nothing else sees these: no expression, no record.
    """
    fates, secrets = _fates(tuple(map(_NAME, answer.headers))), tool.echoes(tenant)
    whole = b"\n".join(map(_VALUE, answer.headers)) if secrets else b""
    repeated = [secret for secret in secrets if secret in whole]
    if not repeated and not fates.between:
        return answer
    kept = [
        pair
        for pair, fate in zip(answer.headers, fates.each, strict=True)
        if not (fate.between and not (tool.cookies if fate.cookie else not secrets)) and not any(secret in pair[1] for secret in repeated)
    ]
    return replace(answer, headers=tuple(kept))


def passed_on(tool: Tool, call: Call, headers: Headers, *, framed: bool) -> Headers:
    """The headers that the agent gets: without those that the gateway sets, and with the tool's links as they can be followed here.

    Its Content-Length is passed only if its body still streams (``framed``).
    """
    fates = _fates(tuple(map(_NAME, headers)))
    kept = fates.framed if framed else fates.passed
    if not fates.rewritten:
        return tuple(compress(headers, kept))
    passed: list[tuple[bytes, bytes]] = []
    for pair, fate in compress(zip(headers, fates.each, strict=True), kept):
        text = fate.rewrite(tool.link_base(call.path), pair[1].decode("latin-1")) if fate.rewrite is not None else None
        if fate.rewrite is None:
            passed.append(pair)
        elif text is not None:
            passed.append((pair[0], text.encode("latin-1")))
    return tuple(passed)
