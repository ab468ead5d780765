"""The journal hears of a write before the tool does; and after an intent there is no way out without an outcome."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway import errors
from gateway.core import limits
from gateway.core.authorization import approvals
from gateway.core.request import idempotency
from gateway.model.approval import ApprovalStatus
from gateway.model.effect import Charge, Violation
from gateway.model.entry import Result, Sealed, Verification
from gateway.model.run import Limits, TaskClass
from gateway.pipeline import journal_entries, sealed_payloads, tool_reads
from gateway.pipeline.evidence import Before, Intent, Permitted, Verdict
from gateway.pipeline.stages import forward, meter
from gateway.pipeline.stages.settle import Settle
from gateway.ports.clock import Clock
from gateway.ports.journal import SPENT, AlreadyTaken, Exceeded, IntentRequest, Journal, Opened, Unapproved
from gateway.ports.projections import Registry
from gateway.ports.vault import Vault

_ASK_ANEW = "Send the same call again to have a person asked anew, if it is meant to be made once more."


@dataclass(frozen=True, slots=True)
class Intend:
    """``live`` counts, by wire key, the calls of this process that are making a write right now."""

    journal: Journal
    registry: Registry
    vault: Vault
    clock: Clock
    settle: Settle
    task_classes: Mapping[str, TaskClass]
    tenant_limits: Callable[[str], Limits | None]
    live: Counter[str] = field(default_factory=Counter)

    def __call__(self, permit: Permitted, before: Before) -> Carried:
        """A durable intent, charged and sealed; on the way out, whatever happened, an outcome. See :class:`Carried`."""
        assert permit.fresh.key is not None, "recall gives every write a key"
        return Carried(self, permit, before, idempotency.wire_key(permit.fresh.key, permit.fresh.attempt))

    async def end(self, intent: Intent, error: BaseException) -> None:
        """Journal the outcome of a call that did not end well, and raise what the agent is to hear of it, if anything."""
        match error:
            case forward.Fenced():
                error.refusal.entry = await self._end(intent, Result.DENIED)
                raise error.refusal from error
            case errors.UpstreamFailure():
                raise await self._lost(intent, error) from error
            case errors.JournalUnavailable():
                # The outcome could not be written: the intent is left in flight, and becomes unknown once the journal is back.
                raise errors.JournalUnavailable(f"{error.detail} The call was sent.", retry_after=5.0, outcome="unknown") from error
            case asyncio.CancelledError():
                self.settle.abandon(intent)
            case _:
                await self._end(intent, Result.UNKNOWN)

    async def open(self, permit: Permitted, before: Before, wire_key: str) -> Intent:
        """Have the journal take the intent.

        Raises:
            InFlight: another call took this attempt in the meantime.
            BlastRadius: a limit stands against it; nothing was charged.
            ApprovalRequired: the grant was spent by another call, or is good no longer.
            ToolUnreachable: the tool's secret is not there.
        """
        key, attempt = permit.fresh.key, permit.fresh.attempt
        assert key is not None, "recall gives every write a key"
        try:
            request = forward.request(permit, before, wire_key)
        except errors.UpstreamFailure as lost:
            raise tool_reads.refusal(lost, f"{permit.known.tool.name} cannot be called") from lost
        charges = await self._charges(permit)
        at, grant = self.clock.now(), permit.approval
        if grant is not None and approvals.status(grant, now=at) is not ApprovalStatus.GRANTED:
            raise errors.ApprovalRequired("The approval is good no longer: its time is over.", approval_id=grant.approval_id)
        args, snapshot = await self._sealed(permit, before)
        opening = IntentRequest(
            fields=journal_entries.intent(permit, before, key, wire_key, at, charges=charges, args=args, snapshot=snapshot),
            refusal=lambda: journal_entries.refusal(permit.known, permit.action, errors.InFlight(), at, status=409, metered=True),
            key=key,
            attempt=attempt,
            charges=charges,
            blobs=(args,) if snapshot is None else (args, snapshot),
            spends=None if grant is None else grant.approval_id,
        )
        match await self.journal.intend(opening):
            case Opened(position):
                return Intent(permit=permit, before=before, wire_key=wire_key, request=request, position=position)
            case AlreadyTaken(position):
                busy = errors.InFlight(retry_after=idempotency.RETRY_IN_FLIGHT)
                busy.entry = str(position)
                raise busy
            case Unapproved(position):
                spent = errors.ApprovalRequired(SPENT, hint=_ASK_ANEW, approval_id=opening.spends)
                spent.entry = str(position)
                raise spent
            case Exceeded(position, violations):
                exceeded = _exceeded(violations)
                exceeded.entry = str(position)
                raise exceeded

    async def _charges(self, permit: Permitted) -> tuple[Charge, ...]:
        run, action = permit.known.run, permit.action
        if permit.known.undoing is not None:
            return ()
        ancestors = [one for name in run.ancestors if (one := await self.registry.run(name)) is not None]
        budgets = limits.budgets(run, ancestors, self.task_classes.get(run.task_class), self.tenant_limits(run.tenant))
        untold = limits.unpriced(budgets, action.cost)
        if untold is not None:
            raise errors.BlastRadius(
                f"{action.name} is limited by {untold}, and the call does not say it as a plain number.",
                hint="Send the field that the adapter's cost names, as a non-negative number.",
                untold=untold,
                **meter.violated(untold),
            )
        return limits.charges(budgets, action.cost, action.target)

    async def _sealed(self, permit: Permitted, before: Before) -> tuple[Sealed, Sealed | None]:
        tenant = permit.known.run.tenant
        args = await self.vault.seal(tenant, sealed_payloads.request(permit))
        return args, await self.vault.seal(tenant, sealed_payloads.snapshot(before)) if before.taken else None

    async def _lost(self, intent: Intent, lost: errors.UpstreamFailure) -> errors.Refusal:
        refused = tool_reads.refusal(lost, f"{intent.known.tool.name} gave no answer", unknown=lost.sent)
        refused.entry = await self._end(intent, Result.UNKNOWN if lost.sent else Result.FAILED)
        return refused

    async def _end(self, intent: Intent, result: Result) -> str:
        settled = await self.settle.without_answer(intent, Verdict(result=result, verification=Verification.NONE))
        return str(settled)


@dataclass(slots=True)
class Carried:
    """One write, from its durable intent to its outcome. (A class, since a generator on this way would cost more than all it does.)

    Raises:
        InFlight, ApprovalRequired, BlastRadius: on the way in; nothing was charged.
        ToolUnreachable, ToolTimeout: the call brought no answer; the outcome says what that means.
    """

    intend: Intend
    permit: Permitted
    before: Before
    wire_key: str
    intent: Intent | None = None

    async def __aenter__(self) -> Intent:
        # Before the intent is durable, or the reconciler could take it for one that nobody carries. Counted, since several calls
        # may reach for one key and only one of them gets it.
        self.intend.live[self.wire_key] += 1
        try:
            self.intent = await self.intend.open(self.permit, self.before, self.wire_key)
        except BaseException:
            self._put_down()
            raise
        return self.intent

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is not None and self.intent is not None:
                await self.intend.end(self.intent, error)
        finally:
            self._put_down()

    def _put_down(self) -> None:
        live = self.intend.live
        live[self.wire_key] -= 1
        if not live[self.wire_key]:
            del live[self.wire_key]


def _exceeded(violations: tuple[Violation, ...]) -> errors.BlastRadius:
    named = [f"{one.scope} {one.name}" for one in violations]
    first = violations[0]
    detail = f"{first.scope} may use {_shown(first.name, first.limit)} of {first.name}, has used {_shown(first.name, first.used)}"
    return errors.BlastRadius(f"{detail}, and the call asks for {_shown(first.name, first.asked)} more.", **meter.violated(*named))


def _shown(name: str, value: int) -> str:
    """As it was said, to the last digit: an amount is counted in millionths."""
    if not name.startswith("amount:"):
        return str(value)
    whole, part = divmod(value, limits.MILLION)
    return f"{whole}.{part:06}".rstrip("0").removesuffix(".")
