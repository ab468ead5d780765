"""The call goes out: what is sent, and the fence at the socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway import errors
from gateway.model.call import Headers
from gateway.model.wire import Answer, Outgoing
from gateway.pipeline.evidence import Before, Intent, Permitted
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.tool_reads import discard
from gateway.ports.wire import Upstream


class Fenced(Exception):
    """An order came with the connection already in hand: not a byte was sent."""

    def __init__(self, refusal: errors.Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


REPLY_BOUND = 1 << 20
"""Bytes of a write's reply that are read before its outcome is judged; what is longer streams after it."""

_SET_BY_US = frozenset({b"host", b"content-length"})


@dataclass(frozen=True, slots=True)
class Forward:
    upstream: Upstream
    gate: Gate

    async def __call__(self, intent: Intent) -> Answer:
        """Send the write, once.

        Raises:
            Fenced: an order came before the first byte; nothing was sent.
            UpstreamFailure: no whole answer; ``sent`` tells whether the write may have been applied.
        """
        try:
            answer = await self.upstream.send(intent.request, self.gate.sending(intent.permit))
        except errors.Refusal as refusal:
            raise Fenced(refusal) from refusal
        return await gathered(answer, intent.request.timeout)


def request(permit: Permitted, before: Before | None = None, wire_key: str | None = None) -> Outgoing:
    """The request to the tool: the agent's bytes, with our own headers in place of those that spoke to us. A write has both.

    Raises:
        UpstreamFailure: the tool's secret for this tenant is not there.
    """
    known, call = permit.known, permit.known.call
    tool = known.tool
    headers: Headers = ((b"Host", tool.authority),)
    headers += tuple(pair for pair in call.headers if (low := pair[0].lower()) not in _SET_BY_US and low != tool.credential_header)
    headers += tool.secret(known.run.tenant)
    if call.body or call.method in ("POST", "PUT", "PATCH"):
        headers += ((b"Content-Length", str(len(call.body)).encode()),)
    if before is not None:
        headers += guard(before)
    if wire_key is not None:
        headers += _key(permit, wire_key)
    return Outgoing(
        tool=tool.name,
        tenant=known.run.tenant,
        method=call.method,
        target=tool.base + call.target,
        headers=headers,
        body=call.body,
        timeout=tool.timeout,
        retriable=before is None,
    )


def guard(before: Before) -> Headers:
    """The headers that bind a write to the version it is meant for."""
    if before.guard is not None:
        return ((b"If-Match", before.guard.encode("latin-1")),)
    return ((b"If-None-Match", b"*"),) if before.guard_absent else ()


def _key(permit: Permitted, wire_key: str) -> Headers:
    kind = permit.action.kind
    if kind is None or kind.idempotency.header is None:
        return ()
    return ((kind.idempotency.header, (f'"{wire_key}"' if kind.idempotency.quoted else wire_key).encode()),)


def _streams(answer: Answer) -> bool:
    return any(name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in answer.headers)


async def gathered(answer: Answer, within: float) -> Answer:
    """The answer with its body as far as it is judged; a longer one, one that takes longer, and a stream of events, keeps its ``rest``."""
    if answer.rest is None or _streams(answer):
        return answer
    parts, size = [answer.body], len(answer.body)
    try:
        async with asyncio.timeout(within):
            while size <= REPLY_BOUND:
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
