"""The pool of connections to tools: sends once, with the fence at the socket; who waits for a connection gets it in order."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from gateway.errors import UpstreamFailure
from gateway.model.call import Answer, Outgoing
from gateway.observe.metrics import ToolReplies
from gateway.wire.limits import PoolBounds
from gateway.wire.outbound.channel import Allowed, Channel, Origin, dial
from gateway.wire.outbound.exchange import Exchange, Stale

_TARGET = re.compile(r"/[!-~]*")

Fence = Callable[[], None]
Ticket = tuple[int, "asyncio.Future[None]"]


class Pool:
    """Connections to all tools. ``allowed`` judges every IP address before it is dialled.

    No cookies, redirects, proxies from the environment, decompression or resending of writes.
    """

    def __init__(self, origins: Mapping[str, Origin], *, allowed: Allowed, bounds: PoolBounds | None = None) -> None:
        self._tools = {tool: ToolPool(origin, allowed, bounds or PoolBounds()) for tool, origin in origins.items()}
        self.replies = ToolReplies()

    async def send(self, request: Outgoing, fence: Fence) -> Answer:
        """See ``ports.wire.Upstream.send``; waiting for a connection counts against the request's timeout."""
        pool = self._tools.get(request.tool)
        if pool is None:
            raise UpstreamFailure(f"there is no tool '{request.tool}'", sent=False)
        try:
            answer = await pool.send(request, fence)
        except UpstreamFailure as lost:
            self.replies.failed(request.tool, late=lost.late)
            raise
        self.replies.replied(request.tool, answer.status)
        return answer

    async def close(self) -> None:
        """End all connections; answers that are not whole fail."""
        for pool in self._tools.values():
            await pool.close()


class ToolPool:
    """The connections to one tool."""

    def __init__(self, origin: Origin, allowed: Allowed, bounds: PoolBounds) -> None:
        if origin.connections is not None:
            # One tenant has at most half of the connections that this tool is given.
            bounds = replace(bounds, connections=origin.connections, tenant_connections=max(1, (origin.connections + 1) // 2))
        self._queue = AdmissionQueue(bounds)
        self._dial = partial(dial, origin, allowed, partial(Channel, bounds, self._released, self._lost))
        self._idle: list[Channel] = []
        self._open: set[Channel] = set()
        self._closed = False

    async def send(self, request: Outgoing, fence: Fence) -> Answer:
        data = serialised(request)
        deadline = asyncio.get_running_loop().time() + request.timeout
        if not self._queue.try_acquire(request.tenant):
            await self._queue.acquire(request.tenant, deadline)
        release = partial(self._queue.release, request.tenant)
        try:
            exchange = await self._exchange(data, request, fence, deadline)
        except BaseException:
            release()
            raise
        # A streamed answer keeps its connection until it has ended.
        exchange.on_end(release)
        return exchange.answer.result()

    async def close(self) -> None:
        self._closed = True
        for channel in list(self._open):
            channel.abort()
            await channel.closed

    async def _exchange(self, data: bytes, request: Outgoing, fence: Fence, deadline: float) -> Exchange:
        if (idle := self._take_idle()) is not None:
            try:
                return await self._run(idle, data, request, fence, deadline)
            except Stale:
                if not request.retriable:
                    raise
        try:
            return await self._run(await self._fresh(deadline), data, request, fence, deadline)
        except UpstreamFailure as failure:
            if idle is None:
                raise
            # The only resend there is: a read, whose idle connection turned out to be dead before any byte of an answer.
            raise UpstreamFailure(failure.detail, sent=True, late=failure.late) from failure

    async def _run(self, channel: Channel, data: bytes, request: Outgoing, fence: Fence, deadline: float) -> Exchange:
        try:
            fence()
        except BaseException:
            self._released(channel, reusable=True)
            raise
        # No await between the fence and this: what it saw still holds when the bytes leave.
        exchange = channel.begin(data, request, deadline)
        try:
            await exchange.answer
        except BaseException:
            # Cancelled, that is: the caller's client is gone. (A failed exchange has ended already.)
            exchange.cancel()
            raise
        return exchange

    def _take_idle(self) -> Channel | None:
        while self._idle:
            if (channel := self._idle.pop()).usable():
                return channel
            channel.abort()
        return None

    async def _fresh(self, deadline: float) -> Channel:
        if self._closed:
            raise UpstreamFailure("the gateway is shutting down", sent=False)
        channel = await self._dial(deadline)
        if self._closed or not channel.usable():
            channel.abort()
            raise UpstreamFailure("the connection to the tool closed before it was used", sent=False)
        self._open.add(channel)
        return channel

    def _released(self, channel: Channel, reusable: bool) -> None:
        if reusable and not self._closed:
            self._idle.append(channel)
        else:
            channel.abort()

    def _lost(self, channel: Channel) -> None:
        self._open.discard(channel)
        if channel in self._idle:
            self._idle.remove(channel)


class AdmissionQueue:
    """Counts the connections in use: first come, first served, bounded in all and for each tenant.

    A tenant at its own bound waits without keeping others from their connections.
    """

    def __init__(self, bounds: PoolBounds) -> None:
        self._bounds = bounds
        self._used_by: defaultdict[str, int] = defaultdict(int)
        self._queues: dict[str, deque[Ticket]] = {}
        self._numbers = itertools.count()
        self.used = 0
        self.waiting = 0

    def try_acquire(self, tenant: str) -> bool:
        """Take a connection's place if one is free for this tenant. (None is free while someone waits who could have it.)"""
        if free := self._free(tenant):
            self.used += 1
            self._used_by[tenant] += 1
        return free

    async def acquire(self, tenant: str, deadline: float) -> None:
        """Take a place once those who came before have theirs; ``deadline`` is in the loop's time.

        Raises:
            UpstreamFailure: no place became free in time, or too many wait already; nothing was sent.
        """
        if self.waiting >= self._bounds.waiting:
            raise UpstreamFailure("too many calls wait for a connection to the tool", sent=False)
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket = next(self._numbers), granted
        self._queues.setdefault(tenant, deque()).append(ticket)
        self.waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                await granted
        except BaseException as raised:
            if not granted.cancelled():
                # Cancelled after the place was granted, before it could be used.
                self.release(tenant)
            elif ticket in self._queues.get(tenant, ()):
                self._drop(tenant, ticket)
            if isinstance(raised, TimeoutError):
                raise UpstreamFailure("no connection to the tool became free in time", sent=False, late=True) from raised
            raise

    def release(self, tenant: str) -> None:
        """Return a slot; the longest waiting caller that may use it gets it."""
        self.used -= 1
        self._used_by[tenant] -= 1
        if not self._used_by[tenant]:
            del self._used_by[tenant]
        if self.waiting:
            self._grant()

    def _free(self, tenant: str) -> bool:
        return self.used < self._bounds.connections and self._used_by.get(tenant, 0) < self._bounds.tenant_connections

    def _grant(self) -> None:
        while eligible := [(queue[0], tenant) for tenant, queue in self._queues.items() if self._free(tenant)]:
            ticket, tenant = min(eligible, key=lambda first: first[0][0])
            self._drop(tenant, ticket)
            # One that was cancelled just now has not left yet; its place goes to the next.
            if not ticket[1].done():
                self.try_acquire(tenant)
                ticket[1].set_result(None)
                return

    def _drop(self, tenant: str, ticket: Ticket) -> None:
        queue = self._queues[tenant]
        queue.remove(ticket)
        self.waiting -= 1
        if not queue:
            del self._queues[tenant]


def serialised(request: Outgoing) -> bytes:
    """A request as bytes, with nothing added.

    Raises:
        UpstreamFailure: it would not be one request: a line end in a field, a blank in the target, a body of another length
            than declared. Nothing was sent.
    """
    fields = b"".join([b"%b: %b\r\n" % field for field in request.headers])
    declared = b"content-length: %d\r\n" % len(request.body)
    if (
        fields.count(b"\n") != len(request.headers)
        or fields.count(b"\r") != len(request.headers)
        or not _TARGET.fullmatch(request.target)
        or (request.body and declared not in fields.lower())
    ):
        raise UpstreamFailure("the request to the tool would not be framed as one request", sent=False)
    return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (request.method.encode("ascii"), request.target.encode("ascii"), fields, request.body)
