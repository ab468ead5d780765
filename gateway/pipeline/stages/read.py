"""A read: sent, streamed back, and journaled without waiting for the disk."""

from __future__ import annotations

from dataclasses import dataclass

from gateway import errors
from gateway.core.adapter import resolve
from gateway.core.request import body as request_body
from gateway.model.wire import Answer, Reply
from gateway.pipeline import journal_entries, sealed_payloads, tool_reads
from gateway.pipeline.evidence import Permitted
from gateway.pipeline.reply import Replies
from gateway.pipeline.stages import forward
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.stages.read_retry import ReadRetry
from gateway.pipeline.streams import Streams
from gateway.pipeline.tool_reads import discard, header_map
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.vault import Vault


@dataclass(frozen=True, slots=True)
class Read:
    patience: ReadRetry
    gate: Gate
    journal: Journal
    streams: Streams
    replies: Replies
    vault: Vault
    clock: Clock

    async def __call__(self, permit: Permitted) -> Reply:
        """Forward a read.

        Raises:
            Refusal: an order came before the first byte, or the tool gave no answer.
        """
        try:
            answered = await self.patience(permit)
            asked, permit = permit, answered.permit
            answer, conforms = await _conforming(permit, answered.answer)
        except errors.UpstreamFailure as lost:
            raise tool_reads.refusal(lost, f"{permit.known.tool.name} gave no answer") from lost
        version = _version(permit, answer)
        try:
            args = await self.vault.seal(permit.known.run.tenant, sealed_payloads.request(permit)) if permit.known.call.body else None
            entry = journal_entries.read(permit, self.clock.now(), status=answer.status, version=version, args=args, conforms=conforms)
            if permit is not asked:
                entry["fallback_of"] = asked.action.name
            position = self.journal.post(entry, () if args is None else (args,))
        except errors.JournalUnavailable:
            await discard(answer)
            raise
        rest = None if answer.rest is None else self.streams.guarded(answer, self.gate.fence_of(permit.fresh))
        return self.replies.passed(permit, answer, position, rest=rest)


async def _conforming(permit: Permitted, answer: Answer) -> tuple[Answer, bool]:
    """The answer, and whether its body is of the form that the adapter declares: as far as a reply can be kept whole to be looked at."""
    kind = permit.action.kind
    if kind is None or kind.reply_conforms is None or answer.status != 200:
        return answer, True
    whole = answer if answer.complete else await forward.gathered(answer, permit.known.tool.timeout)
    return whole, not whole.complete or kind.reply_conforms(request_body.json_value(whole.headers, whole.body))


def _version(permit: Permitted, answer: Answer) -> str | None:
    """The version that the run has now seen: only where it read the object itself, whole and well."""
    kind, target = permit.action.kind, permit.action.target
    if kind is None or not target.id or answer.status != 200:
        return None
    thing = permit.known.tool.catalog.objects[kind.object_type or ""]
    if thing.template.match(permit.known.call.segments) is None:  # it read something beneath or beside the object
        return None
    body = None
    if thing.version is not None and thing.version.keys is not None and thing.version.keys[:2] != ("reply", "headers"):
        body = request_body.json_value(answer.headers, answer.body) if answer.complete else None
    reply = {"status": answer.status, "headers": header_map(answer.headers), "body": body}
    return resolve.version_of(thing, {**permit.action.document, "reply": reply})
