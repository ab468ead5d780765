"""The one way a write is sent, for the calls of agents and for compensations alike.

In the order of safety: a durable intent, charged and approved in one transaction; the fence at the socket, then the call; what its answer
and the object prove; a durable outcome. Once an intent is durable there is no way out without an outcome.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from gateway import errors
from gateway.core.authorization import approvals
from gateway.core.request import idempotency
from gateway.model.call import Answer, Headers
from gateway.model.entries import OutcomeEntry, RefusalEntry
from gateway.model.entry import Position, Result, Verification
from gateway.model.review import ApprovalStatus
from gateway.pipeline import answers, headers, journal_entries, sealed_payloads, tool
from gateway.pipeline.budgets import Budgets, exceeded
from gateway.pipeline.evidence import Before, CallTrace, Intent, Permitted, Settled, Streamed, Verdict
from gateway.pipeline.fair_queue import FairQueue
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.stages.observe import Verify
from gateway.pipeline.streamed import Relay
from gateway.ports.clock import Clock
from gateway.ports.journal import SPENT, IntentRefused, IntentRequest, Journal
from gateway.ports.vault import Vault
from gateway.ports.wire import Upstream

INTENTS = 16
"""Intents that the journal is asked to commit at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendWrite:
    """``live`` counts, by wire key, the calls of this process that are making a write right now. ``spawn`` runs what outlives a call."""

    intend: Intend
    upstream: Upstream
    gate: Gate
    verify: Verify
    journal: Journal
    vault: Vault
    clock: Clock
    spawn: Callable[[Coroutine[object, object, None]], object]
    live: Counter[str] = field(default_factory=Counter)

    async def settled(self, permit: Permitted, before: Before, trace: CallTrace) -> Settled:
        """Send a write for which no client waits; what its answer streams is read to its end.

        Raises:
            As a call does.
        """
        sent = await self(permit, before, trace)
        if isinstance(sent, Settled):
            return sent
        sent.relay.leave()
        return await sent.settled

    async def __call__(self, permit: Permitted, before: Before, trace: CallTrace) -> Settled | Streamed:
        """Send a permitted write, once, and journal what became of it: before it returns, or before its answer's stream ends.

        Raises:
            InFlight, ApprovalRequired, BlastRadius: the journal did not take the intent; nothing was charged or sent.
            ToolUnreachable, ToolTimeout: the call brought no answer; the outcome says what that means.
            Refusal: an order came before the first byte; nothing was sent, and the outcome records that.
            JournalUnavailable: the intent, or the outcome, could not be written.
        """
        key, attempt = permit.fresh.key, permit.fresh.attempt
        assert key is not None, "recall gives every write a key"
        wire_key = idempotency.wire_key(key, attempt)
        trace.commit()  # from here on the call ends even if its client goes away
        # Live before its intent is durable, or the reconciler could take the intent for one that nobody carries. Counted, since several
        # calls may reach for one key and only one of them gets it.
        self.live[wire_key] += 1
        streams = False
        try:
            intent = trace.at("intend", await self.intend(permit, before, wire_key))  # one transaction, durable before the first byte
            try:
                answer = await self._forward(intent)  # the fence at the socket, then the call
                trace.mark("forward")
                if _ends_later(intent, answer):
                    sent = Streamed(intent=intent, answer=answer, relay=Relay(answer), settled=asyncio.get_running_loop().create_future())
                    self.spawn(self._to_its_end(sent))
                    streams = True
                    return sent
                verdict = await self.verify(intent, answer)  # postcondition
                trace.mark("verify")
                return trace.at("settle", await self._settle(intent, answer, verdict))  # durable before the reply
            except BaseException as error:
                await self._failed(intent, error)
                raise
        finally:
            if not streams:
                self._ended(wire_key)

    async def _to_its_end(self, sent: Streamed) -> None:
        """Read a stream to its end, and journal what became of the write: the agent gets the end of its reply after that."""
        intent, relay, complete = sent.intent, sent.relay, False
        try:
            try:
                complete = await relay.drain()
                verdict = await self.verify(intent, sent.answer)
                if not complete and verdict.verification is not Verification.PASSED:
                    verdict = Verdict(result=Result.UNKNOWN, verification=Verification.NONE)  # the tool may have stopped half way
                sent.settled.set_result(await self._settle(intent, sent.answer, verdict))
            except BaseException as error:
                complete = False
                await self._failed(intent, error)
                raise
        except BaseException as error:
            sent.settled.set_exception(error)
            sent.settled.exception()  # looked at: mostly nobody waits for it
            if not isinstance(error, errors.Refusal):  # that is the agent's, and the journal has it
                raise
        finally:
            relay.end(complete=complete)
            self._ended(intent.wire_key)

    def _ended(self, wire_key: str) -> None:
        self.live[wire_key] -= 1
        if not self.live[wire_key]:
            del self.live[wire_key]

    async def _forward(self, intent: Intent) -> Answer:
        try:
            answer = await self.upstream.send(intent.request, self.gate.fence(intent.permit))
        except errors.Refusal as refusal:
            raise _Fenced(refusal) from refusal
        answer = headers.received(intent.known.tool, intent.request.tenant, answer)
        return await answers.gathered(answer, intent.request.timeout)

    async def _settle(self, intent: Intent, answer: Answer, verdict: Verdict) -> Settled:
        """Journal the outcome of an answered write, and keep its reply if the effect stands."""
        reply = None
        kept = verdict.result is Result.SUCCESS or verdict.pending  # of a pending one, to be asked by what the reply says
        if kept and answer.complete and len(answer.body) <= sealed_payloads.REPLY_BOUND:
            reply = await self.vault.seal(intent.known.run.tenant, sealed_payloads.reply(answer))
        entry = journal_entries.outcome(intent, verdict, self.clock.now(), status=answer.status, reply=reply)
        position = await self.journal.append(entry, () if reply is None else (reply,))
        return Settled(intent=intent, answer=answer, verdict=verdict, position=position)

    async def _failed(self, intent: Intent, error: BaseException) -> None:
        """Journal the outcome of a failed call, and raise the agent's error if it is another one."""
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
                # The process ends during the call: unknown, if there is time to journal it.
                self.journal.post(self._unanswered(intent, Result.UNKNOWN))
            case _:
                await self._settle_unanswered(intent, Result.UNKNOWN)

    async def _settle_unanswered(self, intent: Intent, result: Result) -> str:
        return str(await self.journal.append(self._unanswered(intent, result)))

    def _unanswered(self, intent: Intent, result: Result) -> OutcomeEntry:
        verdict = Verdict(result=result, verification=Verification.NONE)
        return journal_entries.outcome(intent, verdict, self.clock.now())


def _ends_later(intent: Intent, answer: Answer) -> bool:
    """Whether a postcondition is to be looked at that holds, at the earliest, once the answer's stream has ended."""
    kind, undoing = intent.action.kind, intent.known.undoing
    postcondition = (kind is not None and kind.verify is not None) or (undoing is not None and undoing.expects is not None)
    return answer.rest is not None and postcondition and answer.status < 300


class _Fenced(Exception):
    """An order came with the connection already in hand: not a byte was sent."""

    def __init__(self, refusal: errors.Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


_ASK_ANEW = "To repeat the call, send it again; it then needs a new approval."


@dataclass(frozen=True, slots=True)
class Intend:
    """Has the journal take the intent of a write: charged, sealed, and durable before the tool gets it.

    The journal commits in groups, in the order in which it is asked. ``writing`` bounds a group, so that a tenant with many writes does
    not fill it.
    """

    journal: Journal
    budgets: Budgets
    vault: Vault
    clock: Clock
    writing: FairQueue = field(default_factory=lambda: FairQueue(INTENTS))

    async def __call__(self, permit: Permitted, before: Before, wire_key: str) -> Intent:
        """The durable intent.

        Raises:
            InFlight: another call took this attempt in the meantime.
            BlastRadius: a limit refuses it; nothing was charged.
            ApprovalRequired: the approval was used by another call, or has expired.
            ToolUnreachable: the tool's secret is missing.
        """
        known, key = permit.known, permit.fresh.key
        assert key is not None, "recall gives every write a key"
        try:
            extra = guard(before) + _key(permit, wire_key)
            request = known.tool.request(known.call, known.run.tenant, extra, identity_encoding=True, retriable=False)
        except errors.UpstreamFailure as lost:
            raise tool.refusal(lost, f"{known.tool.name} cannot be called") from lost
        charges = () if known.undoing is not None else await self.budgets.charges(known.run, permit.action)
        at, grant = self.clock.now(), permit.approval
        if grant is not None and approvals.status(grant, now=at) is not ApprovalStatus.GRANTED:
            raise errors.ApprovalRequired("The approval has expired.", approval_id=grant.approval_id)
        args = await self.vault.seal(known.run.tenant, sealed_payloads.request(permit))
        snapshot = await self.vault.seal(known.run.tenant, sealed_payloads.snapshot(before)) if before.keeps else None
        opening = IntentRequest(
            entry=journal_entries.intent(permit, before, key, wire_key, at, charges=charges, args=args, snapshot=snapshot),
            refusal=lambda: journal_entries.refusal(known, permit.action, errors.InFlight(), at, metered=True),
            charges=charges,
            blobs=(args,) if snapshot is None else (args, snapshot),
        )
        flow = known.run.tenant, known.undoing is not None  # a rollback does not wait behind the calls of its tenant
        placed = await self.writing.enter(flow)
        try:
            result = await self.journal.intend(opening)
        finally:
            if placed:
                self.writing.leave()
        if isinstance(result, IntentRefused):
            raise _refused(result.entry, result.position)
        return Intent(permit=permit, before=before, wire_key=wire_key, request=request, position=result)


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


def _refused(entry: RefusalEntry, position: Position) -> errors.Refusal:
    """The agent's error for an intent that the journal refused."""
    refused: errors.Refusal
    match entry.code:
        case errors.ApprovalRequired.code:
            refused = errors.ApprovalRequired(SPENT, hint=_ASK_ANEW, approval_id=entry.approval_id)
        case errors.BlastRadius.code:
            refused = exceeded(entry.violated or ())
        case _:
            refused = errors.InFlight(retry_after=idempotency.RETRY_IN_FLIGHT)
    refused.entry = str(position)
    return refused
