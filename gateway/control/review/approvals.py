"""Approvals of calls that policy holds, and of compensations: requests and decisions.

Every change is an ``approval`` entry with the whole new record::

    {"kind": "approval", "change": "requested" | "granted" | "denied" | "voided" | "used" | "returned",
     "approval_id", "approval": {...},
     "ts", "tenant", "workflow_id", "run_id", "generation", "agent_id", "task_class", "tool", "action", "target",
     "rollback_id"?, "node"?, "by"?, "reason"?}

Waiting components observe these entries on the publishing journal. A grant that an intent was made with has no entry of its own: the
intent names it (``approval_id``). An expiry has no entry either: it follows from ``expires_at``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway.core.authorization import approvals
from gateway.core.codec import entry as codec
from gateway.core.request import exact_json, idempotency
from gateway.model.entries import ApprovalEntry
from gateway.model.entry import Sealed
from gateway.model.review import Approval, ApprovalKind, ApprovalStatus
from gateway.model.rollback import Node, Rollback
from gateway.model.run import Run
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.projections import ApprovalRecords, Registry, required
from gateway.ports.vault import Vault

_CHANGES = {
    ApprovalStatus.PENDING: "requested",
    ApprovalStatus.GRANTED: "granted",
    ApprovalStatus.DENIED: "denied",
    ApprovalStatus.VOID: "voided",
    ApprovalStatus.USED: "used",
}


class WrongDecision(ValueError):
    """Nothing is left to be decided; the message says why."""


@dataclass(slots=True)
class Approvals:
    """``ttl`` (seconds) is how long a call's approval waits for an answer, and how long a granted one is valid.

    One change at a time: its preconditions still hold when its entry is durable.
    """

    journal: Journal
    records: ApprovalRecords
    registry: Registry
    vault: Vault
    clock: Clock
    ttl: float
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, approval_id: str) -> Approval | None:
        """An approval with its status now."""
        found = await self.records.approval(approval_id)
        return None if found is None else approvals.as_of(found, now=self.clock.now())

    async def of_call(self, run_id: str, generation: int, action: str, content: str) -> Approval | None:
        return approvals.in_effect(await self.records.newest_of(run_id, generation, action, content), now=self.clock.now())

    async def request(self, draft: Approval, request: Sealed) -> Approval:
        async with self._turn:
            newest = await self.records.newest_of(draft.run_id, draft.generation, draft.action, draft.content)
            now = self.clock.now()
            if (known := approvals.in_effect(newest, now=now)) is not None:
                return known
            number = 1 if newest is None else newest.number + 1
            asked = replace(
                draft,
                approval_id=approvals.id_of_call(draft.run_id, draft.generation, draft.action, draft.content, number),
                number=number,
                requested_at=now,
                expires_at=now + self.ttl,
            )
            await self._journal(asked, blobs=(request,))
            return asked

    async def compensation(self, rollback_id: str, node_id: str) -> Approval | None:
        """The approval of a node of a rollback, if it was requested."""
        return await self.records.approval(approvals.id_of_compensation(rollback_id, node_id))

    async def request_compensation(
        self, rollback: Rollback, node: Node, run: Run, summary: str, version: str | None, shown: bytes
    ) -> Approval:
        """Request the approval of a compensation, once: returns the approval of this node of this rollback, in any status.

        ``run`` is the node's, ``version`` what its object has to be at (``None`` if that is not known), ``shown`` the request as it
        would be sent, which is sealed with it. It waits for as long as the rollback does.
        A grant is not consumed: it is valid for every attempt at the node, and each attempt is guarded by the node's version.

        Raises:
            JournalUnavailable: the request is not durable.
        """
        approval_id = approvals.id_of_compensation(rollback.rollback_id, node.node_id)
        async with self._turn:
            if (known := await self.records.approval(approval_id)) is not None:
                return known
            request = await self.vault.seal(run.tenant, shown)
            asked = Approval(
                approval_id=approval_id,
                kind=ApprovalKind.COMPENSATION,
                status=ApprovalStatus.PENDING,
                **codec.ownership(run),
                tool=node.tool,
                action=node.by or node.action,
                target=node.target,
                content=idempotency.digest("compensation", rollback.rollback_id, node.node_id),
                summary=summary,
                existed=None if version is None else True,
                version=version,
                request_ref=request.ref,
                requested_at=self.clock.now(),
                rollback_id=rollback.rollback_id,
                node_id=node.node_id,
            )
            await self._journal(asked, blobs=(request,))
            return asked

    async def granted(self, approval_id: str) -> bool:
        """Whether a person has said yes, and that is still good."""
        found = await self.find(approval_id)
        return found is not None and found.status is ApprovalStatus.GRANTED

    async def decide(self, approval_id: str, *, grant: bool, reason: str, by: str) -> Approval:
        """A person's decision.

        Raises:
            KeyError: there is no such approval.
            WrongDecision: it was decided, has expired or is void, or the run that asked has moved on.
            JournalUnavailable: the decision is not durable.
        """
        async with self._turn:
            found = await required(self.find(approval_id), approval_id)
            if found.status is not ApprovalStatus.PENDING:
                raise WrongDecision(_decided(found))
            if found.kind is ApprovalKind.CALL:
                await self._still_asking(found)
            now = self.clock.now()
            lapses = now + self.ttl if grant and found.expires_at is not None else found.expires_at
            status = ApprovalStatus.GRANTED if grant else ApprovalStatus.DENIED
            decided = replace(found, status=status, decided_at=now, decided_by=by, reason=reason, expires_at=lapses)
            await self._journal(decided, by=by, reason=reason)
            return decided

    async def use(self, approval: Approval) -> bool:
        async with self._turn:
            found = await self.find(approval.approval_id)
            if found is None or found.status is not ApprovalStatus.GRANTED:
                return False
            await self._journal(replace(found, status=ApprovalStatus.USED, used_at=self.clock.now()))
            return True

    async def give_back(self, approval: Approval) -> None:
        async with self._turn:
            found = await self.find(approval.approval_id)
            if found is not None and found.status is ApprovalStatus.USED:
                await self._journal(replace(found, status=ApprovalStatus.GRANTED, used_at=None), change="returned")

    async def void(self, approval: Approval, why: str) -> None:
        async with self._turn:
            found = await self.find(approval.approval_id)
            if found is not None and found.status in (ApprovalStatus.PENDING, ApprovalStatus.GRANTED):
                await self._journal(replace(found, status=ApprovalStatus.VOID), reason=why)

    async def request_of(self, approval: Approval) -> Mapping[str, object] | None:
        """The request as it would be sent; ``None`` if its tenant was forgotten."""
        try:
            plain = await self.vault.open(approval.request_ref)
        except KeyError:
            return None
        shown = None if plain is None else exact_json.loads(plain)
        return shown if isinstance(shown, dict) else None

    async def _still_asking(self, approval: Approval) -> None:
        run = await self.registry.run(approval.run_id)
        if run is None or run.closed_at is not None:
            raise WrongDecision(f"Run {approval.run_id} has ended; the decision would have no effect.")
        if run.generation != approval.generation:
            raise WrongDecision(f"Run {run.run_id} has been resumed since; generation {approval.generation} made the request.")

    async def _journal(
        self,
        approval: Approval,
        *,
        change: str | None = None,
        blobs: tuple[Sealed, ...] = (),
        by: str | None = None,
        reason: str | None = None,
    ) -> None:
        entry = ApprovalEntry(
            **codec.owner(approval, self.clock.now()),
            approval_id=approval.approval_id,
            approval=approval,
            change=change or _CHANGES[approval.status],
            tool=approval.tool,
            action=approval.action,
            target=approval.target,
            rollback_id=approval.rollback_id,
            node=approval.node_id,
            by=by,
            reason=reason,
        )
        await self.journal.append(entry, blobs)


def _decided(approval: Approval) -> str:
    match approval.status:
        case ApprovalStatus.EXPIRED:
            return f"Approval {approval.approval_id} has expired; the next such call makes a new request."
        case ApprovalStatus.VOID:
            return f"Approval {approval.approval_id} is void: its target has changed; the next such call makes a new request."
        case ApprovalStatus.USED:
            return f"Approval {approval.approval_id} was granted by {approval.decided_by}, and used."
        case _:
            return f"Approval {approval.approval_id} was {approval.status.value} by {approval.decided_by}."
