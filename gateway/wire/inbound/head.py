"""The strict grammar of a request head: every byte is looked at, and what is not expected is refused. Pure.

RFC 9110 and 9112, narrowed: what two readers could take differently is refused even where the RFCs let a reader repair it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache

from msgspec import Struct

from gateway.errors import MalformedRequest
from gateway.model.call import Head, Headers
from gateway.wire.limits import Bounds

_TOKEN = rb"[!#$%&'*+\-.^`|~0-9A-Za-z_]+"
_FIELDS = re.compile(rb"(?:" + _TOKEN + rb"+:[\t -~]*+\r\n)*+\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):([\t -~]*)\r\n")
_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) (HTTP/[0-9]\.[0-9])\r\n")
_NAME = re.compile(_TOKEN)
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
_STRANGE = re.compile(rb"[^\t\r\n -~]|\r(?!\n|\Z)|(?<!\r)\n")
_AUTHORITY = re.compile(rb"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\])(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(rb"[a-z][a-z0-9+.-]*://(.+)")
_QUOTED = re.compile(rb'"[^"]*"')
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


HeaderRule = Enum("HeaderRule", "PASS ONCE PLAIN STRIP REFUSE CONNECTION FRAMING")
"""What becomes of a field. ``ONCE`` passes a single one, ``PLAIN`` a single one that is no list either; ``FRAMING`` is a single one
for the gateway alone."""

# By names of their own: looking a member up in its enum is slow in the loop over all fields.
_PASS, _ONCE, _PLAIN, _STRIP, _REFUSE, _CONNECTION, _FRAMING = HeaderRule
_NAMES = {
    _FRAMING: b"host content-length transfer-encoding expect",
    _CONNECTION: b"connection",
    _STRIP: b"te trailer keep-alive",
    _PLAIN: b"authorization idempotency-key traceparent",
    _ONCE: b"cookie date from if-match if-modified-since if-none-match if-range if-unmodified-since last-event-id max-forwards "
    b"mcp-protocol-version mcp-session-id origin range referer user-agent",
    # Fields by which some tools and proxies are talked into another method, another path or another sender.
    _REFUSE: b"base-url client-ip cf-connecting-ip cluster-client-ip destination fastly-client-ip forwarded forwarded-for "
    b"forwarded-for-ip http-url http2-settings proxy proxy-host proxy-url real-ip request-uri true-client-ip upgrade uri url "
    b"x-accel-redirect x-client-ip x-cluster-client-ip x-custom-ip-authorization x-forward-for x-forwarded x-host "
    b"x-http-destinationurl x-http-host-override x-http-method x-http-method-override x-method-override x-proxy-url "
    b"x-proxyuser-ip x-real-ip x-rewrite-url x-sendfile x-true-client-ip x-wap-profile",
}
_RULES = {name: rule for rule, names in _NAMES.items() for name in names.split()}
_FAMILIES = {
    _REFUSE: (b"x-forwarded-", b"x-envoy-", b"x-original-", b"x-originating-", b"x-remote-", b"x-rewrite-", b"x-middleware-"),
    _PLAIN: (b"killcord-",),
    _ONCE: (b"content-",),
    _STRIP: (b"proxy-",),
}
# What a Connection field may not name: taking these away behind the gateway's back would change what was decided.
_NEEDED_FAMILIES = (b"killcord-", b"content-", b"if-", b"mcp-", b"x-forwarded-")
_NEEDED = frozenset(
    b"accept authorization cookie expect host idempotency-key last-event-id origin range traceparent tracestate "
    b"transfer-encoding upgrade http2-settings".split()
)


@lru_cache(maxsize=4096)
def rule_of(name: bytes) -> tuple[bytes, HeaderRule]:
    """A field name in lower case, and its rule. Underscores are refused: some tools read them as hyphens."""
    lower = name.lower()
    if b"_" in lower:
        return lower, _REFUSE
    family = next((rule for rule, prefixes in _FAMILIES.items() if lower.startswith(prefixes)), _PASS)
    return lower, _RULES.get(lower, family)


class Hosts:
    """The host names and addresses that this gateway answers to, whatever their port: what keeps a web page from reaching it by a
    name of its own (DNS rebinding).
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(_canonical_host(name) for name in names)
        # Bounded: a client can vary the port alone, and its letters' case.
        self.admits = lru_cache(maxsize=256)(self._admits)

    def _admits(self, authority: bytes) -> bool:
        """Whether a Host value (``name``, ``name:port``, ``[v6]:port``) names one of the hosts and holds nothing else."""
        match = _AUTHORITY.fullmatch(authority)
        return match is not None and int(match[2] or 0) <= 0xFFFF and _canonical_host(match[1].decode()) in self._names

    def admits_origin(self, origin: bytes) -> bool:
        """Whether an Origin value is of one of the hosts; ``null`` is not."""
        match = _ORIGIN.fullmatch(origin)
        return match is not None and self.admits(match[1])


def _canonical_host(name: str) -> str:
    """A name in lower case; an IPv6 address in its shortest form, without brackets."""
    bare = name.lower().removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(bare).compressed
    except ValueError:
        return bare


_REMEMBERED = 256
"""Field blocks that are remembered."""
_SHORT = 2048
"""The most bytes of a head whose field block is remembered."""


class FieldBlock(Struct, frozen=True):
    """What the fields of a head say, whatever its request line. ``headers`` are the end-to-end ones, without Host.

    ``declared`` and ``coding`` are the values of Content-Length and Transfer-Encoding; ``options`` those of Connection.
    """

    headers: Headers
    declared: bytes | None
    coding: bytes | None
    expects: bool
    options: frozenset[bytes]


class Grammar:
    """Reads heads for one server. ``once`` names further fields that may not be repeated or joined: those in which a tool's own
    clients put their lease.
    """

    def __init__(self, hosts: Hosts, bounds: Bounds, once: Iterable[str] = ()) -> None:
        self._hosts = hosts
        self._bounds = bounds
        self._once = frozenset(name.lower().encode("ascii") for name in once)
        # A client mostly sends the same fields again on its connection. Short heads alone: this bounds the memory that clients can fill.
        self._remembered = lru_cache(_REMEMBERED)(self._block)
        self._short = min(_SHORT, bounds.head_bytes, bounds.line_bytes)

    def read(self, raw: bytes) -> tuple[Head, bool]:
        """The head in ``raw``, which ends with the empty line, and whether its connection may serve another request.

        The headers are the end-to-end ones, without Host.

        Raises:
            MalformedRequest: it is not exactly a head that the gateway accepts.
        """
        method, target, old = _request_line(raw)
        fields = raw[raw.find(b"\r\n") + 2 :]
        if len(raw) <= self._short:
            block = self._remembered(fields)
        else:
            if not _FIELDS.fullmatch(fields):
                raise _diagnosis(raw)
            self._check_size(raw)
            block = self._block(fields)
        if block is None:
            raise _diagnosis(raw)
        length = _body_length(method, block, old=old)
        head = Head(
            method=method,
            target=target,
            headers=block.headers,
            length=length,
            http_1_0=old,
            # An HTTP/1.0 client cannot take a 100, and without a body there is nothing to continue (RFC 9110, 10.1.1).
            expects_continue=block.expects and not old and length != 0,
        )
        return head, b"close" not in block.options and (not old or b"keep-alive" in block.options)

    def _block(self, fields: bytes) -> FieldBlock | None:
        """The fields in these lines, which end with the empty one; ``None`` if they are not that.

        Raises:
            MalformedRequest: a field is not accepted.
        """
        if not _FIELDS.fullmatch(fields):
            return None
        lines = _FIELD.findall(fields)
        if len(lines) > self._bounds.fields:
            raise MalformedRequest(f"The request has more than {self._bounds.fields} header fields.")
        passed, single, options = self._fields(lines)
        self._check_hosts(single)
        expectation = single.get(b"expect")
        if expectation is not None and expectation.lower() != b"100-continue":
            raise MalformedRequest("The only supported expectation is '100-continue'.")
        return FieldBlock(
            headers=tuple(field for field in passed if field[0].lower() not in options) if options else tuple(passed),
            declared=single.get(b"content-length"),
            coding=single.get(b"transfer-encoding"),
            expects=expectation is not None,
            options=frozenset(options),
        )

    def refuse_early(self, start: bytes, since: int = 0) -> None:
        """Check a head that is not whole yet; its bytes before ``since`` were checked before.

        Raises:
            MalformedRequest: it is too long already, or holds a byte or a request line that no head holds.
        """
        self._check_size(start)
        # One byte back: a CR that was the last byte then may turn out to be a bare one.
        if _STRANGE.search(start, max(since - 1, 0)):
            raise _diagnosis(start)
        if start.find(b"\r\n", 0, since) < 0 <= start.find(b"\r\n"):
            _request_line(start)

    def _check_size(self, raw: bytes) -> None:
        bounds = self._bounds
        if len(raw) > bounds.head_bytes:
            raise MalformedRequest(f"The request head is longer than {bounds.head_bytes} bytes.")
        if len(raw) > bounds.line_bytes and max(map(len, raw.split(b"\r\n"))) > bounds.line_bytes:
            raise MalformedRequest(f"A line of the request head is longer than {bounds.line_bytes} bytes.")

    def _fields(self, lines: Iterable[tuple[bytes, bytes]]) -> tuple[list[tuple[bytes, bytes]], dict[bytes, bytes], set[bytes]]:
        """The end-to-end fields in order, the single-valued ones by their lower-case name, and the options of Connection."""
        passed: list[tuple[bytes, bytes]] = []
        single: dict[bytes, bytes] = {}
        options: set[bytes] = set()
        once = self._once
        for name, value in lines:
            value = value.strip(b"\t ")
            lower, rule = rule_of(name)
            if rule is _PASS and lower not in once:
                passed.append((name, value))
            elif rule is _REFUSE:
                raise MalformedRequest(f"The header field '{_shown(lower)}' is not accepted here.")
            elif rule is _CONNECTION:
                options |= self._options(value)
            elif rule is not _STRIP:
                if lower in single:
                    raise MalformedRequest(f"The header field '{_shown(lower)}' occurs twice.")
                # A quoted idempotency key may hold commas.
                if b"," in value and rule in (_PLAIN, _PASS) and not (lower == b"idempotency-key" and _QUOTED.fullmatch(value)):
                    raise MalformedRequest(f"The header field '{_shown(lower)}' has more than one value.")
                single[lower] = value
                if rule is not _FRAMING:
                    passed.append((name, value))
        return passed, single, options

    def _options(self, value: bytes) -> set[bytes]:
        options = {part.strip(b"\t ").lower() for part in value.split(b",")}
        for option in options:
            if not _NAME.fullmatch(option):
                raise MalformedRequest("The Connection field is not a list of names.")
            if option in _NEEDED or option.startswith(_NEEDED_FAMILIES) or option in self._once:
                raise MalformedRequest(f"The Connection field may not name '{_shown(option)}'.")
        return options

    def _check_hosts(self, single: Mapping[bytes, bytes]) -> None:
        if (host := single.get(b"host")) is None:
            raise MalformedRequest("The request has no Host field.")
        if not self._hosts.admits(host):
            raise MalformedRequest("The Host is not one that this gateway answers to (http.allowed_hosts).")
        if (origin := single.get(b"origin")) is not None and not self._hosts.admits_origin(origin):
            raise MalformedRequest("The Origin is not one that this gateway answers to (http.allowed_hosts).")


def readable_fields(raw: bytes) -> Headers:
    """The fields of a malformed head that can still be read, line by line: one search through all of it would cost
    quadratic time.
    """
    matches = [_FIELD.fullmatch(line + b"\r\n") for line in raw.split(b"\r\n")[1:]]
    return tuple((match[1], match[2].strip(b"\t ")) for match in matches if match)


def _request_line(raw: bytes) -> tuple[str, str, bool]:
    """Method, target, and whether the client speaks HTTP/1.0."""
    match = _LINE.match(raw)
    if match is None:
        raise MalformedRequest("The request line is not 'METHOD target HTTP/1.1' with single spaces.")
    method, target, version = match.groups()
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise MalformedRequest("Only HTTP/1.1 and HTTP/1.0 are supported.", status=505)
    if method in (b"TRACE", b"CONNECT"):
        raise MalformedRequest(f"The method {method.decode()} is refused.")
    if method not in _METHODS:
        raise MalformedRequest("The method is not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS.", status=501)
    return method.decode(), target.decode(), version == b"HTTP/1.0"


def _body_length(method: str, block: FieldBlock, *, old: bool) -> int | None:
    """The declared length of the body, 0 without one; ``None`` if it is chunked."""
    declared, coding = block.declared, block.coding
    if declared is not None and not _LENGTH.fullmatch(declared):
        raise MalformedRequest("The Content-Length is not a plain decimal number.")
    if coding is not None:
        if declared is not None:
            raise MalformedRequest("The request has both Content-Length and Transfer-Encoding.")
        if old:
            raise MalformedRequest("HTTP/1.0 does not support Transfer-Encoding.")
        if coding.lower() != b"chunked":
            names = [part.strip(b"\t ") for part in coding.lower().split(b",")]
            known = all(_NAME.fullmatch(name) for name in names) and set(names) != {b"chunked"}
            raise MalformedRequest("The only supported transfer coding is a single 'chunked'.", status=501 if known else 400)
    length = int(declared or 0) if coding is None else None
    if length != 0 and method in _BODILESS:
        raise MalformedRequest(f"A {method} request must not have a body.")
    return length


def _diagnosis(raw: bytes) -> MalformedRequest:
    """The most precise description of what is wrong with bytes that are not a head."""
    patterns = {
        rb"\0": "The request head contains a NUL.",
        rb"[\x80-\xff]": "The request head contains a byte that is not ASCII.",
        rb"\r(?!\n|\Z)|(?<!\r)\n": "The request head contains a bare CR or LF.",
        rb"\r\n[\t ]": "A header field uses line folding, or begins with white space.",
        rb"\r\n[^:\r\n]*[\t ]:": "There is white space before the colon of a header field.",
    }
    found = (detail for pattern, detail in patterns.items() if re.search(pattern, raw))
    return MalformedRequest(next(found, "A header field is not 'name: value' in plain ASCII."))


def _shown(name: bytes) -> str:
    return name[:64].decode("ascii")
