"""An approval that a call has asked for, without a line in front of it."""

from __future__ import annotations

import orjson
from msgspec.structs import replace

from gateway.model.call import Target
from gateway.model.decision import Reason
from gateway.model.review import Approval, ApprovalKind, ApprovalStatus
from tests.support import journaling
from tests.support.control_api import Parts
from tests.support.journaling import typed

DRAFT = Approval(
    approval_id="",
    kind=ApprovalKind.CALL,
    status=ApprovalStatus.PENDING,
    run_id="run_1",
    workflow_id="wf_1",
    tenant="acme",
    agent_id="billing",
    task_class="default",
    generation=1,
    tool="erp",
    action="refund.delete",
    target=Target("erp", "refund", "r1", "acme", "erp"),
    content=journaling.digest("content"),
    summary="It cannot be undone.",
    existed=True,
    version='"v7"',
    reasons=(Reason("irreversible", "No way back."),),
    requested_at=0.0,
)
REQUEST = {"method": "DELETE", "path": "/refunds/r1", "headers": {}, "withheld": [], "body": {"why": "very-private"}}


async def ask(parts: Parts, **changes: object) -> Approval:
    """An approval that a call has asked for."""
    await parts.store.journal.append(typed(journaling.run_entry()))
    draft: Approval = replace(DRAFT, **changes)
    approvals = parts.services.approvals
    sealed = await approvals.vault.seal(draft.tenant, orjson.dumps(REQUEST))
    return await approvals.request(replace(draft, request_ref=sealed.ref), sealed)
