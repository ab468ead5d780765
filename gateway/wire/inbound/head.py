"""The strict grammar of a request head: every byte is looked at, and what is not expected is refused. Pure.

RFC 9110 and 9112, narrowed: what two readers could take differently is refused even where the RFCs let a reader repair it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import MalformedRequest, Refusal
from gateway.model.call import Headers
from gateway.model.wire import Head
from gateway.wire.inbound import fields
from gateway.wire.inbound.fields import HeaderRule
from gateway.wire.inbound.hosts import Hosts
from gateway.wire.limits import Bounds

_TOKEN = rb"[!#$%&'*+\-.^`|~0-9A-Za-z_]+"
_HEAD = re.compile(rb"[^\r\n]*+\r\n(?:" + _TOKEN + rb"+:[\t -~]*+\r\n)*+\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):([\t -~]*)\r\n")
_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) (HTTP/[0-9]\.[0-9])\r\n")
_NAME = re.compile(_TOKEN)
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
_STRANGE = re.compile(rb"[^\t\r\n -~]|\r(?!\n|\Z)|(?<!\r)\n")
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
# The common fates by names of their own: looking a member up in its enum is slow in the loop over all fields.
_PASS, _ONCE, _PLAIN, _STRIP = HeaderRule.PASS, HeaderRule.ONCE, HeaderRule.PLAIN, HeaderRule.STRIP
_PASSED_ON = (_ONCE, _PLAIN, _PASS, HeaderRule.ORIGIN)
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


class TurnedAway(Exception):
    """A request that never became a call: the refusal, and the headers that could be read, which may tell the sender."""

    def __init__(self, refusal: Refusal, headers: Headers = ()) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Framed:
    """A head, and whether its connection may serve another request. Its headers are the end-to-end ones, without Host."""

    head: Head
    keep: bool


class Grammar:
    """Reads heads for one door. ``once`` names further fields that may not be repeated or joined."""

    __slots__ = ("_bounds", "_hosts", "_once")

    def __init__(self, hosts: Hosts, bounds: Bounds, once: Iterable[str] = ()) -> None:
        self._hosts = hosts
        self._bounds = bounds
        self._once = fields.lowered(once)

    def read(self, raw: bytes) -> Framed:
        """The head in ``raw``, which ends with the empty line.

        Raises:
            TurnedAway: with a ``MalformedRequest`` and the headers, as far as they could be read.
        """
        lines = _FIELD.findall(raw, raw.find(b"\r\n") + 2) if _HEAD.fullmatch(raw) else None
        try:
            method, target, old = _request_line(raw)
            if lines is None:
                raise _diagnosis(raw)
            self._refuse_size(raw, lines)
            reading = _Reading(self._hosts, self._once)
            reading.take(lines)
            return reading.framed(method, target, old=old)
        except MalformedRequest as refusal:
            raise TurnedAway(refusal, _readable(raw)) from refusal

    def refuse_early(self, start: bytes, since: int = 0) -> None:
        """Judge a head that is not whole yet; its bytes before ``since`` were judged before.

        Raises:
            TurnedAway: it is too long already, or holds a byte or a request line that no head holds.
        """
        try:
            if len(start) > self._bounds.head_bytes:
                raise MalformedRequest(f"The request head is longer than {self._bounds.head_bytes} bytes.")
            # One byte back: a CR that was the last byte then may turn out to be a bare one.
            if _STRANGE.search(start, max(since - 1, 0)):
                raise _diagnosis(start)
            if start.find(b"\r\n", 0, since) < 0 <= start.find(b"\r\n"):
                _request_line(start)
        except MalformedRequest as refusal:
            raise TurnedAway(refusal, _readable(start)) from refusal

    def _refuse_size(self, raw: bytes, lines: list[tuple[bytes, bytes]]) -> None:
        bounds = self._bounds
        if len(raw) > bounds.head_bytes:
            raise MalformedRequest(f"The request head is longer than {bounds.head_bytes} bytes.")
        if len(lines) > bounds.fields:
            raise MalformedRequest(f"The request has more than {bounds.fields} header fields.")
        if len(raw) > bounds.line_bytes and max(map(len, raw.split(b"\r\n"))) > bounds.line_bytes:
            raise MalformedRequest(f"A line of the request head is longer than {bounds.line_bytes} bytes.")


class _Reading:
    """One pass over the fields of one head."""

    __slots__ = ("_close", "_coding", "_expect", "_hosts", "_keep_alive", "_length", "_named", "_once", "_passed", "_seen")

    def __init__(self, hosts: Hosts, once: frozenset[bytes]) -> None:
        self._hosts = hosts
        self._once = once
        self._passed: list[tuple[bytes, bytes]] = []
        self._seen: set[bytes] = set()
        self._named: set[bytes] = set()
        self._length: int | None = None
        self._coding: bytes | None = None
        self._expect = self._close = self._keep_alive = False

    def take(self, lines: list[tuple[bytes, bytes]]) -> None:
        judge, once, seen, passed = fields.judge, self._once, self._seen, self._passed
        for name, value in lines:
            value = value.strip(b"\t ")
            lower, fate = judge(name)
            if fate is _PASS and lower not in once:
                passed.append((name, value))
            elif fate is _STRIP:
                continue
            elif lower in seen and fate is not HeaderRule.CONNECTION:
                raise MalformedRequest(f"The header field '{_shown(lower)}' comes twice.")
            else:
                seen.add(lower)
                if fate is not _ONCE:
                    self._judge(fate, lower, value)
                if fate in _PASSED_ON:
                    passed.append((name, value))

    def _judge(self, fate: HeaderRule, lower: bytes, value: bytes) -> None:
        if fate is _PLAIN or fate is _PASS:
            if not fields.plain(lower, value):
                raise MalformedRequest(f"The header field '{_shown(lower)}' holds more than one value.")
        elif fate is HeaderRule.REFUSE:
            raise MalformedRequest(f"The header field '{_shown(lower)}' is not accepted here.")
        elif fate is HeaderRule.CONNECTION:
            self._connection(value)
        elif fate is HeaderRule.HOST:
            if not self._hosts.admits(value):
                raise MalformedRequest("The Host is none that this gateway answers to (http.allowed_hosts).")
        elif fate is HeaderRule.ORIGIN:
            if not self._hosts.admits_origin(value):
                raise MalformedRequest("The Origin is none that this gateway answers to (http.allowed_hosts).")
        elif fate is HeaderRule.LENGTH:
            if not _LENGTH.fullmatch(value):
                raise MalformedRequest("The Content-Length is not a plain decimal number.")
            self._length = int(value)
        elif fate is HeaderRule.CODING:
            self._coding = value.lower()
        elif fate is HeaderRule.EXPECT:
            if value.lower() != b"100-continue":
                raise MalformedRequest("The only expectation that can be met is '100-continue'.")
            self._expect = True

    def _connection(self, value: bytes) -> None:
        for option in (part.strip(b"\t ").lower() for part in value.split(b",")):
            if not _NAME.fullmatch(option):
                raise MalformedRequest("The Connection field is not a list of names.")
            if fields.needed(option) or option in self._once:
                raise MalformedRequest(f"The Connection field may not name '{_shown(option)}'.")
            self._close = self._close or option == b"close"
            self._keep_alive = self._keep_alive or option == b"keep-alive"
            self._named.add(option)

    def framed(self, method: str, target: str, *, old: bool) -> Framed:
        if b"host" not in self._seen:
            raise MalformedRequest("The request has no Host field.")
        length = self._body_length(method, old=old)
        passed = self._passed
        if self._named:
            passed = [field for field in passed if field[0].lower() not in self._named]
        head = Head(
            method=method,
            target=target,
            headers=tuple(passed),
            length=length,
            http_1_0=old,
            # An HTTP/1.0 client cannot take a 100, and without a body there is nothing to go on with (RFC 9110, 10.1.1).
            expects_continue=self._expect and not old and length != 0,
        )
        return Framed(head, keep=not self._close and (not old or self._keep_alive))

    def _body_length(self, method: str, *, old: bool) -> int | None:
        if self._coding is not None:
            self._refuse_coding(self._coding, old=old)
        length = None if self._coding is not None else self._length or 0
        if length != 0 and method in _BODILESS:
            raise MalformedRequest(f"A {method} request has no body here.")
        return length

    def _refuse_coding(self, coding: bytes, *, old: bool) -> None:
        if self._length is not None:
            raise MalformedRequest("The request has both Content-Length and Transfer-Encoding.")
        if old:
            raise MalformedRequest("HTTP/1.0 has no Transfer-Encoding.")
        if coding != b"chunked":
            names = [part.strip(b"\t ") for part in coding.split(b",")]
            known = all(_NAME.fullmatch(name) for name in names) and names != [b"chunked"] * len(names)
            raise MalformedRequest("The only transfer coding understood is a single 'chunked'.", status=501 if known else 400)


def _request_line(raw: bytes) -> tuple[str, str, bool]:
    match = _LINE.match(raw)
    if match is None:
        raise MalformedRequest("The request line is not 'METHOD target HTTP/1.1' with single spaces.")
    method, target, version = match.groups()
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise MalformedRequest("This door speaks HTTP/1.1 (and 1.0).", status=505)
    if method in (b"TRACE", b"CONNECT"):
        raise MalformedRequest(f"The method {method.decode()} is refused.")
    if method not in _METHODS:
        raise MalformedRequest("The method is none of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS.", status=501)
    return method.decode(), target.decode(), version == b"HTTP/1.0"


def _diagnosis(raw: bytes) -> MalformedRequest:
    """Why bytes are no head, as well as it can be told."""
    if b"\0" in raw:
        return MalformedRequest("The request head holds a NUL.")
    if re.search(rb"[\x80-\xff]", raw):
        return MalformedRequest("The request head holds a byte that is not ASCII.")
    if re.search(rb"\r(?!\n|\Z)|(?<!\r)\n", raw):
        return MalformedRequest("The request head holds a bare CR or LF.")
    if re.search(rb"\r\n[\t ]", raw):
        return MalformedRequest("A header field is folded over two lines, or begins with a blank.")
    if re.search(rb"\r\n[^:\r\n]*[\t ]:", raw):
        return MalformedRequest("There is a blank before the colon of a header field.")
    return MalformedRequest("A header field is not 'name: value' in plain ASCII.")


def _readable(raw: bytes) -> Headers:
    """The fields that can be read all the same, line by line: a search through all of it would cost quadratic time."""
    matches = [_FIELD.fullmatch(line + b"\r\n") for line in raw.split(b"\r\n")[1:]]
    return tuple((match[1], match[2].strip(b"\t ")) for match in matches if match)


def _shown(name: bytes) -> str:
    return name[:64].decode("ascii")
