"""One client's connection: requests framed one after the other; each gets its reply before the next is read."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from typing import cast

from gateway.core import addresses
from gateway.core.connection_table import ConnectionTable, Waiting
from gateway.core.request import canonical
from gateway.errors import BodyTimeout, MalformedRequest, Refusal
from gateway.model.call import Call, Head, Reply
from gateway.ports.clock import Clock
from gateway.ports.wire import Endpoint
from gateway.wire.inbound import body
from gateway.wire.inbound.head import Grammar, readable_fields
from gateway.wire.inbound.response import Writer, response_head
from gateway.wire.limits import Bounds

Spawn = Callable[[Coroutine[object, object, None]], "asyncio.Task[None]"]


class ServerState:
    """What the connections of one server share: the endpoint of their calls, and counts of connections, tasks and buffered bytes.

    ``empty`` is set once a draining server has nothing left to do.
    """

    def __init__(self, endpoint: Endpoint, grammar: Grammar, bounds: Bounds, clock: Clock, spawn: Spawn) -> None:
        self.endpoint, self.grammar, self.bounds = endpoint, grammar, bounds
        self.clock, self._spawn = clock, spawn
        self.connections: ConnectionTable[Connection] = ConnectionTable(bounds.connections, bounds.peer_connections)
        self.tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self.empty = asyncio.Event()
        self._buffered = 0

    def forget(self, connection: Connection) -> None:
        self.connections.forget(connection)
        self.note_empty()

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = self._spawn(work)
        self.tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    @property
    def crowded(self) -> bool:
        """Whether the request bytes buffered for all clients have reached their bound."""
        return self._buffered >= self.bounds.buffered_bytes

    def count_buffered(self, change: int) -> None:
        """Count buffered request bytes (released ones are negative); at the bound, unfinished bodies wait for others to end."""
        was_crowded = self.crowded
        self._buffered += change
        if was_crowded and not self.crowded:
            for connection in self.connections:
                connection.resume_reading()

    def note_empty(self) -> None:
        if self.draining and not self.connections and not self.tasks:
            self.empty.set()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self.note_empty()


class State(Enum):
    HEAD = auto()  # between requests, or inside a head
    PREVIEW = auto()  # the endpoint decides whether to ask for the body
    BODY = auto()
    CALL = auto()  # on the line
    REPLY = auto()  # being written
    LINGER = auto()  # the last reply is written; input is thrown away until the client has read it


class Connection(asyncio.Protocol):
    """Bytes to calls, replies to bytes. A client that goes away takes its call with it, unless the call was committed."""

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._state = State.HEAD
        self._waiting: Waiting | None = Waiting.SILENT
        self._answered = False
        self._deadline = math.inf
        self._buffer = bytearray()
        self._searched = 0  # bytes of an unfinished head that were looked at
        self._buffered = 0  # bytes that count against the server's bound
        self._head: Head | None = None
        self._body: body.Framing | None = None
        self._task: asyncio.Task[None] | None = None
        self._keep = self._committed = self._ended = self._paused = False
        self._transport: asyncio.Transport
        self._writer: Writer

    # --- what the loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._writer = Writer(self._transport)
        self._set_deadline(self._server.bounds.first_byte_timeout)
        peer = addresses.peer(transport.get_extra_info("peername"))
        if self._server.draining or not self._server.connections.admit(self, peer):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._state is State.LINGER:
            return
        self._buffer += data
        self._count_buffered(self._buffered + len(data))
        if self._state is State.HEAD or self._state is State.BODY:
            self._advance()
        elif len(self._buffer) > self._server.bounds.pipelined_bytes:
            self._pause_reading()

    def eof_received(self) -> bool:
        """A client that half-closes counts as gone, except while its committed call continues."""
        self._ended = True
        if self._buffer and self._state in (State.HEAD, State.BODY):
            self._refuse(MalformedRequest("The request ended before it was complete."))
        return self._state is State.CALL and self._committed

    def connection_lost(self, exc: Exception | None) -> None:
        self._writer.writable.set()
        self._buffer.clear()
        self._count_buffered(0)
        self._server.forget(self)
        # A reply under way means that the line has done its part: what is left is only for this client.
        if self._task is not None and not (self._committed and self._state is State.CALL):
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writer.writable.clear()
        self._set_deadline(self._server.bounds.write_timeout)

    def resume_writing(self) -> None:
        self._writer.writable.set()
        self._set_deadline(self._server.bounds.linger if self._state is State.LINGER else math.inf)

    # --- what the server calls ---

    def check(self, now: float) -> None:
        """Act on a deadline that has passed; ``now`` is the loop's time."""
        if now < self._deadline:
            return
        if self._state is State.BODY or (self._state is State.HEAD and self._buffer):
            self._refuse(BodyTimeout())
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

    def resume_reading(self) -> None:
        """Continue reading, if the buffer has space."""
        reads = self._state is State.HEAD or self._state is State.BODY
        if self._paused and (reads or len(self._buffer) <= self._server.bounds.pipelined_bytes):
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _pause_reading(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    # --- a request comes in ---

    def _advance(self) -> None:
        try:
            if self._state is State.HEAD:
                self._read_head()
            if self._state is State.BODY:
                self._read_body()
        except Refusal as refusal:
            self._refuse(refusal, bytes(self._buffer.partition(b"\r\n\r\n")[0]))

    def _read_head(self) -> None:
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", max(self._searched - 3, 0))
        if end < 0:
            if self._searched == 0 and buffer:
                self._set_deadline(self._server.bounds.head_timeout)
            self._server.grammar.refuse_early(bytes(buffer), self._searched)
            self._searched = len(buffer)
            return
        self._searched = 0
        head, self._keep = self._server.grammar.read(bytes(buffer[: end + 4]))
        self._head = head
        del buffer[: end + 4]
        self._body = body.framing(head.length, self._server.bounds)
        if head.expects_continue:
            self._start(State.PREVIEW, self._preview(head))
        else:
            self._state = State.BODY
            self._set_deadline(self._server.bounds.body_timeout)

    def _read_body(self) -> None:
        assert self._head is not None
        assert self._body is not None
        content = self._body(self._buffer)
        if content is None:
            if self._waiting is Waiting.IDLE:
                self._wait_for(Waiting.BODY)
            if self._server.crowded:
                self._pause_reading()
            return
        call = canonical.call(self._head, content, cap=self._server.bounds.body_cap)
        self._committed = False
        self._start(State.CALL, self._carry(call))

    async def _preview(self, head: Head) -> None:
        reply = await self._server.endpoint.preview(head)
        if reply is not None:
            self._keep = False
            await self._answer(reply)
            return
        self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._state, self._task = State.BODY, None
        self._set_deadline(self._server.bounds.body_timeout)
        self.resume_reading()
        self._advance()

    def _start(self, state: State, work: Coroutine[object, object, None]) -> None:
        self._state, self._deadline = state, math.inf
        self._wait_for(None)
        self._task = self._server.spawn(self._guarded(work))

    async def _guarded(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except BaseException:
            # A fault of the gateway's own: the client must not wait for a reply that never comes.
            self._transport.abort()
            raise

    # --- its reply goes out ---

    async def _carry(self, call: Call) -> None:
        await self._answer(await self._server.endpoint.handle(call, self._commit))

    def _commit(self) -> None:
        self._committed = True

    async def _answer(self, reply: Reply) -> None:
        self._state = State.REPLY
        keep = self._keep and not self._ended and not self._server.draining
        lives_on = await self._writer.send(reply, response_head(reply, self._head, keep=keep, now=self._server.clock.now()))
        self._task = None
        self._count_buffered(len(self._buffer))
        if not lives_on:
            self._linger()
            return
        self._state, self._head, self._body = State.HEAD, None, None
        self._set_deadline(self._server.bounds.idle_timeout)
        self._wait_for(Waiting.IDLE if self._answered else Waiting.SECOND)
        self._answered = True
        self.resume_reading()
        if self._buffer:
            self._advance()
        elif self._server.draining:
            self._transport.close()

    def _refuse(self, refusal: Refusal, raw: bytes = b"") -> None:
        """Answer a request that never became a call. Its framing is in doubt, so it is the connection's last.

        ``raw`` are the bytes of a head that was not understood: they may still say who sent it.
        """
        reply = self._server.endpoint.reject(refusal, self._head.headers if self._head else readable_fields(raw))
        self._writer.write(response_head(reply, self._head, keep=False, now=self._server.clock.now()).data)
        self._linger()

    def _linger(self) -> None:
        self._state = State.LINGER
        self._buffer.clear()
        self._count_buffered(0)
        if self._transport.is_closing():
            return
        # Closing at once would reset the connection if input is unread, and the client would lose the reply.
        self._set_deadline(self._server.bounds.linger if self._writer.writable.is_set() else self._server.bounds.write_timeout)
        self.resume_reading()
        if self._ended:
            self._transport.close()
        else:
            self._transport.write_eof()

    # --- bounds ---

    def _wait_for(self, awaited: Waiting | None) -> None:
        if awaited is not self._waiting:
            self._server.connections.waits(self, self._waiting, awaited)
            self._waiting = awaited

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds

    def _count_buffered(self, size: int) -> None:
        change, self._buffered = size - self._buffered, size
        self._server.count_buffered(change)
