"""The one way a write is sent, for the calls of agents and for compensations alike.

In the order of safety: a durable intent; the fence at the socket, then the call; what its answer and the object prove; a durable outcome.
Once an intent is durable there is no way out without an outcome.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway import errors
from gateway.core.request import idempotency
from gateway.model.call_entry import OutcomeEntry
from gateway.model.entry import Result, Verification
from gateway.model.wire import Answer
from gateway.pipeline import journal_entries, sealed_payloads, tool
from gateway.pipeline.evidence import Before, CallTrace, Intent, Permitted, Settled, Verdict
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.stages.intend import Intend
from gateway.pipeline.stages.verify import Verify
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.vault import Vault
from gateway.ports.wire import Upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class SendWrite:
    """``live`` counts, by wire key, the calls of this process that are making a write right now."""

    intend: Intend
    upstream: Upstream
    gate: Gate
    verify: Verify
    journal: Journal
    vault: Vault
    clock: Clock
    live: Counter[str] = field(default_factory=Counter)

    async def __call__(self, permit: Permitted, before: Before, trace: CallTrace) -> Settled:
        """Send a permitted write, once, and journal what became of it.

        Raises:
            InFlight, ApprovalRequired, BlastRadius: the journal did not take the intent; nothing was charged or sent.
            ToolUnreachable, ToolTimeout: the call brought no answer; the outcome says what that means.
            Refusal: an order came before the first byte; nothing was sent, and the outcome says so.
            JournalUnavailable: the intent, or the outcome, could not be written.
        """
        key, attempt = permit.fresh.key, permit.fresh.attempt
        assert key is not None, "recall gives every write a key"
        wire_key = idempotency.wire_key(key, attempt)
        trace.commit()  # from here on the call ends even if its client goes away
        # Live before its intent is durable, or the reconciler could take the intent for one that nobody carries. Counted, since several
        # calls may reach for one key and only one of them gets it.
        self.live[wire_key] += 1
        try:
            intent = trace.at("intend", await self.intend(permit, before, wire_key))  # one transaction, durable before the first byte
            try:
                answer = await self._forward(intent)  # the fence at the socket, then the call
                trace.mark("forward")
                verdict = await self.verify(intent, answer)  # postcondition
                trace.mark("verify")
                return trace.at("settle", await self._settle(intent, answer, verdict))  # durable before anyone hears of it
            except BaseException as error:
                await self._failed(intent, error)
                raise
        finally:
            self.live[wire_key] -= 1
            if not self.live[wire_key]:
                del self.live[wire_key]

    async def _forward(self, intent: Intent) -> Answer:
        try:
            answer = await self.upstream.send(intent.request, self.gate.send_fence(intent.permit))
        except errors.Refusal as refusal:
            raise _Fenced(refusal) from refusal
        return await tool.gathered(answer, intent.request.timeout)

    async def _settle(self, intent: Intent, answer: Answer, verdict: Verdict) -> Settled:
        """Journal the outcome of an answered write, and keep its reply where the effect stands."""
        reply = None
        if verdict.result is Result.SUCCESS and answer.complete and len(answer.body) <= sealed_payloads.REPLY_BOUND:
            reply = await self.vault.seal(intent.known.run.tenant, sealed_payloads.reply(answer))
        target = intent.action.target
        became = target if verdict.made is None else replace(target, id=verdict.made)
        entry = journal_entries.outcome(intent, verdict, self.clock.now(), status=answer.status, reply=reply, became=became)
        position = await self.journal.append(entry, () if reply is None else (reply,))
        return Settled(intent=intent, answer=answer, verdict=verdict, position=position)

    async def _failed(self, intent: Intent, error: BaseException) -> None:
        """Journal the outcome of a call that did not end well, and raise what the agent is told of it where that is another error."""
        match error:
            case _Fenced():
                error.refusal.entry = await self._settle_unanswered(intent, Result.DENIED)
                raise error.refusal from error
            case errors.UpstreamFailure():
                refused = tool.refusal(error, f"{intent.known.tool.name} gave no answer", unknown=error.sent)
                refused.entry = await self._settle_unanswered(intent, Result.UNKNOWN if error.sent else Result.FAILED)
                raise refused from error
            case errors.JournalUnavailable():
                # The outcome could not be written: the intent is left in flight, and becomes unknown once the journal is back.
                raise errors.JournalUnavailable(f"{error.detail} The call was sent.", retry_after=5.0, outcome="unknown") from error
            case asyncio.CancelledError():
                # The process is going down with the call on the wire: unknown, as far as there is time to say so.
                self.journal.post(self._unanswered(intent, Result.UNKNOWN))
            case _:
                await self._settle_unanswered(intent, Result.UNKNOWN)

    async def _settle_unanswered(self, intent: Intent, result: Result) -> str:
        return str(await self.journal.append(self._unanswered(intent, result)))

    def _unanswered(self, intent: Intent, result: Result) -> OutcomeEntry:
        verdict = Verdict(result=result, verification=Verification.NONE)
        return journal_entries.outcome(intent, verdict, self.clock.now(), status=None, reply=None, became=intent.action.target)


class _Fenced(Exception):
    """An order came with the connection already in hand: not a byte was sent."""

    def __init__(self, refusal: errors.Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal
