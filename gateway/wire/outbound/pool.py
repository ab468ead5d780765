"""The pool of connections to tools: sends once, with the fence at the socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gateway.errors import UpstreamFailure
from gateway.model.wire import Answer, Outgoing
from gateway.ports import wire
from gateway.wire.limits import PoolBounds
from gateway.wire.outbound.admission_queue import AdmissionQueue
from gateway.wire.outbound.channel import Channel
from gateway.wire.outbound.dial import Allowed, Origin, dial
from gateway.wire.outbound.exchange import Exchange, Stale

_TARGET = re.compile(r"/[!-~]*")

Fence = Callable[[], None]


class Pool:
    """Connections to all tools. ``allowed`` judges every IP address before it is dialled.

    No cookies, redirects, proxies from the environment, decompression or resending of writes.
    """

    def __init__(self, origins: Mapping[str, Origin], *, allowed: Allowed, bounds: PoolBounds | None = None) -> None:
        self._lanes = {tool: Lane(origin, allowed, _bounds(origin, bounds or PoolBounds())) for tool, origin in origins.items()}

    async def send(self, request: Outgoing, fence: Fence) -> Answer:
        """See ``ports.wire.Upstream.send``; waiting for a connection counts against the request's timeout."""
        lane = self._lanes.get(request.tool)
        if lane is None:
            raise UpstreamFailure(f"there is no tool '{request.tool}'", sent=False)
        return await lane.send(request, fence)

    async def close(self) -> None:
        """End all connections; answers that are not whole fail."""
        for lane in self._lanes.values():
            await lane.close()


def _bounds(origin: Origin, bounds: PoolBounds) -> PoolBounds:
    """The pool's bounds, with the number of connections that this tool is given; one tenant has at most half of them."""
    if origin.connections is None:
        return bounds
    return replace(bounds, connections=origin.connections, tenant_connections=max(1, (origin.connections + 1) // 2))


class Lane:
    """The connections to one tool."""

    def __init__(self, origin: Origin, allowed: Allowed, bounds: PoolBounds) -> None:
        self._origin = origin
        self._allowed = allowed
        self._bounds = bounds
        self._slots = AdmissionQueue(bounds)
        self._kept: list[Channel] = []
        self._open: set[Channel] = set()
        self._closed = False

    async def send(self, request: Outgoing, fence: Fence) -> Answer:
        data = serialised(request)
        deadline = asyncio.get_running_loop().time() + request.timeout
        if not self._slots.take(request.tenant):
            await self._slots.wait(request.tenant, deadline)
        streams = False
        try:
            exchange = await self._exchange(data, request, fence, deadline)
            answer = exchange.answer.result()
            if answer.rest is not None:
                streams = True
                exchange.then(partial(self._slots.give, request.tenant))
            return answer
        finally:
            if not streams:
                self._slots.give(request.tenant)

    async def close(self) -> None:
        self._closed = True
        channels = list(self._open)
        for channel in channels:
            channel.abort()
        for channel in channels:
            await channel.closed

    async def _exchange(self, data: bytes, request: Outgoing, fence: Fence, deadline: float) -> Exchange:
        kept = self._fit()
        if kept is None:
            return await self._run(await self._fresh(deadline), data, request, fence, deadline)
        try:
            return await self._run(kept, data, request, fence, deadline)
        except Stale:
            if not request.retriable:
                raise
        # The only resend there is: a read, whose kept connection turned out to be dead before any byte of an answer.
        try:
            return await self._run(await self._fresh(deadline), data, request, fence, deadline)
        except UpstreamFailure as failure:
            raise UpstreamFailure(failure.detail, sent=True, late=failure.late) from failure

    async def _run(self, channel: Channel, data: bytes, request: Outgoing, fence: Fence, deadline: float) -> Exchange:
        try:
            fence()
        except BaseException:
            self._released(channel, reusable=True)
            raise
        # No await between the fence and this: what it saw still holds when the bytes leave.
        exchange = channel.begin(data, request.method, timeout=request.timeout, deadline=deadline)
        try:
            await exchange.answer
        except BaseException:
            # Cancelled, that is: the caller's client is gone. (A failed exchange has ended already.)
            exchange.give_up()
            raise
        return exchange

    def _fit(self) -> Channel | None:
        while self._kept:
            channel = self._kept.pop()
            if channel.fit():
                return channel
            channel.abort()
        return None

    async def _fresh(self, deadline: float) -> Channel:
        if self._closed:
            raise UpstreamFailure("the gateway is shutting down", sent=False)
        channel = await dial(self._origin, self._allowed, self._made, deadline)
        if self._closed or not channel.fit():
            channel.abort()
            raise UpstreamFailure("the connection to the tool closed before it was used", sent=False)
        self._open.add(channel)
        return channel

    def _made(self) -> Channel:
        return Channel(self._bounds, self._released, self._lost)

    def _released(self, channel: Channel, reusable: bool) -> None:
        if reusable and not self._closed:
            self._kept.append(channel)
        else:
            channel.abort()

    def _lost(self, channel: Channel) -> None:
        self._open.discard(channel)
        if channel in self._kept:
            self._kept.remove(channel)


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


if TYPE_CHECKING:
    _port: type[wire.Upstream] = Pool
