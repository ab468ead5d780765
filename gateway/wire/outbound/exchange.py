"""One request and its answer on one connection to a tool: the answer's head is checked, its body handed on as it comes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import compress
from typing import Any

import httptools
from msgspec import Struct

from gateway.errors import UpstreamFailure
from gateway.model.call import Answer, Headers, Outgoing
from gateway.wire.limits import PoolBounds

_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"})
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NO_TOKEN = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_LENGTH = re.compile(rb"[0-9]{1,18}")


class Stale(UpstreamFailure):
    """The connection ended before any byte of an answer."""


class Malformed(Exception):
    """The tool's answer is not HTTP/1.1 as it has to be; the message says what is wrong, after "the tool sent"."""


class AnswerHead(Struct, frozen=True):
    """The head of a final answer. ``headers`` are those to pass on, without the hop-by-hop ones.

    ``length`` of the body is ``None`` if it ends with its last chunk, or (``until_close``) with the connection.
    ``keep``: the connection may be used again after a clean end.
    """

    status: int
    headers: Headers
    length: int | None
    until_close: bool
    keep: bool


class Exchange:
    """Reads one answer. ``answer`` is set once its head is complete; a short answer is set whole.

    A long answer is its own ``rest``: iterating it gives the bytes as they come. Reading it to its end lets the connection be used
    again, ``aclose`` before that closes the connection. ``ended`` is true once nothing more will be read from the connection.

    ``release`` is called once, at the end, with whether the answer ended cleanly and leaves the connection open. Times are seconds;
    ``deadline`` is in the loop's time.
    """

    def __init__(
        self, transport: asyncio.Transport, request: Outgoing, deadline: float, bounds: PoolBounds, release: Callable[[bool], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport, self._request, self._bounds, self._release = transport, request, bounds, release
        self._parser: Any = httptools.HttpResponseParser(self)
        self._head: AnswerHead | None = None
        self._head_bytes = self._buffered = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._whole = self._dirty = self._paused = False
        self._failure: UpstreamFailure | None = None
        self._reader: asyncio.Future[None] | None = None
        self._on_end: Callable[[], None] | None = None
        self._deadline = deadline
        self._timer = self._loop.call_at(deadline, self._check_deadline)
        self.ended = False
        self.answer: asyncio.Future[Answer] = self._loop.create_future()

    # --- what the connection calls ---

    def feed(self, data: bytes) -> None:
        if self._head is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as wrong:
            self._dirty = True
            if not self._whole:
                ours = wrong.__context__  # what a callback of ours raised
                self._fail(f"the tool sent {ours if isinstance(ours, Malformed) else f'an answer that is not HTTP/1.1 ({wrong})'}")
                return
        if self._whole:
            self._finish()
        elif self._head is not None:
            self._go_on(self._head)
        elif self._head_bytes > self._bounds.head_bytes:
            self._fail("the head of the tool's answer is too long")

    def lost(self, cause: Exception | None) -> None:
        """The connection has ended; that is also how some answers end."""
        if self.ended:
            return
        if cause is None and self._head is not None and self._head.until_close:
            self._finish()
        elif self._head_bytes == 0:
            self._fail("the tool closed the connection without an answer", kind=Stale)
        else:
            self._fail("the tool closed the connection before its answer was complete")

    # --- what the caller calls ---

    def on_end(self, call: Callable[[], None]) -> None:
        """Call ``call`` once the exchange has ended."""
        if self.ended:
            call()
        else:
            self._on_end = call

    def cancel(self) -> None:
        """Nobody wants the rest: the connection is closed, which tells the tool so."""
        if not self.ended:
            self._fail("the gateway closed the connection before the answer was complete")

    def __aiter__(self) -> Exchange:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes, as soon as there are any.

        Raises:
            UpstreamFailure: the tool broke off, or sent nothing for the request's timeout.
        """
        if not self._chunks and not self.ended:
            # Only a reader's wait counts: a slow reader is not the tool's silence.
            self._deadline = self._loop.time() + self._request.timeout
            self._timer = self._loop.call_at(self._deadline, self._check_deadline)
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
                self._timer.cancel()
        if self._chunks:
            return self._take()
        raise self._failure or StopAsyncIteration

    async def aclose(self) -> None:
        self.cancel()

    # --- what the parser calls: what these raise ends the parsing, and is the context of the parser's own error ---

    def on_message_begin(self) -> None:
        # Bytes behind the answer belong to no request of ours.
        self._dirty = self._dirty or self._whole

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._head is not None:
            return
        if 100 <= status < 200:
            self._fields = []
            if status == 101:
                raise Malformed("a switch of protocols that was not requested")
            return
        # A head that came in one piece with its answer's end is not stopped on the way: it is measured here.
        bound = self._bounds.head_bytes
        if self._head_bytes > bound and sum(len(name) + len(value) for name, value in self._fields) > bound:
            raise Malformed("an answer whose head is too long")
        self._head = answer_head(self._request.method, status, self._parser.get_http_version(), self._fields)
        # Until then a short answer has to be whole; a longer one is streamed, and only its silences count.
        self._deadline = self._loop.time() + self._request.timeout
        # The parser does not know that this answer has no body, whatever length it declares.
        self._whole = self._request.method == "HEAD"

    def on_body(self, data: bytes) -> None:
        if self._whole:
            self._dirty = True
        else:
            self._chunks.append(data)
            self._buffered += len(data)

    def on_message_complete(self) -> None:
        self._whole = self._head is not None

    # --- its own ---

    def _go_on(self, head: AnswerHead) -> None:
        if self.answer.done():
            self._wake()
        elif head.length is not None and head.length <= self._bounds.whole_bytes:
            return
        else:
            self._timer.cancel()
            self.answer.set_result(Answer(status=head.status, headers=head.headers, body=self._take(), rest=self))
        if self._buffered > self._bounds.window_bytes and not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _take(self) -> bytes:
        """What was read since the last take, possibly nothing."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._paused and not self.ended and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return data

    def _finish(self) -> None:
        head = self._head
        assert head is not None
        self._end(reusable=head.keep and not self._dirty)
        if not self.answer.done():
            self.answer.set_result(Answer(status=head.status, headers=head.headers, body=self._take()))

    def _fail(self, detail: str, *, kind: type[UpstreamFailure] = UpstreamFailure, late: bool = False) -> None:
        self._failure = kind(detail, sent=True, late=late)
        self._end(reusable=False)
        if not self.answer.done():
            self.answer.set_exception(self._failure)

    def _end(self, *, reusable: bool) -> None:
        self.ended = True
        self._timer.cancel()
        # The parser holds this exchange by its callbacks: without the cycle, both go at once.
        self._parser = None
        self._release(reusable)
        if self._on_end is not None:
            self._on_end()
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _check_deadline(self) -> None:
        if self.ended:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._check_deadline)
        else:
            self._fail("the tool did not answer in time", late=True)


def answer_head(method: str, status: int, version: str, fields: list[tuple[bytes, bytes]]) -> AnswerHead:
    """The head of the final answer to a request of ``method``. Pure.

    Raises:
        Malformed: the answer could be taken for another than it is.
    """
    if version not in ("1.1", "1.0") or not 200 <= status <= 599:
        raise Malformed(f"an answer of HTTP/{version} with status {status}")
    if _CONTROLS.search(b"".join([value for _, value in fields])):
        raise Malformed("a control character in a header field of its answer")
    specials, kept = _told_apart(tuple([name for name, _ in fields]))
    passed = list(compress(fields, kept))
    options: set[bytes] = set()
    length: int | None = None
    coding: bytes | None = None
    for place, special in specials:
        value = fields[place][1]
        if special == b"connection":
            options.update(option.strip(b"\t ").lower() for option in value.split(b","))
        elif special == b"transfer-encoding":
            coding = value.lower() if coding is None else b""
        elif special == b"content-length":
            if length is not None or not _LENGTH.fullmatch(value):
                raise Malformed("a Content-Length that is not a single number")
            length = int(value)
    if coding is not None and (coding != b"chunked" or version == "1.0" or length is not None):
        raise Malformed("a transfer coding other than one 'chunked', or one beside a length or in HTTP/1.0")
    if options - {b"close", b"keep-alive"}:
        passed = [field for field in passed if field[0].lower() not in options]
    if method == "HEAD" or status in (204, 304):
        length = 0
    until_close = length is None and coding is None
    keep = not until_close and b"close" not in options and (version == "1.1" or b"keep-alive" in options)
    return AnswerHead(status, tuple(passed), length, until_close, keep)


@lru_cache(maxsize=512)
def _told_apart(names: tuple[bytes, ...]) -> tuple[tuple[tuple[int, bytes], ...], tuple[bool, ...]]:
    """The places of the special fields, in lower case, and which fields are passed on. A tool's answers have the same ones again and again.

    Raises:
        Malformed: a name is not a token.
    """
    found = [_special(name) for name in names]
    specials = tuple([(place, special) for place, special in enumerate(found) if special is not None])
    return specials, tuple([special in (None, b"content-length") for special in found])


@lru_cache(maxsize=4096)
def _special(name: bytes) -> bytes | None:
    """The lower-case name of a field that takes part in framing or goes no further; ``None`` for one that is passed on.

    Raises:
        Malformed: it is not a token.
    """
    if _NO_TOKEN.search(name):
        raise Malformed("a header field whose name is not a token")
    lower = name.lower()
    return lower if lower in _HOP_BY_HOP or lower == b"content-length" or lower.startswith(b"proxy-") else None
