"""What each header field of a request means to the gateway: passed on, stripped, allowed once, or refused. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from functools import lru_cache


class HeaderRule(Enum):
    """What becomes of a field. ``ONCE`` passes a single one, ``PLAIN`` a single one that is no list either."""

    PASS = auto()
    ONCE = auto()
    PLAIN = auto()
    STRIP = auto()
    REFUSE = auto()
    HOST = auto()
    ORIGIN = auto()
    LENGTH = auto()
    CODING = auto()
    CONNECTION = auto()
    EXPECT = auto()


_JUDGED = {
    b"host": HeaderRule.HOST,
    b"origin": HeaderRule.ORIGIN,
    b"content-length": HeaderRule.LENGTH,
    b"transfer-encoding": HeaderRule.CODING,
    b"connection": HeaderRule.CONNECTION,
    b"expect": HeaderRule.EXPECT,
}
_STRIPPED = frozenset({b"te", b"trailer", b"keep-alive"})
_PLAIN = frozenset({b"authorization", b"idempotency-key", b"traceparent"})
_ONCE = frozenset(
    b"cookie date from if-match if-modified-since if-none-match if-range if-unmodified-since last-event-id max-forwards "
    b"mcp-protocol-version mcp-session-id range referer user-agent".split()
)
# Fields by which some tools and proxies are talked into another method, another path or another sender.
_REFUSED = frozenset(
    b"base-url client-ip cf-connecting-ip cluster-client-ip destination fastly-client-ip forwarded forwarded-for forwarded-for-ip "
    b"http-url http2-settings proxy proxy-host proxy-url real-ip request-uri true-client-ip upgrade uri url "
    b"x-accel-redirect x-client-ip x-cluster-client-ip x-custom-ip-authorization x-forward-for x-forwarded x-host "
    b"x-http-destinationurl x-http-host-override x-http-method x-http-method-override x-method-override x-proxy-url "
    b"x-proxyuser-ip x-real-ip x-rewrite-url x-sendfile x-true-client-ip x-wap-profile".split()
)
_REFUSED_FAMILIES = (b"x-forwarded-", b"x-envoy-", b"x-original-", b"x-originating-", b"x-remote-", b"x-rewrite-", b"x-middleware-")
# What a Connection field may not name: taking these away behind the gateway's back would change what was decided.
_NEEDED_FAMILIES = (b"killcord-", b"content-", b"if-", b"mcp-", b"x-forwarded-")
_NEEDED = frozenset(
    b"accept authorization cookie expect host idempotency-key last-event-id origin range traceparent tracestate "
    b"transfer-encoding upgrade http2-settings".split()
)


@lru_cache(maxsize=4096)
def judge(name: bytes) -> tuple[bytes, HeaderRule]:
    """A field name in lower case, and its fate. Underscores are refused: some tools read them as hyphens."""
    lower = name.lower()
    return lower, _fate(lower)


def needed(name: bytes) -> bool:
    """Whether a ``Connection`` field may not name this field (lower case)."""
    return name in _NEEDED or name.startswith(_NEEDED_FAMILIES)


def plain(lower: bytes, value: bytes) -> bool:
    """Whether a single value is no list; a quoted idempotency key may hold commas."""
    if b"," not in value:
        return True
    return lower == b"idempotency-key" and len(value) > 1 and value[:1] == value[-1:] == b'"' and value.count(b'"') == 2


def lowered(names: Iterable[str]) -> frozenset[bytes]:
    """More single-valued names, lower case: those in which a tool's own clients put their lease."""
    return frozenset(name.lower().encode("ascii") for name in names)


def _fate(lower: bytes) -> HeaderRule:
    if b"_" in lower or lower in _REFUSED or lower.startswith(_REFUSED_FAMILIES):
        return HeaderRule.REFUSE
    if lower in _JUDGED:
        return _JUDGED[lower]
    if lower in _PLAIN or lower.startswith(b"killcord-"):
        return HeaderRule.PLAIN
    if lower in _ONCE or lower.startswith(b"content-"):
        return HeaderRule.ONCE
    if lower in _STRIPPED or lower.startswith(b"proxy-"):
        return HeaderRule.STRIP
    return HeaderRule.PASS
