"""The journal takes a write before the tool does: checked against its limits and its approval, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway import errors
from gateway.core import limits
from gateway.core.authorization import approvals
from gateway.core.request import idempotency
from gateway.model.approval import ApprovalStatus
from gateway.model.call import Headers
from gateway.model.effect import Charge, Violation
from gateway.model.entry import Sealed
from gateway.model.run import Limits, TaskClass
from gateway.pipeline import journal_entries, sealed_payloads, tool
from gateway.pipeline.evidence import Before, Intent, Permitted
from gateway.pipeline.stages import meter
from gateway.ports.clock import Clock
from gateway.ports.journal import SPENT, AlreadyTaken, Exceeded, IntentRequest, Journal, Opened, Unapproved
from gateway.ports.projections import Registry
from gateway.ports.vault import Vault

_ASK_ANEW = "Send the same call again to have a person asked anew, if it is meant to be made once more."


@dataclass(frozen=True, slots=True)
class Intend:
    """Has the journal take the intent of a write: charged, sealed, and durable before the tool hears of it."""

    journal: Journal
    registry: Registry
    vault: Vault
    clock: Clock
    task_classes: Mapping[str, TaskClass]
    tenant_limits: Callable[[str], Limits | None]

    async def __call__(self, permit: Permitted, before: Before, wire_key: str) -> Intent:
        """The durable intent.

        Raises:
            InFlight: another call took this attempt in the meantime.
            BlastRadius: a limit stands against it; nothing was charged.
            ApprovalRequired: the grant was spent by another call, or is good no longer.
            ToolUnreachable: the tool's secret is not there.
        """
        known, key = permit.known, permit.fresh.key
        assert key is not None, "recall gives every write a key"
        try:
            request = known.tool.request(known.call, known.run.tenant, guard(before) + _key(permit, wire_key), retriable=False)
        except errors.UpstreamFailure as lost:
            raise tool.refusal(lost, f"{known.tool.name} cannot be called") from lost
        charges = await self._charges(permit)
        at, grant = self.clock.now(), permit.approval
        if grant is not None and approvals.status(grant, now=at) is not ApprovalStatus.GRANTED:
            raise errors.ApprovalRequired("The approval is good no longer: its time is over.", approval_id=grant.approval_id)
        args, snapshot = await self._sealed(permit, before)
        opening = IntentRequest(
            entry=journal_entries.intent(permit, before, key, wire_key, at, charges=charges, args=args, snapshot=snapshot),
            refusal=lambda: journal_entries.refusal(known, permit.action, errors.InFlight(), at, status=409, metered=True),
            key=key,
            attempt=permit.fresh.attempt,
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
        missing = limits.unpriced(budgets, action.cost)
        if missing is not None:
            raise errors.BlastRadius(
                f"{action.name} has a limit on {missing}, and the call does not state it as a plain number.",
                hint="Send the field that the adapter's cost names, as a non-negative number.",
                missing_amount=missing,
                **meter.violated(missing),
            )
        return limits.charges(budgets, action.cost, action.target)

    async def _sealed(self, permit: Permitted, before: Before) -> tuple[Sealed, Sealed | None]:
        tenant = permit.known.run.tenant
        args = await self.vault.seal(tenant, sealed_payloads.request(permit))
        return args, await self.vault.seal(tenant, sealed_payloads.snapshot(before)) if before.taken else None


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
