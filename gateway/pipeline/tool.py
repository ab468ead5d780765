"""A tool as the line meets it: where it is, what is sent to it, what comes back, and every read of it.

Here is the one place from which a tool is read: an agent's read, and the gateway's own reads for snapshot, verification and probe. Those
use the tool's credential, leave no entries of their own, are never returned to the agent and are not stopped by an order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec import Struct

from gateway import errors
from gateway.core.adapter import catalog, resolve
from gateway.core.request import body as request_body
from gateway.model.call import Answer, Call, Headers, Outgoing
from gateway.ports.wire import Upstream

BOUND = 1 << 20
"""Bytes of a body that are read to judge it: of an object, where more counts as unreadable, and of a write's reply, where more streams."""

PATIENCE = 2
"""Times a tool's timeout until its answer to a read has to be complete: once for its head, and once more for its body."""

_SET_BY_US = frozenset({b"host", b"content-length"})
_ABSENT = (404, 410)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """``authority`` is the Host header's value, ``base`` the path in front of the tool's own (no slash at the end).

    ``fixed_secret`` is the header that carries the tool's secret if every call carries the same, and empty for a tool without one;
    else ``credential`` gives it for a tenant, and raises KeyError if a tenant has none. ``lease_header`` and ``lease_basic`` say
    where unmodified clients put the lease. ``timeout`` in seconds. Until ``shadow_until`` (Unix seconds) policy's denials are journaled
    and waived.
    """

    name: str
    catalog: catalog.Tool
    authority: bytes
    base: str = ""
    fixed_secret: Headers = ()
    credential: Callable[[str], tuple[bytes, bytes]] | None = None
    credential_header: bytes | None = None
    timeout: float = 10.0
    lease_header: bytes | None = None
    lease_basic: bool = False
    shadow_until: float = 0.0

    def request(self, call: Call, tenant: str, extra: Headers = (), *, retriable: bool) -> Outgoing:
        """The agent's call as it is sent: its bytes, with ``extra`` headers and our own in place of those that spoke to us.

        Raises:
            UpstreamFailure: the tool's secret for this tenant is not there.
        """
        ours = self.credential_header
        headers = [pair for pair in call.headers if (low := pair[0].lower()) not in _SET_BY_US and low != ours]
        if call.body or call.method in ("POST", "PUT", "PATCH"):
            extra = ((b"Content-Length", str(len(call.body)).encode()), *extra)
        return Outgoing(
            tool=self.name,
            tenant=tenant,
            method=call.method,
            target=self.base + call.target,
            headers=((b"Host", self.authority), *headers, *self._secret(tenant), *extra),
            body=call.body,
            timeout=self.timeout,
            retriable=retriable,
        )

    def own_read(self, path: str, tenant: str) -> Outgoing:
        """A read of the gateway's own.

        Raises:
            UpstreamFailure: the tool's secret for this tenant is not there.
        """
        headers = ((b"Host", self.authority), (b"Accept", b"application/json"), (b"Accept-Encoding", b"identity"), *self._secret(tenant))
        target = self.base + path
        return Outgoing(tool=self.name, tenant=tenant, method="GET", target=target, headers=headers, timeout=self.timeout, retriable=True)

    def _secret(self, tenant: str) -> Headers:
        if self.credential is None:
            return self.fixed_secret
        try:
            return (self.credential(tenant),)
        except KeyError as error:
            raise errors.UpstreamFailure(f"the gateway has no secret of {self.name} for tenant {tenant}", sent=False) from error


Tools = Mapping[str, Tool]


class Expected(Struct, frozen=True):
    """How an object has to be after a compensation; ``state`` is what its adapter keeps of it."""

    exists: bool
    state: object = None


class ObjectState(Struct, frozen=True):
    """An object as it is now. ``exists`` is false on 404 and 410; ``document`` is ``object`` in expressions.

    ``same`` is false if the reply names another object than was asked for, or several.
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

    async def send(self, request: Outgoing, fence: Callable[[], None]) -> Answer:
        """Send a read. ``fence`` runs with a connection in hand; what it raises passes through and nothing is sent.

        Raises:
            UpstreamFailure: there is no whole answer head.
        """
        assert request.retriable, "a write is sent by pipeline.effect alone"
        return await self.upstream.send(request, fence)

    async def object_state(
        self, tool: Tool, kind: catalog.ActionType, captures: Mapping[str, str], tenant: str, *, created: str | None = None
    ) -> ObjectState:
        """Read the object that an action is aimed at; ``created`` is its id if the action made it.

        Raises:
            UpstreamFailure: the tool did not answer, or not with the object's state or its absence.
            KeyError, ValueError: the object's path cannot be filled, or not safely.
        """
        thing = tool.catalog.objects[kind.object_type or ""]
        answer = await self._own(tool, tenant, resolve.object_path(tool.catalog, kind, captures, created), thing.name)
        if answer.status in _ABSENT:
            return ObjectState(exists=False)
        reply = reply_document(answer)
        seen: Mapping[str, object] = {"reply": reply, "vars": tool.catalog.variables}
        version = resolve.version_of(thing, seen)
        same = resolve.same_object(thing, seen, resolve.object_id(tool.catalog, kind, captures, created))
        return ObjectState(True, version, resolve.state_of(thing, seen), {"version": version, "body": reply["body"]}, same)

    async def listing(
        self, tool: Tool, probe: catalog.Probe, captures: Mapping[str, str], document: Mapping[str, object], tenant: str
    ) -> tuple[str, ...] | None:
        """The ids in a listing of objects that a create may have made; ``None`` if the listing does not show it.

        Raises:
            UpstreamFailure: the tool did not answer with a whole listing.
            KeyError, ValueError: its path cannot be filled, or not safely.
        """
        assert probe.find is not None
        answer = await self._own(tool, tenant, resolve.listing_target(probe.find, captures, document), "a listing")
        if answer.status in _ABSENT:
            raise _unreadable(tool, answer, "a listing")
        return resolve.found_in(probe, {**document, "reply": reply_document(answer)})

    async def _own(self, tool: Tool, tenant: str, path: str, what: str) -> Answer:
        """The complete answer to a read of the gateway's own: 200, or one that says that there is nothing.

        Raises:
            UpstreamFailure: there is none, or it did not end in time: a slow tool must not block the caller.
        """
        try:
            async with asyncio.timeout(PATIENCE * tool.timeout):
                answer = await self.send(tool.own_read(path, tenant), _unfenced)
                if answer.status == 200:
                    answer = await gathered(answer)
                if not answer.complete:
                    await discard(answer)
        except TimeoutError as error:
            raise errors.UpstreamFailure(f"{tool.name} did not complete its answer to a read in time", sent=False, late=True) from error
        if answer.status not in _ABSENT and (answer.status != 200 or not answer.complete or len(answer.body) > BOUND):
            raise _unreadable(tool, answer, what)
        return answer


def _unfenced() -> None:
    """The gateway's own reads are not stopped by an order."""


def _unreadable(tool: Tool, answer: Answer, what: str) -> errors.UpstreamFailure:
    why = f" with more than {BOUND} bytes" if answer.status == 200 else ""
    return errors.UpstreamFailure(f"{tool.name} answered {answer.status} to a read of {what}{why}", sent=False)


async def gathered(answer: Answer, within: float | None = None) -> Answer:
    """The answer with its body, complete up to ``BOUND`` bytes; a longer one keeps its ``rest``.

    So does, where there is a bound of ``within`` seconds, one that takes longer and a stream of events.
    """
    if answer.rest is None or (within is not None and _streams(answer)):
        return answer
    parts, size = [answer.body], len(answer.body)
    try:
        async with asyncio.timeout(within):
            while size <= BOUND:
                chunk = await anext(answer.rest, None)
                if chunk is None:
                    return Answer(status=answer.status, headers=answer.headers, body=b"".join(parts))
                parts.append(chunk)
                size += len(chunk)
    except TimeoutError:
        pass  # it drips: what is judged by its status alone must not stay in flight for as long as the tool likes
    except BaseException:
        await discard(answer)
        raise
    return Answer(status=answer.status, headers=answer.headers, body=b"".join(parts), rest=answer.rest)


def _streams(answer: Answer) -> bool:
    return any(name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in answer.headers)


async def discard(answer: Answer) -> None:
    """Give up what is still to come of an answer."""
    closing = getattr(answer.rest, "aclose", None)
    if closing is not None:
        await closing()


def reply_document(answer: Answer, *, parsed: bool = True) -> dict[str, object]:
    """A tool's answer as expressions see it, as ``reply``; its body is ``None`` if it is no JSON, not complete, or not to be parsed.

    Names of headers are in lower case, and of repeated ones the first counts.
    """
    headers: dict[str, str] = {}
    for name, value in answer.headers:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    body = request_body.json_value(answer.headers, answer.body) if parsed and answer.complete else None
    return {"status": answer.status, "headers": headers, "body": body}


def refusal(lost: errors.UpstreamFailure, what: str, *, unknown: bool = False) -> errors.Refusal:
    """The agent's error for a tool without an answer.

    ``unknown`` if the call may have been applied: then the agent must not retry it.
    """
    kind = errors.ToolTimeout if lost.late else errors.ToolUnreachable
    if not unknown:
        return kind(f"{what}: {lost.detail}.", outcome="not-sent")
    hint = "Do not repeat it under another key: send the same call again, or read the target to see whether it was applied."
    refused = kind(f"{what}: {lost.detail}. Its outcome is unknown.", hint=hint, outcome="unknown")
    refused.retryable = False
    return refused
