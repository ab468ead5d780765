"""One client's connection: requests framed one after the other, each carried to its reply before the next is looked at."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

from gateway.core.request import canonical
from gateway.errors import BodyTimeout, MalformedRequest, Refusal
from gateway.model.call import Call, Headers
from gateway.model.wire import Head, Reply
from gateway.wire.inbound import body, response
from gateway.wire.inbound.body import Framing
from gateway.wire.inbound.head import TurnedAway
from gateway.wire.inbound.writer import Writer

if TYPE_CHECKING:
    from gateway.wire.inbound.server import Server


class State(Enum):
    HEAD = auto()  # between requests, or inside a head
    PREVIEW = auto()  # the front decides whether to ask for the body
    BODY = auto()
    CALL = auto()  # on the line
    REPLY = auto()  # being written
    LINGER = auto()  # the last reply is written; input is thrown away until the client has read it


class Connection(asyncio.Protocol):
    """Bytes to calls, replies to bytes. A client that goes away takes its call with it, unless the call was committed."""

    def __init__(self, door: Server) -> None:
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._state = State.HEAD
        self._buffer = bytearray()
        self._looked_at = 0
        self._held = 0
        self._parked = False
        self._head: Head | None = None
        self._keep = False
        self._framing: Framing | None = None
        self._task: asyncio.Task[None] | None = None
        self._committed = False
        self._ended = False
        self._deadline = math.inf
        self._transport: asyncio.Transport
        self._outlet: Writer

    # --- what the loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outlet = Writer(self._transport)
        self._allow(self._door.bounds.idle_timeout)
        if not self._door.admit(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._state is State.LINGER:
            return
        self._buffer += data
        self._hold(len(data))
        if self._state is State.HEAD or self._state is State.BODY:
            self._advance()
        elif len(self._buffer) > self._door.bounds.ahead:
            self._park()

    def eof_received(self) -> bool:
        """A client that ends its side is taken to be gone, save while its committed call goes on."""
        self._ended = True
        if self._buffer and self._state in (State.HEAD, State.BODY):
            self._refuse(MalformedRequest("The request ended before it was whole."), self._head.headers if self._head else ())
        return self._state is State.CALL and self._committed

    def connection_lost(self, exc: Exception | None) -> None:
        self._outlet.lost()
        self._buffer.clear()
        self._hold(-self._held)
        self._door.forget(self)
        # A reply under way means that the line has done its part: what is left is only for this client.
        if self._task is not None and not (self._committed and self._state is State.CALL):
            self._task.cancel()

    def pause_writing(self) -> None:
        self._outlet.pause()
        self._allow(self._door.bounds.write_timeout)

    def resume_writing(self) -> None:
        self._outlet.resume()
        self._allow(self._door.bounds.linger if self._state is State.LINGER else math.inf)

    # --- what the door calls ---

    def check(self, now: float) -> None:
        """Act on a deadline that has passed."""
        if now < self._deadline:
            return
        if self._state is State.BODY or (self._state is State.HEAD and self._buffer):
            self._refuse(BodyTimeout(), self._head.headers if self._head else ())
        elif self._state is State.HEAD:
            self._transport.close()
        else:
            self._transport.abort()

    def retire(self) -> None:
        """Take no further request; one that is under way ends first."""
        self._keep = False
        if self._state is State.HEAD and not self._buffer:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def unpark(self) -> None:
        """Read on, where there is room for it."""
        if self._parked and (self._state is State.LINGER or not self._too_far_ahead()):
            self._parked = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # --- a request comes in ---

    def _advance(self) -> None:
        try:
            if self._state is State.HEAD:
                self._read_head()
            if self._state is State.BODY:
                self._read_body()
        except TurnedAway as turned:
            self._refuse(turned.refusal, turned.headers)
        except Refusal as refusal:
            self._refuse(refusal, self._head.headers if self._head else ())

    def _read_head(self) -> None:
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", max(self._looked_at - 3, 0))
        if end < 0:
            if self._looked_at == 0 and buffer:
                self._allow(self._door.bounds.head_timeout)
            self._door.grammar.refuse_early(bytes(buffer), self._looked_at)
            self._looked_at = len(buffer)
            return
        self._looked_at = 0
        raw = bytes(buffer[: end + 4])
        del buffer[: end + 4]
        framing = self._door.grammar.read(raw)
        self._head, self._keep = framing.head, framing.keep
        self._framing = body.framing(framing.head.length, self._door.bounds)
        if framing.head.expects_continue:
            self._state, self._deadline = State.PREVIEW, math.inf
            self._start(self._preview(framing.head))
        else:
            self._state = State.BODY
            self._allow(self._door.bounds.body_timeout)

    def _read_body(self) -> None:
        assert self._head is not None
        assert self._framing is not None
        content = self._framing.feed(self._buffer)
        if content is None:
            if self._door.crowded:
                self._park()
            return
        call = canonical.call(self._head, content, cap=self._door.bounds.body_cap)
        self._state, self._deadline, self._committed = State.CALL, math.inf, False
        self._start(self._carry(call, self._head))

    async def _preview(self, head: Head) -> None:
        reply = await self._door.front.preview(head)
        if reply is not None:
            self._keep = False
            await self._answer(reply, head)
            return
        self._outlet.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._state, self._task = State.BODY, None
        self._allow(self._door.bounds.body_timeout)
        self.unpark()
        self._advance()

    def _start(self, work: Coroutine[object, object, None]) -> None:
        self._task = self._door.spawn(self._guarded(work))

    async def _guarded(self, work: Coroutine[object, object, None]) -> None:
        done = False
        try:
            await work
            done = True
        finally:
            # A fault of the gateway's own: the client must not wait for a reply that never comes.
            if not done:
                self._transport.abort()

    # --- its reply goes out ---

    async def _carry(self, call: Call, head: Head) -> None:
        await self._answer(await self._door.front.handle(call, self._commit), head)

    def _commit(self) -> None:
        self._committed = True

    async def _answer(self, reply: Reply, head: Head) -> None:
        self._state = State.REPLY
        keep = self._keep and not self._ended and not self._door.draining
        opening = response.opening(reply, head, keep=keep, date=self._door.date())
        going_on = await self._outlet.send(reply, opening)
        self._task = None
        self._hold(len(self._buffer) - self._held)
        if going_on:
            self._next()
        else:
            self._linger()

    def _next(self) -> None:
        self._state, self._head, self._framing = State.HEAD, None, None
        self._allow(self._door.bounds.idle_timeout)
        self.unpark()
        if self._buffer:
            self._advance()
        elif self._door.draining:
            self._transport.close()

    def _refuse(self, refusal: Refusal, headers: Headers) -> None:
        """Answer a request that never became a call. Its framing is in doubt, so it is the connection's last."""
        reply = self._door.front.turned_away(refusal, headers)
        opening = response.opening(reply, self._head, keep=False, date=self._door.date())
        self._outlet.write(opening.data)
        self._linger()

    def _linger(self) -> None:
        self._state = State.LINGER
        self._buffer.clear()
        self._hold(-self._held)
        if self._transport.is_closing():
            return
        # Closing at once would reset the connection where input is unread, and the reply with it.
        self._allow(self._door.bounds.write_timeout if self._outlet.paused else self._door.bounds.linger)
        self.unpark()
        if self._ended:
            self._transport.close()
        else:
            self._transport.write_eof()

    # --- bounds ---

    def _allow(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds

    def _hold(self, change: int) -> None:
        self._held += change
        self._door.held(change)

    def _too_far_ahead(self) -> bool:
        return self._state not in (State.HEAD, State.BODY) and len(self._buffer) > self._door.bounds.ahead

    def _park(self) -> None:
        if not self._parked and not self._transport.is_closing():
            self._parked = True
            self._transport.pause_reading()
