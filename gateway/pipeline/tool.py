"""A tool as the line meets it: where it is, what is sent to it, what comes back, and every read of it.

Here is the one place from which a tool is read: an agent's read, and the gateway's own reads for snapshot, verification and probe. Those
use the tool's credential, leave no entries of their own, are never returned to the agent and are not stopped by an order.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from gateway import errors
from gateway.core.adapter import catalog, objects, probing, resolve
from gateway.core.adapter.carried import merged, with_query
from gateway.core.adapter.objects import ObjectState
from gateway.core.links import LinkBase
from gateway.core.request import body as request_body
from gateway.core.request import coding
from gateway.model.call import NOTHING_CARRIED, Answer, Call, Carried, Headers, Outgoing
from gateway.pipeline.answers import BOUND, discard, garbled, gathered, reply_document, unreadable
from gateway.ports.wire import Upstream

PATIENCE = 2
"""Times a tool's timeout until its answer to a read has to be complete: once for its head, and once more for its body."""
SHORTEST = 8
"""Bytes of a secret that is looked for in a reply: a shorter text may be there by chance."""
OWN_ACCEPT = "application/json, */*;q=0.1"
"""What an own read would like to get, where its adapter does not say: JSON, else what there is."""
_ACCEPT: Headers = ((b"Accept", OWN_ACCEPT.encode("ascii")),)
_SET_BY_US = frozenset({b"host", b"content-length"})
"""Headers of every request that the gateway sets in place of the agent's."""
_SET_WITH_IDENTITY = _SET_BY_US | {b"accept-encoding"}
"""Those of a request whose reply is to come without compression."""
_UNCOMPRESSED: Headers = ((b"Accept-Encoding", b"identity"),)
_ABSENT = (404, 410)
"""Statuses by which a tool says that there is no such object."""
_SAYS_NOTHING = (401, 403, 407, 408, 425, 429)
"""Statuses of a job's address that say nothing of the write, as every 5xx."""
_TRANSIENT_STATUSES = frozenset({408, 421, 423, 425, 429})
"""Statuses of the client's errors that another read may not meet."""
TOO_LONG = "It will not become smaller by waiting: write it by an action with snapshot: false, or leave it to a person."
REFUSED = "Trying again does not help: an operator has to look at the tool's answer to the gateway's own read."
_HINTS = {
    401: "Trying again does not help: an operator has to check the tool's credential.",
    403: "Trying again does not help: an operator has to let the tool's credential read this object.",
    406: "Trying again does not help: the adapter has to declare the media type, such as headers: {Accept: \"'text/calendar'\"}.",
}
"""What helps after a read that fails permanently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """``authority`` is the Host header's value, ``base`` the path in front of the tool's own (no slash at the end).

    ``fixed_secret`` is the header that carries the tool's secret if every call carries the same, and empty for a tool without one;
    else ``credential`` gives it for a tenant, and raises KeyError if a tenant has none. ``lease_header`` and ``lease_basic`` say
    where unmodified clients put the lease. ``timeout`` in seconds. Until ``shadow_until`` (Unix seconds) policy's denials are journaled
    and waived. ``cookies``: those of the agent and of the tool pass the gateway. ``public`` is as in ``links.LinkBase``.
    ``fixed_headers`` (values in Latin-1) and ``fixed_query`` go with every request, the agent's and the gateway's own.
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
    cookies: bool = False
    public: tuple[str, str] | None = None
    fixed_headers: tuple[tuple[str, str], ...] = ()
    fixed_query: tuple[tuple[str, str], ...] = ()

    def fixed(self, call: Call) -> Call:
        """The call with the tool's fixed headers, in place of the agent's own, and its fixed query.

        Raises:
            ActionUnknown: the call gives a fixed query key another value.
        """
        if not (self.fixed_headers or self.fixed_query):
            return call
        fixed = {request_body.casefold(name): (name, value) for name, value in self.fixed_query}
        for pair in call.query.items():
            # A tool may read another case of the key as the same one.
            if fixed.get(request_body.casefold(pair[0]), pair) != pair:
                raise errors.ActionUnknown(f"The query key {pair[0]!r} is set by the gateway; remove it from the call.")
        missing = [pair for pair in self.fixed_query if pair[0] not in call.query]
        names = {name.lower().encode("ascii") for name, _ in self.fixed_headers}
        headers = [pair for pair in call.headers if pair[0].lower() not in names]
        raw = with_query("", *missing)[1:]
        return replace(
            call,
            headers=(*headers, *_encoded(self.fixed_headers)),
            query={**call.query, **dict(missing)},
            raw_query="&".join(part for part in (call.raw_query, raw) if part),
        )

    def request(self, call: Call, tenant: str, extra: Headers = (), *, identity_encoding: bool, retriable: bool) -> Outgoing:
        """The agent's call as it is sent: its bytes, with ``extra`` headers in place of its own of these names, and the gateway's
        headers in place of the agent's of the same purpose. ``identity_encoding``: the reply is to come without compression, as replies to
        the gateway's own reads do. Then both name the same versions, and the gateway can read what it has to.

        Raises:
            UpstreamFailure: the tool's secret for this tenant is not there.
        """
        ours = self.credential_header
        replaced = _SET_WITH_IDENTITY if identity_encoding else _SET_BY_US
        if extra:
            replaced = replaced.union([name.lower() for name, _ in extra])
        headers = [pair for pair in call.headers if (low := pair[0].lower()) not in replaced and low != ours]
        if call.body or call.method in ("POST", "PUT", "PATCH"):
            extra = ((b"Content-Length", str(len(call.body)).encode()), *extra)
        return Outgoing(
            tool=self.name,
            tenant=tenant,
            method=call.method,
            target=self.base + call.target,
            headers=((b"Host", self.authority), *headers, *self._secret(tenant), *(_UNCOMPRESSED if identity_encoding else ()), *extra),
            body=call.body,
            timeout=self.timeout,
            retriable=retriable,
        )

    def own_read(self, path: str, tenant: str, carried: Carried = NOTHING_CARRIED) -> Outgoing:
        """A read of the gateway's own, for a call whose own requests carry this.

        Raises:
            UpstreamFailure: the tool's secret for this tenant is not there.
        """
        headers = ((b"Host", self.authority), *self._own_headers(carried), *_UNCOMPRESSED, *self._secret(tenant))
        target = self.base + path
        if carried.query or self.fixed_query:
            keys = {name for name, _ in self.fixed_query}
            target = with_query(target, *(pair for pair in carried.query if pair[0] not in keys), *self.fixed_query)
        return Outgoing(tool=self.name, tenant=tenant, method="GET", target=target, headers=headers, timeout=self.timeout, retriable=True)

    def link_base(self, path: str) -> LinkBase:
        """Where a reply to a request of this path comes from."""
        return LinkBase(tool=self.name, authority=self.authority.decode("ascii"), base=self.base, path=path, public=self.public)

    def echoes(self, tenant: str) -> tuple[bytes, ...]:
        """What a reply must not contain: the tool's secret as it was sent, and without its scheme; nothing if it has none."""
        if self.credential is None:
            return _echoes(self.fixed_secret)
        try:
            return _echoes((self.credential(tenant),))
        except KeyError:
            return ()

    def _own_headers(self, carried: Carried) -> Headers:
        if not (carried.headers or self.fixed_headers):
            return _ACCEPT
        found = merged((("Accept", OWN_ACCEPT),), carried.headers, self.fixed_headers)
        return tuple(pair for pair in _encoded(found) if pair[0].lower() != self.credential_header)

    def _secret(self, tenant: str) -> Headers:
        if self.credential is None:
            return self.fixed_secret
        try:
            return (self.credential(tenant),)
        except KeyError as error:
            raise errors.UpstreamFailure(f"the gateway has no secret of {self.name} for tenant {tenant}", sent=False) from error


@functools.lru_cache(1024)
def _echoes(secrets: Headers) -> tuple[bytes, ...]:
    parts = [part for _, value in secrets for part in (value, value.rpartition(b" ")[2])]
    return tuple(dict.fromkeys(part for part in parts if len(part) >= SHORTEST))


def _encoded(headers: tuple[tuple[str, str], ...]) -> Headers:
    return tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in headers)


Tools = Mapping[str, Tool]


@dataclass(frozen=True, slots=True)
class ToolReader:
    upstream: Upstream

    async def send(self, request: Outgoing, fence: Callable[[], None]) -> Answer:
        """Send a read. ``fence`` runs with a connection in hand; what it raises passes through and nothing is sent.

        Raises:
            UpstreamFailure: there is no whole answer head.
        """
        assert request.retriable, "a write is sent by pipeline.effect alone"
        return await self.upstream.send(request, fence)

    async def dry_run(self, request: Outgoing, fence: Callable[[], None]) -> Answer:
        """Send a dry run of a write, as ``send`` does, and never twice: that it changes nothing is the tool's word."""
        assert not request.retriable, "what may be a write after all is not sent again"
        return await self.upstream.send(request, fence)

    async def object_state(
        self,
        tool: Tool,
        kind: catalog.ActionType,
        captures: Mapping[str, str],
        tenant: str,
        carried: Carried = NOTHING_CARRIED,
        *,
        created: str | None = None,
    ) -> ObjectState:
        """Read the object that an action is aimed at; ``created`` is its id, as its target has it, if the action made it.

        The read carries ``carried``.

        Raises:
            UpstreamFailure: the tool did not answer, or not with the object's state or its absence.
            KeyError, ValueError: the object's path cannot be filled, or not safely.
        """
        thing = tool.catalog.objects[kind.object_type or ""]
        path = resolve.object_path(tool.catalog, kind, captures, created)
        answer = await self._own(tool, tenant, path, carried, thing.name, cut=thing.version is not None and not thing.version_in_body)
        if answer.status in _ABSENT:
            return ObjectState(exists=False)
        cut = len(answer.body) > BOUND
        reply = reply_document(answer, parsed=not cut)
        if not cut and unreadable(answer, reply):
            raise Unreadable(tool.name, answer, thing.name)
        fault = garbled(reply) if reply["body"] is None else ""
        if fault and resolve.told_by_values(thing):
            raise Unreadable(tool.name, answer, thing.name, fault)
        seen: Mapping[str, object] = {"reply": reply, "vars": tool.catalog.variables}
        version = resolve.version_of(thing, seen)
        # The id is put together only where the reply names one to compare it with.
        same = thing.identity is None or resolve.same_object(thing, seen, resolve.object_id(tool.catalog, kind, captures, created))
        document = {"version": version, "body": reply["body"]}
        if cut:
            return ObjectState(True, version, None, document, same, cut=True)
        state = resolve.state_of(thing, seen)
        return ObjectState(True, version, state, document, same, objects.representation(thing, answer, reply), garbled=fault)

    async def listing(
        self,
        tool: Tool,
        probe: probing.Probe,
        captures: Mapping[str, str],
        document: Mapping[str, object],
        tenant: str,
        carried: Carried = NOTHING_CARRIED,
    ) -> Mapping[str, object]:
        """The listing in which a create is looked for, as ``reply``.

        Raises:
            UpstreamFailure: the tool did not answer with a whole listing.
            KeyError, ValueError: its path cannot be filled, or not safely.
        """
        assert probe.find is not None
        answer = await self._own(tool, tenant, probing.listing_target(probe.find, captures, document), carried, "a listing")
        if answer.status in _ABSENT:
            raise _unreadable(tool, answer, "a listing")
        return reply_document(answer)

    async def job(self, tool: Tool, path: str, tenant: str, carried: Carried = NOTHING_CARRIED) -> Mapping[str, object]:
        """The reply, as expressions see it, of the place where a tool shows what becomes of a write that it has accepted.

        Raises:
            UpstreamFailure: the tool did not answer with a whole reply, or by a status that says nothing of the write.
        """
        answer = await self._gathered(tool, tenant, path, carried)
        if answer.status in _SAYS_NOTHING or answer.status >= 500 or not answer.complete:
            raise _unreadable(tool, answer, "a job")
        return reply_document(answer)

    async def _own(self, tool: Tool, tenant: str, path: str, carried: Carried, what: str, *, cut: bool = False) -> Answer:
        """The complete answer to a read of the gateway's own: 200, or one that says that there is nothing.

        If a longer body may be ``cut``, an answer has more than ``BOUND`` bytes of it, and no more.

        Raises:
            UpstreamFailure: there is none, or it did not end in time: a slow tool must not block the caller.
        """
        answer = await self._gathered(tool, tenant, path, carried)
        long = not answer.complete or len(answer.body) > BOUND
        if answer.status not in _ABSENT and (answer.status != 200 or (long and not cut)):
            raise _unreadable(tool, answer, what)
        return answer

    async def _gathered(self, tool: Tool, tenant: str, path: str, carried: Carried) -> Answer:
        """The answer to a read of the gateway's own, complete as far as it may be kept; the rest is given up.

        Raises:
            UpstreamFailure: there is none, or it did not end in time.
        """
        late = asyncio.get_running_loop().time() + PATIENCE * tool.timeout
        answer = await self.send(tool.own_read(path, tenant, carried), unfenced)
        if answer.rest is None:
            return answer
        try:
            async with asyncio.timeout_at(late):
                if answer.status < 400:
                    answer = await gathered(answer)
                if not answer.complete:
                    await discard(answer)
        except TimeoutError as error:
            raise errors.UpstreamFailure(f"{tool.name} did not complete its answer to a read in time", sent=False, late=True) from error
        return answer


class Unreadable(errors.UpstreamFailure):
    """The tool answered, and the body of its answer cannot be read."""

    def __init__(self, tool: str, answer: Answer, what: str, fault: str = "") -> None:
        codings = b", ".join(coding.of(answer.headers)).decode("latin-1")
        coded = f"in the content coding {codings}, although it was asked for none, and it cannot be decoded"
        why = f"with JSON that cannot be read: {fault}" if fault else coded
        super().__init__(f"{tool} answered a read of {what} {why}", sent=False, permanent=True, hint=REFUSED)


def unfenced() -> None:
    """The gateway's own reads are not stopped by an order."""


def _unreadable(tool: Tool, answer: Answer, what: str) -> errors.UpstreamFailure:
    if answer.status == 200:
        detail = f"{what} of {tool.name} has more than the {BOUND} bytes that the gateway reads"
        return errors.UpstreamFailure(detail, sent=False, permanent=True, hint=TOO_LONG)
    permanent = 300 <= answer.status < 500 and answer.status not in _TRANSIENT_STATUSES
    hint = _HINTS.get(answer.status, REFUSED) if permanent else None
    return errors.UpstreamFailure(f"{tool.name} answered {answer.status} to a read of {what}", sent=False, permanent=permanent, hint=hint)


def refusal(lost: errors.UpstreamFailure, what: str, *, unknown: bool = False) -> errors.Refusal:
    """The agent's error for a tool without an answer.

    ``unknown`` if the call may have been applied: then the agent must not retry it.
    """
    kind = errors.ToolTimeout if lost.late else errors.ToolUnreachable
    if not unknown:
        refused = kind(f"{what}: {lost.detail}.", hint=lost.hint, outcome="not-sent")
        refused.retryable = kind.retryable and not lost.permanent
        return refused
    hint = "Do not repeat it under another key: send the same call again, or read the target to see whether it was applied."
    refused = kind(f"{what}: {lost.detail}. Its outcome is unknown.", hint=hint, outcome="unknown")
    refused.retryable = False
    return refused
