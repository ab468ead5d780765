"""How runs last read each object. A read may have asked for another form of it than the gateway's own reads do (by ``Accept`` or
``Accept-Language``), and a tool may give each form a version of its own; and a long reply may break off before its end.

Kept in this process alone: after a restart, a run that read another form is refused once as if the object had changed, and reads again.
"""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from msgspec.structs import replace

from gateway.core.adapter import resolve
from gateway.core.adapter.catalog import ObjectType
from gateway.errors import UpstreamFailure
from gateway.model.call import Answer, Call, Headers
from gateway.pipeline.answers import discard, gathered, reply_document
from gateway.pipeline.tool import PATIENCE, Tool, ToolReader, unfenced

KEPT = 10_000
"""Reads that are remembered: the newest of all runs."""

_CONDITIONAL = frozenset({b"if-none-match", b"if-modified-since", b"if-range", b"range"})
_OF_THE_PAST = b"accept-datetime"
"""By this a read asks for an object as it was (RFC 7089), which never changes."""


class _Noted(NamedTuple):
    """A read by which a run saw an object: what it needs to be sent again."""

    version: str
    path: str
    queried: bool
    headers: Headers


class LastReads:
    def __init__(self, reader: ToolReader) -> None:
        self.reader = reader
        self._noted: OrderedDict[tuple[str, str], _Noted] = OrderedDict()
        self._cut: set[tuple[str, str]] = set()
        self._headers: Headers = ()

    def note(self, run_id: str, thing: str, version: str, call: Call) -> None:
        """A run saw an object (by its name across calls) at a version, by this read."""
        key = (run_id, thing)
        if call.headers != self._headers:  # a client mostly sends the same ones again, which are kept once
            self._headers = call.headers
        self._noted[key] = _Noted(version, call.path, bool(call.raw_query), self._headers)
        self._noted.move_to_end(key)
        if self._cut:
            self._cut.discard(key)
        if len(self._noted) > KEPT:
            forgotten, _ = self._noted.popitem(last=False)
            self._cut.discard(forgotten)

    def watched(self, run_id: str, thing: str, rest: AsyncIterator[bytes], answer: Answer) -> Answer:
        """The answer to a noted read whose ``rest`` is still to come, so that it is also noted if that breaks off before its end."""
        return replace(answer, rest=_Watched(rest, functools.partial(self._cut.add, (run_id, thing))))

    def broke_off(self, run_id: str, thing: str, version: str) -> bool:
        """Whether a run saw this version only by a reply that broke off: it may not know all of what is there."""
        key = (run_id, thing)
        return key in self._cut and key in self._noted and self._noted[key].version == version

    async def still(self, tool: Tool, kind: ObjectType, run_id: str, tenant: str, thing: str, version: str) -> bool:
        """Whether the object, read once more as the run read it, is still at the version that the run saw.

        Not asked of a read with a query (what it left out may have changed), nor of one of the past.
        """
        noted = self._noted.get((run_id, thing))
        if noted is None or noted.version != version or noted.queried or any(name.lower() == _OF_THE_PAST for name, _ in noted.headers):
            return False
        headers = tuple(pair for pair in noted.headers if pair[0].lower() not in _CONDITIONAL)
        asked = Call(tool=tool.name, method="GET", path=noted.path, segments=(), headers=headers)
        try:
            async with asyncio.timeout(PATIENCE * tool.timeout):
                request = tool.request(asked, tenant, identity_encoding=True, retriable=True)
                answer = await gathered(await self.reader.send(request, unfenced))
        except (UpstreamFailure, TimeoutError):
            return False
        if not answer.complete:
            await discard(answer)
        if answer.status != 200 or not answer.complete:
            return False
        return resolve.version_of(kind, {"reply": reply_document(answer), "vars": tool.catalog.variables}) == version


class _Watched:
    """The rest of an answer; ``cut`` is called if it is not read to its end."""

    def __init__(self, rest: AsyncIterator[bytes], cut: Callable[[], None]) -> None:
        self._rest, self._cut, self._ended = rest, cut, False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._rest)
        except StopAsyncIteration:
            self._ended = True
            raise

    async def aclose(self) -> None:
        if not self._ended:
            self._cut()
        closing = getattr(self._rest, "aclose", None)
        if closing is not None:
            await closing()
