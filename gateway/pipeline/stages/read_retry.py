"""A read that its tool cannot answer now: asked again, or asked where the adapter says that it can be; policy says which."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from msgspec.structs import replace

from gateway import errors
from gateway.core.adapter import resolve
from gateway.core.request import canonical
from gateway.model.call import Call
from gateway.model.response import Measure
from gateway.model.trigger import Trigger
from gateway.model.wire import Answer
from gateway.pipeline.evidence import Permitted
from gateway.pipeline.stages import forward
from gateway.pipeline.stages.classify import classify
from gateway.pipeline.stages.decide import Decide
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.tool_reads import discard
from gateway.ports.clock import Clock
from gateway.ports.triggers import Responses
from gateway.ports.wire import Upstream

RECOVERABLE = frozenset({429, 503})
"""What a tool says that cannot answer a read now."""
PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds before a read is asked again; a tool that wants longer is not asked again by the gateway."""
TRIES = 3
"""How often a read is sent at the most, whatever policy says."""


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """``permit`` is for what was sent in the end: the read itself, or its fallback."""

    permit: Permitted
    answer: Answer


@dataclass(frozen=True, slots=True)
class Trouble:
    """``answer`` or ``lost``: what came instead of an answer that helps. ``wait`` is what the tool asks for, in seconds."""

    answer: Answer | None = None
    lost: errors.UpstreamFailure | None = None
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class ReadRetry:
    upstream: Upstream
    gate: Gate
    decide: Decide
    responses: Responses
    clock: Clock

    async def __call__(self, permit: Permitted) -> ReadAnswer:
        """Send a read, again where that is what policy answers to its trouble.

        Raises:
            UpstreamFailure: there is no answer to be had.
            Refusal: an order came before the first byte.
        """
        attempt = 1
        while True:
            trouble = await self._sent(permit)
            if isinstance(trouble, ReadAnswer):
                return trouble
            match await self._measure(permit, trouble, attempt):
                case Measure.RETRY if attempt < TRIES and (trouble.wait or 0.0) <= LONGEST_PAUSE:
                    await _given_up(trouble)
                    await asyncio.sleep(PAUSE if trouble.wait is None else trouble.wait)
                    attempt += 1
                case Measure.FALLBACK if (other := await self._fallback(permit)) is not None:
                    await _given_up(trouble)
                    return ReadAnswer(other, await self.upstream.send(forward.request(other), self.gate.sending(other)))
                case _:
                    if trouble.lost is not None:
                        raise trouble.lost
                    assert trouble.answer is not None
                    return ReadAnswer(permit, trouble.answer)

    async def _sent(self, permit: Permitted) -> ReadAnswer | Trouble:
        try:
            answer = await self.upstream.send(forward.request(permit), self.gate.sending(permit))
        except errors.UpstreamFailure as lost:
            return Trouble(lost=lost)
        if answer.status in RECOVERABLE:
            return Trouble(answer=answer, wait=retry_after(answer))
        return ReadAnswer(permit, answer)

    async def _measure(self, permit: Permitted, trouble: Trouble, attempt: int) -> Measure:
        facts: dict[str, object] = {
            "effect": "read",
            "attempt": attempt,
            "fallback": permit.action.kind is not None and permit.action.kind.fallback is not None,
        }
        if trouble.answer is not None:
            facts["status"] = trouble.answer.status
        elif trouble.lost is not None and trouble.lost.late:
            facts["timeout"] = True
        known = permit.known
        trigger = Trigger(
            name="recoverable.tool-error",
            at=self.clock.now(),
            count=attempt,
            effect="read",
            tool=known.tool.name,
            action=permit.action.name,
            facts=facts,
        )
        try:
            return (await self.responses.about(known.run, known.lease.generation, trigger)).action
        except errors.JournalUnavailable:
            return Measure.NONE

    async def _fallback(self, permit: Permitted) -> Permitted | None:
        """Leave to ask elsewhere, decided on like any call; ``None`` where there is no such place, or policy does not give it."""
        known, action = permit.known, permit.action
        if action.kind is None or action.kind.fallback is None:
            return None
        try:
            path = resolve.fallback_path(known.tool.catalog, action.kind, action.captures)
            classified = classify(replace(known, call=_elsewhere(known.call, path)))
        except (ValueError, KeyError, errors.Refusal):
            return None
        if classified.action.name != action.kind.fallback:
            return None
        decided = await self.decide(replace(permit.fresh, known=classified.known, action=classified.action))
        return decided if isinstance(decided, Permitted) else None


def _elsewhere(call: Call, path: str) -> Call:
    """The same read of another path of the tool; as canonical as if an agent had sent it."""
    target = canonical.split(f"/{call.tool}{path}")
    return replace(call, path=target.path, segments=target.segments, body=b"", args=None)


async def _given_up(trouble: Trouble) -> None:
    if trouble.answer is not None:
        await discard(trouble.answer)


def retry_after(answer: Answer) -> float | None:
    """Seconds that the tool asks for; a date is not worth waiting for here."""
    value = next((value for name, value in answer.headers if name.lower() == b"retry-after"), b"")
    return float(value) if value.isdigit() else None
