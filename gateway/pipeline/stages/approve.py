"""Has a person said yes to this very call? A grant is one call's: it is looked up by what the call is, and policy has the last word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from gateway import errors
from gateway.core.authorization.approvals import Ask, Granted, Pending, Refused
from gateway.core.request import idempotency
from gateway.model.action import Effect
from gateway.model.approval import Approval, ApprovalKind, ApprovalStatus
from gateway.pipeline import sealed_payloads
from gateway.pipeline.evidence import Before, Denied, Held, Permitted
from gateway.pipeline.stages.decide import Decide, shown
from gateway.pipeline.stages.snapshot import Snapshot
from gateway.ports.approvals import Approvals, Requested
from gateway.ports.vault import Vault


@dataclass(frozen=True, slots=True)
class Approve:
    approvals: Approvals
    decide: Decide
    snapshot: Snapshot
    vault: Vault

    async def __call__(self, held: Held) -> Permitted | Denied:
        """Find the grant that a held call goes on with, or ask for one.

        Raises:
            PreconditionChanged, ToolUnreachable, ToolTimeout: there is nothing to be shown to whoever would be asked.
            PolicyUnavailable: there is no usable decision under the grant.
            JournalUnavailable: nobody could be asked.
        """
        known = held.known
        content = idempotency.content_of(known.call)
        standing = await self.approvals.of_call(known.run.run_id, known.lease.generation, held.action.name, content)
        match standing:
            case Granted(approval) if known.approval in (None, approval.approval_id):
                return await self._under(held, approval)
            case Granted(approval):
                return _required(held, approval, "The call names another approval than the one that was given for it.")
            case Pending(approval):
                return _required(held, approval)
            case Refused(approval):
                return _refused(held, approval)
            case Ask():
                return _required(held, await self._asked(held, content))
            case other:
                assert_never(other)

    async def _under(self, held: Held, approval: Approval) -> Permitted | Denied:
        """The call under its grant, as policy sees it now. A write spends the grant with its intent, a read before it is sent."""
        decided = await self.decide(held.fresh, approval)
        if isinstance(decided, Held):
            return _required(decided, approval, "Policy wants more than the approval that was given.")
        if isinstance(decided, Permitted) and held.action.effect is Effect.READ and not await self.approvals.use(approval):
            return _required(held, approval)
        return decided

    async def _asked(self, held: Held, content: str) -> Approval:
        reads = held.action.effect is Effect.READ
        before = Before(taken=False) if reads else await self.snapshot(held)
        request = await self.vault.seal(held.known.run.tenant, sealed_payloads.proposal(held))
        return await self.approvals.request(Requested(_draft(held, before, content, request.ref), request))


def _draft(held: Held, before: Before, content: str, request_ref: str) -> Approval:
    run, why = held.known.run, held.hold.approval.get("why")
    return Approval(
        approval_id="",
        kind=ApprovalKind.CALL,
        status=ApprovalStatus.PENDING,
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        tenant=run.tenant,
        agent_id=run.agent_id,
        task_class=run.task_class,
        generation=held.known.lease.generation,
        tool=held.known.tool.name,
        action=held.action.name,
        target=held.action.target,
        content=content,
        summary=why if isinstance(why, str) and why else f"{held.action.name} has to be approved first.",
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
    said = f"{approval.decided_by} has said no to this call" + (f": {approval.reason}" if approval.reason else ".")
    refusal = errors.ApprovalDenied(said, approval_id=approval.approval_id, reasons=shown(held.hold.reasons))
    return Denied(fresh=held.fresh, considered=held.considered, refusal=refusal)
