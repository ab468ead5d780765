"""A tool that does to each call what was ordered for it, over the objects of :mod:`tests.support.toolmodel`; one set of them a tenant.

It counts every request that it got the first byte of, whatever became of it, and has each of them looked at before that byte.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.errors import UpstreamFailure
from gateway.model.call import Answer, Outgoing
from gateway.observe.metrics import ToolReplies
from tests.support.invariants_points import Points
from tests.support.toolmodel import Tool

MARK = b"x-client-request-id"
"""A header by which the calls of agents are told from what the gateway asks for itself: one that says nothing of where a call goes."""
LATE = 3.0
"""Seconds within which a call arrives that seemed lost: less than any adapter's ``settle``."""


class Fate(StrEnum):
    """What becomes of a call."""

    GOOD = "answered"
    REFUSED = "failed for certain"
    UNREACHED = "nobody listens"
    LOST_BEFORE = "lost on its way"
    LOST_AFTER = "applied, the connection dropped"
    FAILED_AFTER = "applied, and a 500"
    LATE = "the connection dropped, applied later"
    RACED = "answered, and a person wrote just before"
    SLOW_AFTER = "applied, and slow to answer"
    SLOW_BEFORE = "slow to get a connection"


_JSON = ((b"Content-Type", b"application/json"),)


@dataclass(slots=True)
class ScriptedTool:
    """``fate`` orders; ``sending`` is told of each request right after its fence, before its first byte."""

    time: Callable[[], float]
    fate: Callable[[Outgoing], Fate] = lambda _: Fate.GOOD
    sending: Callable[[Outgoing], None] = lambda _: None
    points: Points = field(default_factory=Points)
    tools: dict[str, Tool] = field(default_factory=lambda: defaultdict(Tool))
    late: list[tuple[float, Outgoing]] = field(default_factory=list)
    replies: ToolReplies = field(default_factory=ToolReplies)
    held: dict[str, list[asyncio.Event]] = field(default_factory=lambda: defaultdict(list))
    holds: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a call begins to be held."""

    async def send(self, request: Outgoing, fence: Callable[[], None]) -> Answer:
        await self.land(self.time())
        self.points.alive()
        if not told(request):
            return await self._looked_at(request, fence)
        fate = self.fate(request)
        if fate is Fate.SLOW_BEFORE:
            await self._hold(request.tenant)
        self.points.point("with a connection")
        fence()
        if fate is Fate.UNREACHED:
            raise UpstreamFailure("nobody listens", sent=False)
        self.sending(request)
        self.points.point("half sent")
        if fate is Fate.LATE:
            self.late.append((self.time() + LATE, request))
            raise UpstreamFailure("the connection was lost", sent=True)
        if fate is Fate.LOST_BEFORE:
            raise UpstreamFailure("the connection was lost", sent=True)
        if fate is Fate.REFUSED:
            return Answer(status=422, headers=_JSON, body=b'{"error": "no"}')
        if fate is Fate.RACED:
            self._raced(request)
        answer = await self._apply(request)
        self.points.point("applied")
        if fate is Fate.SLOW_AFTER:
            await self._hold(request.tenant)
        if fate is Fate.LOST_AFTER:
            raise UpstreamFailure("the connection was lost", sent=True)
        self.points.point("reply read")
        return Answer(status=500, headers=answer.headers, body=b"{}") if fate is Fate.FAILED_AFTER else answer

    async def close(self) -> None:
        """There are no connections."""

    async def land(self, now: float) -> None:
        """What is due by now arrives."""
        due, self.late = [one for one in self.late if one[0] <= now], [one for one in self.late if one[0] > now]
        for _, request in due:
            await self._apply(request)

    def let_go(self, tenant: str) -> None:
        for event in self.held.pop(tenant, ()):
            event.set()

    def _raced(self, request: Outgoing) -> None:
        tenant, kind, *rest = request.target.split("/")[3:]
        if kind == "docs":
            value = -1 - len(self.tools[tenant].log)
            self.tools[tenant].edit((tenant, kind, rest[0]), {"value": value, "other": value, "sum": value})

    async def _hold(self, tenant: str) -> None:
        event = asyncio.Event()
        self.held[tenant].append(event)
        self.holds.set()
        await event.wait()

    async def _looked_at(self, request: Outgoing, fence: Callable[[], None]) -> Answer:
        fence()
        return await self._apply(request)

    async def _apply(self, request: Outgoing) -> Answer:
        return await self.tools[request.tenant].send(request, lambda: None)


def header(request: Outgoing, name: bytes) -> str | None:
    return next((value.decode() for key, value in request.headers if key.lower() == name), None)


def told(request: Outgoing) -> bool:
    """Whether it is an agent's call or a compensation, and none of the gateway's own reads."""
    return request.method != "GET" or header(request, MARK) is not None
