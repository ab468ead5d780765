"""What became of the write, durable before the agent hears of it."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from gateway.model.action import Target
from gateway.model.entry import Position, Result, Sealed, Verification
from gateway.model.wire import Answer
from gateway.pipeline import journal_entries, sealed_payloads
from gateway.pipeline.evidence import Intent, Settled, Verdict
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.vault import Vault


@dataclass(frozen=True, slots=True)
class Settle:
    journal: Journal
    vault: Vault
    clock: Clock

    async def __call__(self, intent: Intent, answer: Answer, verdict: Verdict) -> Settled:
        """Journal the outcome of an answered write, and keep its reply where the effect stands."""
        reply = await self._kept(intent, answer, verdict)
        became = _became(intent, verdict)
        entry = journal_entries.outcome(intent, verdict, self.clock.now(), status=answer.status, reply=reply, became=became)
        position = await self.journal.append(entry, () if reply is None else (reply,))
        return Settled(intent=intent, answer=answer, verdict=verdict, position=position)

    async def without_answer(self, intent: Intent, verdict: Verdict) -> Position:
        """Journal the outcome of a write that brought no answer."""
        return await self.journal.append(self._unanswered(intent, verdict))

    def abandon(self, intent: Intent) -> None:
        """The process is going down with the call on the wire: unknown, as far as there is time to say so."""
        self.journal.post(self._unanswered(intent, Verdict(result=Result.UNKNOWN, verification=Verification.NONE)))

    def _unanswered(self, intent: Intent, verdict: Verdict) -> journal_entries.Entry:
        return journal_entries.outcome(intent, verdict, self.clock.now(), status=None, reply=None, became=intent.action.target)

    async def _kept(self, intent: Intent, answer: Answer, verdict: Verdict) -> Sealed | None:
        if verdict.result is not Result.SUCCESS or not answer.complete or len(answer.body) > sealed_payloads.REPLY_BOUND:
            return None
        return await self.vault.seal(intent.known.run.tenant, sealed_payloads.reply(answer))


def _became(intent: Intent, verdict: Verdict) -> Target:
    """The write's target, with the id of what it made where its reply names it."""
    return intent.action.target if verdict.made is None else replace(intent.action.target, id=verdict.made)
