"""One request and its answer on one connection to a tool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httptools

from gateway.errors import UpstreamFailure
from gateway.model.wire import Answer
from gateway.wire.limits import PoolBounds
from gateway.wire.outbound import answer_head

if TYPE_CHECKING:
    from gateway.wire.outbound.channel import Channel


class Stale(UpstreamFailure):
    """The connection ended before any byte of an answer."""


class Exchange:
    """Reads one answer. ``answer`` is set once its head is there, and the whole of it where it is short.

    ``ended`` is true once nothing more will be read; what was read before can still be taken with ``take``.
    """

    __slots__ = (
        "_after",
        "_bounds",
        "_buffered",
        "_channel",
        "_chunks",
        "_deadline",
        "_dirty",
        "_failure",
        "_fields",
        "_head_bytes",
        "_judged",
        "_loop",
        "_malformed",
        "_method",
        "_parser",
        "_paused",
        "_reader",
        "_timer",
        "_whole",
        "answer",
        "ended",
        "timeout",
    )

    def __init__(self, channel: Channel, method: str, *, timeout: float, deadline: float, bounds: PoolBounds) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._method = method
        self._bounds = bounds
        self._parser: Any = httptools.HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._judged: answer_head.Judged | None = None
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._whole = self._dirty = self._paused = False
        self._malformed = ""
        self._failure: UpstreamFailure | None = None
        self._reader: asyncio.Future[None] | None = None
        self._after: Callable[[], None] | None = None
        self._deadline = deadline
        self._timer = self._loop.call_at(deadline, self._check_deadline)
        self.timeout = timeout
        self.ended = False
        self.answer: asyncio.Future[Answer] = self._loop.create_future()

    # --- what the connection calls ---

    def feed(self, data: bytes) -> None:
        if self._judged is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as wrong:
            self._dirty = True
            self._malformed = self._malformed or f"an answer that is not HTTP/1.1 ({wrong})"
        if self._whole:
            self._finish()
        elif self._malformed:
            self._fail(UpstreamFailure(f"the tool sent {self._malformed}", sent=True))
        elif self._judged is None:
            if self._head_bytes > self._bounds.answer_head:
                self._fail(UpstreamFailure("the head of the tool's answer is too long", sent=True))
        else:
            self._go_on(self._judged)

    def lost(self, cause: Exception | None) -> None:
        """The connection has ended; that is also how some answers end."""
        if self.ended:
            return
        if cause is None and self._judged is not None and self._judged.until_close:
            self._whole = True
            self._finish()
        elif self._head_bytes == 0:
            self._fail(Stale("the tool closed the connection without an answer", sent=True))
        else:
            self._fail(UpstreamFailure("the tool closed the connection before its answer was whole", sent=True))

    # --- what the caller calls ---

    def then(self, after: Callable[[], None]) -> None:
        """Call ``after`` once the exchange has ended."""
        if self.ended:
            after()
        else:
            self._after = after

    def give_up(self) -> None:
        """Nobody wants the rest: the connection is closed, which tells the tool so."""
        if not self.ended:
            self._failure = UpstreamFailure("the gateway closed the connection before the answer was whole", sent=True)
            self._end(reusable=False)
            self._wake()

    def take(self) -> bytes:
        """What was read since the last take, possibly nothing."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._paused and not self.ended:
            self._paused = False
            self._channel.resume()
        return data

    async def more(self) -> bool:
        """Wait until something can be taken; false at the end.

        Raises:
            UpstreamFailure: the tool broke off, or sent nothing for the request's timeout.
        """
        if not self._chunks and not self.ended:
            # Only a reader's wait counts: a slow reader is not the tool's silence.
            self._deadline = self._loop.time() + self.timeout
            self._timer = self._loop.call_at(self._deadline, self._check_deadline)
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
                self._timer.cancel()
        if self._chunks:
            return True
        if self._failure is not None:
            raise self._failure
        return False

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        # Bytes behind the answer belong to no request of ours.
        self._dirty = self._dirty or self._whole

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._judged is None:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._judged is not None:
            return
        if 100 <= status < 200:
            self._fields = []
            if status == 101:
                self._malformed = "a switch of protocols that was not asked for"
            return
        # A head that came in one piece with its answer's end is not stopped on the way: it is measured here.
        bound = self._bounds.answer_head
        if self._head_bytes > bound and sum(len(name) + len(value) for name, value in self._fields) > bound:
            self._malformed = "an answer whose head is too long"
            return
        try:
            self._judged = answer_head.judge(
                method=self._method, status=status, version=self._parser.get_http_version(), fields=self._fields
            )
        except answer_head.Malformed as wrong:
            self._malformed = str(wrong)
            return
        # Until then a short answer has to be whole; a longer one is streamed, and only its silences count.
        self._deadline = self._loop.time() + self.timeout
        # The parser does not know that this answer has no body, whatever length it declares.
        self._whole = self._method == "HEAD"

    def on_body(self, data: bytes) -> None:
        if self._whole:
            self._dirty = True
        else:
            self._chunks.append(data)
            self._buffered += len(data)

    def on_message_complete(self) -> None:
        self._whole = self._judged is not None

    # --- its own ---

    def _go_on(self, judged: answer_head.Judged) -> None:
        if self.answer.done():
            self._wake()
        elif judged.length is not None and judged.length <= self._bounds.whole:
            return
        else:
            self._timer.cancel()
            self._hand_over(rest=Rest(self))
        if self._buffered > self._bounds.window and not self._paused:
            self._paused = True
            self._channel.pause()

    def _finish(self) -> None:
        assert self._judged is not None
        self._end(reusable=self._judged.keep and not self._dirty and not self._channel.maybe_unread)
        if not self.answer.done():
            self._hand_over(rest=None)
        self._wake()

    def _hand_over(self, rest: Rest | None) -> None:
        assert self._judged is not None
        judged = self._judged
        self.answer.set_result(Answer(status=judged.status, headers=judged.headers, body=self.take(), rest=rest))

    def _fail(self, failure: UpstreamFailure) -> None:
        self._failure = failure
        self._end(reusable=False)
        if not self.answer.done():
            self.answer.set_exception(failure)
        self._wake()

    def _end(self, *, reusable: bool) -> None:
        self.ended = True
        self._timer.cancel()
        # The parser holds this exchange by its callbacks: without the cycle, both go at once.
        self._parser = None
        self._channel.release(reusable=reusable)
        if self._after is not None:
            self._after()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _check_deadline(self) -> None:
        if self.ended:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._check_deadline)
        else:
            self._fail(UpstreamFailure("the tool did not answer in time", sent=True, late=True))


class Rest:
    """The rest of a long answer. Reading it to its end lets its connection be used again; ``aclose`` before that closes it."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __aiter__(self) -> Rest:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes, as soon as there are any.

        Raises:
            UpstreamFailure: the tool broke off, or fell silent.
        """
        if await self._exchange.more():
            return self._exchange.take()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._exchange.give_up()
