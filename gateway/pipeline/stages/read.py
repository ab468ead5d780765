"""A read: sent (after an error possibly again or to the fallback, as policy decides), streamed back, and journaled without
waiting for the disk.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from msgspec.structs import replace

from gateway import errors
from gateway.core.adapter import resolve
from gateway.core.request import body as request_body
from gateway.core.request import canonical
from gateway.model.call import Answer, Call, Reply
from gateway.model.trigger import Measure, Trigger
from gateway.pipeline import journal_entries, sealed_payloads, tool
from gateway.pipeline.evidence import Permitted
from gateway.pipeline.reply import Replies
from gateway.pipeline.stages.classify import classify
from gateway.pipeline.stages.decide import Decide
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.tool import ToolReads, discard, gathered, reply_document
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.triggers import Responses
from gateway.ports.vault import Vault

RECOVERABLE = frozenset({429, 503})
"""What a tool says that cannot answer a read now."""
PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds before a read is asked again; a tool that wants longer is not asked again by the gateway."""
TRIES = 3
"""How often a read is sent at the most, whatever policy says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    reads: ToolReads
    gate: Gate
    decide: Decide
    responses: Responses
    journal: Journal
    replies: Replies
    vault: Vault
    clock: Clock

    async def __call__(self, permit: Permitted) -> Reply:
        """Forward a read, and journal it without waiting for the disk.

        Raises:
            Refusal: an order came before the first byte, or the tool gave no answer.
        """
        asked = permit
        try:
            permit, answer = await self._answered(asked)
            answer, conforms = await _conforming(permit, answer)
        except errors.UpstreamFailure as lost:
            raise tool.refusal(lost, f"{permit.known.tool.name} gave no answer") from lost
        known = permit.known
        version = _version(permit, answer)
        try:
            args = await self.vault.seal(known.run.tenant, sealed_payloads.request(permit)) if known.call.body else None
            entry = journal_entries.read(
                permit,
                self.clock.now(),
                status=answer.status,
                version=version,
                args=args,
                conforms=conforms,
                fallback_of=None if permit is asked else asked.action.name,
            )
            position = self.journal.post(entry, () if args is None else (args,))
        except errors.JournalUnavailable:
            await discard(answer)
            raise
        return self.replies.passed(permit, answer, position, self.gate.fence(permit, sent=True))

    async def _answered(self, permit: Permitted) -> tuple[Permitted, Answer]:
        """The answer to a read, and the permit of what was sent: after an error it may be sent again or elsewhere, as policy decides.

        Raises:
            UpstreamFailure: there is no answer.
            Refusal: an order came before the first byte.
        """
        attempt = 0
        trouble: Answer | errors.UpstreamFailure
        while True:
            attempt += 1
            wait = None
            try:
                trouble = await self._sent(permit)
                if trouble.status not in RECOVERABLE:
                    return permit, trouble
                wait = retry_after(trouble)
            except errors.UpstreamFailure as lost:
                trouble = lost
            match await self._measure(permit, trouble, attempt):
                case Measure.RETRY if attempt < TRIES and (wait or 0.0) <= LONGEST_PAUSE:
                    await _given_up(trouble)
                    await asyncio.sleep(PAUSE if wait is None else wait)
                case Measure.FALLBACK if (other := await self._fallback(permit)) is not None:
                    await _given_up(trouble)
                    return other, await self._sent(other)
                case _ if isinstance(trouble, errors.UpstreamFailure):
                    raise trouble
                case _:
                    return permit, trouble

    async def _sent(self, permit: Permitted) -> Answer:
        known = permit.known
        return await self.reads.send(known.tool.request(known.call, known.run.tenant, retriable=True), self.gate.fence(permit))

    async def _measure(self, permit: Permitted, trouble: Answer | errors.UpstreamFailure, attempt: int) -> Measure:
        facts: dict[str, object] = {
            "effect": "read",
            "attempt": attempt,
            "fallback": permit.action.kind is not None and permit.action.kind.fallback is not None,
        }
        if isinstance(trouble, Answer):
            facts["status"] = trouble.status
        elif trouble.late:
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
        """Leave to ask elsewhere, decided on like any call; ``None`` if there is no fallback, or policy does not allow it."""
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
        opened = replace(permit.opened, known=classified.known, action=classified.action)
        decided = await self.decide(replace(permit.fresh, metered=replace(permit.fresh.metered, opened=opened)))
        return decided if isinstance(decided, Permitted) else None


async def _conforming(permit: Permitted, answer: Answer) -> tuple[Answer, bool]:
    """The answer, and whether its body is of the form that the adapter declares: as far as a reply can be kept whole to be looked at."""
    kind = permit.action.kind
    if kind is None or kind.reply_conforms is None or answer.status != 200:
        return answer, True
    whole = answer if answer.complete else await gathered(answer, permit.known.tool.timeout)
    return whole, not whole.complete or kind.reply_conforms(request_body.json_value(whole.headers, whole.body))


def _version(permit: Permitted, answer: Answer) -> str | None:
    """The version that the run has now seen: only if it read the object itself, completely and without an error."""
    kind, target = permit.action.kind, permit.action.target
    if kind is None or not target.id or answer.status != 200:
        return None
    thing = permit.known.tool.catalog.objects[kind.object_type or ""]
    if thing.template.match(permit.known.call.segments) is None:  # it read something beneath or beside the object
        return None
    parsed = thing.version is not None and thing.version.keys is not None and thing.version.keys[:2] != ("reply", "headers")
    return resolve.version_of(thing, {**permit.action.document, "reply": reply_document(answer, parsed=parsed)})


async def _given_up(trouble: Answer | errors.UpstreamFailure) -> None:
    if isinstance(trouble, Answer):
        await discard(trouble)


def _elsewhere(call: Call, path: str) -> Call:
    """The same read of another path of the tool; as canonical as if an agent had sent it."""
    target = canonical.split(f"/{call.tool}{path}")
    return replace(call, path=target.path, segments=target.segments, body=b"", args=None)


def retry_after(answer: Answer) -> float | None:
    """Seconds that the tool asks for; a date is not worth waiting for here."""
    value = next((value for name, value in answer.headers if name.lower() == b"retry-after"), b"")
    return float(value) if value.isdigit() else None
