"""The gateway's own reads: snapshot, verification and probe look at an object with the tool's credential.

They leave no entries of their own, are never returned to the agent and are not stopped by an order.

A tool that brought no answer, as the agent is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from gateway import errors
from gateway.core.adapter import catalog, resolve
from gateway.core.request import body as request_body
from gateway.model.call import Headers
from gateway.model.wire import Answer, Outgoing
from gateway.pipeline.evidence import Expected
from gateway.pipeline.tool import Tool
from gateway.ports.wire import Upstream

BOUND = 1 << 20
"""Bytes of an object's body that are looked at; more is as if it could not be read."""

PATIENCE = 2
"""Times a tool's timeout until its answer has to be there whole: once for its head, and once more for its body."""


@dataclass(frozen=True, slots=True)
class ObjectState:
    """An object as it is now. ``exists`` is false on 404 and 410; ``document`` is ``object`` in expressions.

    ``same`` is false where the reply names another object than was asked for, or several.
    """

    exists: bool
    version: str | None = None
    state: object = None
    document: Mapping[str, object] | None = None
    same: bool = True

    def as_expected(self, expected: Expected) -> bool:
        return self.exists is expected.exists and (not self.exists or self.state == expected.state)


@dataclass(frozen=True, slots=True)
class ToolReads:
    upstream: Upstream

    async def __call__(
        self, tool: Tool, kind: catalog.ActionType, captures: Mapping[str, str], tenant: str, *, created: str | None = None
    ) -> ObjectState:
        """Read the object that an action is aimed at; ``created`` is its id where the action made it.

        Raises:
            UpstreamFailure: the tool did not answer, or not with the object's state or its absence.
            KeyError, ValueError: the object's path cannot be filled, or not safely.
        """
        thing = tool.catalog.objects[kind.object_type or ""]
        path = tool.base + resolve.object_path(tool.catalog, kind, captures, created)
        answer, body = await self._answer(tool, tenant, path)
        if answer.status in (404, 410):
            return ObjectState(exists=False)
        if body is None:
            raise _unreadable(tool, answer, thing.name)
        reply = {"status": answer.status, "headers": header_map(answer.headers), "body": request_body.json_value(answer.headers, body)}
        seen: Mapping[str, object] = {"reply": reply, "vars": tool.catalog.variables}
        version = resolve.version_of(thing, seen)
        same = resolve.same_object(thing, seen, resolve.object_id(tool.catalog, kind, captures, created))
        return ObjectState(True, version, resolve.state_of(thing, seen), {"version": version, "body": reply["body"]}, same)

    async def listed(
        self, tool: Tool, probe: catalog.Probe, captures: Mapping[str, str], document: Mapping[str, object], tenant: str
    ) -> tuple[str, ...] | None:
        """The ids in a listing of what a create may have made; ``None`` where the listing does not tell.

        Raises:
            UpstreamFailure: the tool did not answer with a whole listing.
            KeyError, ValueError: its path cannot be filled, or not safely.
        """
        assert probe.find is not None
        path = tool.base + resolve.listing_target(probe.find, captures, document)
        answer, body = await self._answer(tool, tenant, path)
        if body is None:
            raise _unreadable(tool, answer, "a listing")
        reply = {"status": answer.status, "headers": header_map(answer.headers), "body": request_body.json_value(answer.headers, body)}
        return resolve.found_in(probe, {**document, "reply": reply})

    async def _answer(self, tool: Tool, tenant: str, path: str) -> tuple[Answer, bytes | None]:
        """An answer and its body, ``None`` where that is too long or says nothing.

        Raises:
            UpstreamFailure: there is none, or no end of it in time: a tool that drips must not hold whoever waits here.
        """
        asked = request(tool, tenant, "GET", path, retriable=True)
        try:
            async with asyncio.timeout(PATIENCE * tool.timeout):
                answer = await self.upstream.send(asked, _unfenced)
                if answer.status != 200:
                    await discard(answer)
                    return answer, None
                return answer, await whole(answer, BOUND)
        except TimeoutError as error:
            raise errors.UpstreamFailure(f"{tool.name} did not end its answer to a read in time", sent=False, late=True) from error


def _unreadable(tool: Tool, answer: Answer, what: str) -> errors.UpstreamFailure:
    why = f" with more than {BOUND} bytes" if answer.status == 200 else ""
    return errors.UpstreamFailure(f"{tool.name} answered {answer.status} to a read of {what}{why}", sent=False)


def request(tool: Tool, tenant: str, method: str, target: str, *, retriable: bool) -> Outgoing:
    """A request of the gateway's own."""
    headers: Headers = ((b"Host", tool.authority), (b"Accept", b"application/json"), (b"Accept-Encoding", b"identity"))
    headers += tool.secret(tenant)
    return Outgoing(tool=tool.name, tenant=tenant, method=method, target=target, headers=headers, timeout=tool.timeout, retriable=retriable)


async def whole(answer: Answer, bound: int) -> bytes | None:
    """The answer's body, ``None`` where it is longer than ``bound`` (its connection is then given up)."""
    if answer.rest is None:
        return answer.body if len(answer.body) <= bound else None
    parts, size = [answer.body], len(answer.body)
    async for chunk in answer.rest:
        parts.append(chunk)
        size += len(chunk)
        if size > bound:
            await discard(answer)
            return None
    return b"".join(parts)


async def discard(answer: Answer) -> None:
    """Give up what is still to come of an answer."""
    closing = getattr(answer.rest, "aclose", None)
    if closing is not None:
        await closing()


def header_map(headers: Headers) -> dict[str, str]:
    """Headers as expressions see them: names in lower case, the first of repeated ones."""
    shown: dict[str, str] = {}
    for name, value in headers:
        shown.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return shown


def _unfenced() -> None:
    """The gateway's own reads are not stopped by an order."""


def refusal(lost: errors.UpstreamFailure, what: str, *, unknown: bool = False) -> errors.Refusal:
    """``unknown`` where the call may have been applied all the same: then trying again is not for the agent to do."""
    kind = errors.ToolTimeout if lost.late else errors.ToolUnreachable
    if not unknown:
        return kind(f"{what}: {lost.detail}.", outcome="not-sent")
    hint = "Do not send it again under another key: ask again with the same call, or read the target to see whether it was applied."
    refused = kind(f"{what}: {lost.detail}. It may or may not have been applied.", hint=hint, outcome="unknown")
    refused.retryable = False
    return refused
