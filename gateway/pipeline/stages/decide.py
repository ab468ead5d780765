"""Does policy allow the call, and has a person approved it where policy wants that?

Strictly positive: what is not an allow is a refusal, or in shadow mode a denial that is waived in writing. An approval is one call's: it
is found by what the call is, and policy has the last word.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from gateway import errors
from gateway.core.adapter import ambiguity
from gateway.core.authorization import gate
from gateway.core.codec import entry as codec
from gateway.core.policy import decision as policy_decision
from gateway.core.request import idempotency
from gateway.model.call import Effect
from gateway.model.decision import Allow, Considered, Decision, Deny, Hold, Reason
from gateway.model.review import Approval, ApprovalKind, ApprovalStatus
from gateway.model.run import Lease, Mode, Run
from gateway.pipeline import sealed_payloads
from gateway.pipeline.budgets import Budgets
from gateway.pipeline.evidence import Before, Denied, Fresh, Held, Permitted
from gateway.pipeline.stages.observe import Snapshot
from gateway.ports.approvals import Approvals
from gateway.ports.policy import PolicyEngine
from gateway.ports.projections import Registry
from gateway.ports.vault import Vault

_CALLERS = 2_000
"""Runs of which what policy is asked about the caller is kept."""


class Callers:
    """What policy is asked about each run's caller, as long as run, lease and mode are the same."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Run, Lease, Mode, Mapping[str, object]]] = OrderedDict()

    def of(self, run: Run, lease: Lease, mode: Mode) -> Mapping[str, object]:
        """Its part of the document; nobody may change it."""
        found = self._known.get(run.run_id)
        # By identity: a run that changes is another value, and comparing all of it would cost more than it saves.
        if found is not None and found[0] is run and found[1] is lease and found[2] is mode:
            return found[3]
        caller = policy_decision.of_caller(run, lease, mode)
        self._known[run.run_id] = (run, lease, mode, caller)
        if len(self._known) > _CALLERS:
            self._known.popitem(last=False)
        return caller


@dataclass(frozen=True, slots=True)
class Decide:
    """``candidate`` is asked beside the active engine, journaled, and never obeyed."""

    engine: PolicyEngine
    registry: Registry
    candidate: PolicyEngine | None = None
    _callers: Callers = field(default_factory=Callers)

    async def __call__(self, fresh: Fresh, grant: Approval | None = None) -> Permitted | Denied | Held:
        """Ask policy; with the ``grant`` that the call has, if it has one.

        Raises:
            PolicyUnavailable: there is no usable decision; no mode waives that.
            MalformedRequest: its tool could take a key for one that policy reads under another spelling.
        """
        known, action = fresh.known, fresh.action
        if (read := self.engine.arguments) and (known.call.body or known.call.query):
            ambiguity.refuse_policy_lookalikes(known.tool.catalog, action.kind, known.call, read)
        counters = await self.registry.counters(f"run:{known.run.run_id}") if self._asks_for("counters") else None
        approval = None if grant is None else {"granted": True, "id": grant.approval_id, "by": grant.decided_by}
        document = policy_decision.document(
            caller=self._callers.of(known.run, known.lease, fresh.opened.mode),
            call=known.call,
            action=action.name,
            effect=action.effect,
            reversibility=action.reversibility,
            fanout=action.fanout,
            dry_run=action.dry_run,
            target=action.target,
            step_id=known.step.id,
            parent_step_id=known.step.parent,
            counters=counters or {},
            now=known.at,
            approval=approval,
        )
        active = self.engine.revision
        decision = await self.engine.decide(document)
        candidate = None if self.candidate is None else await _decision_of(self.candidate, document)
        refusal = _refusal(fresh, decision)
        stopped = refusal is not None or isinstance(decision, Hold)
        waived = stopped and known.at < known.tool.shadow_until and not isinstance(refusal, errors.TenantBoundary)
        considered = Considered(
            decision=decision,
            at=known.at,
            mode=fresh.opened.mode,
            waived=waived,
            candidate=candidate,
            counters=counters,
            approval=approval,
            active=active,
        )
        if waived or not stopped:
            hold = None if grant is not None else _hold_after_resume(fresh, decision)
            if hold is not None:
                return Held(fresh=fresh, considered=considered, hold=hold)
            return Permitted(fresh=fresh, considered=considered, approval=grant)
        if isinstance(decision, Hold):
            return Held(fresh=fresh, considered=considered, hold=decision)
        assert refusal is not None
        return Denied(fresh=fresh, considered=considered, refusal=refusal)

    def _asks_for(self, name: str) -> bool:
        return self.engine.asks_for(name) or (self.candidate is not None and self.candidate.asks_for(name))


async def _decision_of(candidate: PolicyEngine, document: dict[str, object]) -> Decision | str:
    try:
        return await candidate.decide(document)
    except errors.PolicyUnavailable as down:
        return down.detail


def _hold_after_resume(fresh: Fresh, decision: Decision) -> Hold | None:
    """The approval that a resume of the run requires for a write that policy allows; no mode waives it."""
    known, action = fresh.known, fresh.action
    if action.effect is Effect.READ or not known.run.require_approval:
        return None
    name = f"{known.tool.name}:{action.name}"
    if gate.beyond([name], known.run.require_approval):
        return None
    why = f"Since the run was resumed, {action.name} needs an approval."
    return Hold(decision_id=decision.decision_id, revision=decision.revision, reasons=(Reason("resumed", why),), approval={"why": why})


def _refusal(fresh: Fresh, decision: Decision) -> errors.Refusal | None:
    """Why the call is denied: ``None`` if it is allowed, or if only a person's approval is missing."""
    kind = fresh.action.kind
    match decision:
        case Allow() if decision.obligations.get("verify") and (kind is None or kind.verify is None):
            return errors.PolicyDenied(
                f"Policy requires verification of {fresh.action.name}, and its adapter declares no verify.",
                hint="The adapter's author must declare verify for this action.",
                reasons=[{"code": "verify-undeclared", "message": "This action cannot be verified."}],
            )
        case Allow() | Hold():
            return None
        case Deny(reasons=reasons) if any(reason.code == "tenant-boundary" for reason in reasons):
            return errors.TenantBoundary(reasons=shown(reasons))
        case Deny(reasons=reasons):
            return errors.PolicyDenied("; ".join(reason.message for reason in reasons) or None, reasons=shown(reasons))
        case other:
            assert_never(other)


def shown(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    return [{"code": reason.code, "message": reason.message} for reason in reasons]


@dataclass(frozen=True, slots=True)
class Approve:
    approvals: Approvals
    decide: Decide
    snapshot: Snapshot
    vault: Vault
    budgets: Budgets

    async def __call__(self, held: Held) -> Permitted | Denied:
        """Find the approval of a held call, or request one.

        Raises:
            BlastRadius: a limit would refuse the call even if it were approved, so no person is asked.
            PreconditionChanged, ToolUnreachable, ToolTimeout: there is no target to show to an approver.
            PolicyUnavailable: there is no usable decision under the grant.
            JournalUnavailable: the request is not durable.
        """
        known = held.known
        content = idempotency.content_of(known.call)
        approval = await self.approvals.of_call(known.run.run_id, known.lease.generation, held.action.name, content)
        if approval is None:
            return _required(held, await self._asked(held, content))
        if approval.status is not ApprovalStatus.GRANTED:
            return _refused(held, approval) if approval.status is ApprovalStatus.DENIED else _required(held, approval)
        if known.approval not in (None, approval.approval_id):
            return _required(held, approval, "The call names another approval than its own.")
        return await self._under(held, approval)

    async def _under(self, held: Held, approval: Approval) -> Permitted | Denied:
        """The call under its grant, as policy sees it now. A write spends the grant with its intent, a read before it is sent."""
        decided = await self.decide(held.fresh, approval)
        if isinstance(decided, Held):
            return _required(decided, approval, "Policy requires more than the given approval.")
        if isinstance(decided, Permitted) and held.action.effect is Effect.READ and not await self.approvals.use(approval):
            return _required(held, approval)
        return decided

    async def _asked(self, held: Held, content: str) -> Approval:
        reads = held.action.effect is Effect.READ
        if not reads:
            await self.budgets.check(held.known.run, held.action)
        before = Before(taken=False) if reads else await self.snapshot(held)
        request = await self.vault.seal(held.known.run.tenant, sealed_payloads.proposal(held))
        return await self.approvals.request(_draft(held, before, content, request.ref), request)


def _draft(held: Held, before: Before, content: str, request_ref: str) -> Approval:
    run, why = held.known.run, held.hold.approval.get("why")
    return Approval(
        approval_id="",
        kind=ApprovalKind.CALL,
        status=ApprovalStatus.PENDING,
        **codec.ownership(run, held.known.lease.generation),
        tool=held.known.tool.name,
        action=held.action.name,
        target=held.action.target,
        content=content,
        summary=why if isinstance(why, str) and why else f"{held.action.name} needs an approval.",
        existed=before.exists if before.taken else None,
        version=before.version,
        reasons=held.hold.reasons,
        request_ref=request_ref,
        requested_at=held.known.at,
    )


def _required(held: Held, approval: Approval, detail: str | None = None) -> Denied:
    hold = held.hold
    refusal = errors.ApprovalRequired(detail, approval_id=approval.approval_id, reasons=shown(hold.reasons), approval=dict(hold.approval))
    return Denied(fresh=held.fresh, considered=held.considered, refusal=refusal)


def _refused(held: Held, approval: Approval) -> Denied:
    said = f"{approval.decided_by} denied this call" + (f": {approval.reason}" if approval.reason else ".")
    refusal = errors.ApprovalDenied(said, approval_id=approval.approval_id, reasons=shown(held.hold.reasons))
    return Denied(fresh=held.fresh, considered=held.considered, refusal=refusal)
