"""Approvals: list, show, decide."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Literal

from gateway.control.review.approvals import WrongDecision
from gateway.core.authorization import approvals
from gateway.core.codec.review import approval_shown
from gateway.http.server import paging, problem
from gateway.http.server.fields import Body, Id, Paged, Reason
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request, found
from gateway.http.server.routing import Json, Routes
from gateway.model import approval as model

ROUTES = Routes()


class ListApprovals(Paged):
    run: Id | None = None
    status: model.ApprovalStatus | None = None


class DecideApproval(Body):
    """A person's yes or no."""

    decision: Literal["approve", "deny"]
    reason: Reason


@ROUTES.add("GET", "/v1/approvals", Permission.READ_APPROVALS, {200: "approvals, ascending by id"})
async def list_approvals(request: Request, query: ListApprovals) -> Json:
    """List approvals; with the request as it would be sent, for those who may decide."""
    services, now = request.services, request.services.clock.now()
    if query.run is not None:
        await request.run(query.run)

    async def fetch(after: str | None, limit: int) -> Sequence[model.Approval]:
        rows = await services.approvals.records.approvals(run=query.run, after=after, limit=limit)
        return [approvals.as_of(one, now=now) for one in rows]

    async def keep(approval: model.Approval) -> bool:
        return query.status in (None, approval.status) and request.sees(approval)

    page = await paging.collect(fetch, attrgetter("approval_id"), keep, after=query.after, limit=query.limit)
    return page.json([await _shown(request, one) for one in page.rows])


@ROUTES.add("GET", "/v1/approvals/{approval_id}", Permission.READ_APPROVALS, {200: "the approval"})
async def show_approval(request: Request, approval_id: str) -> Json:
    """One approval; with the request as it would be sent, for those who may decide."""
    return await _shown(request, await _find(request, approval_id))


@ROUTES.add(
    "POST",
    "/v1/approvals/{approval_id}",
    Permission.DECIDE_APPROVALS,
    {200: "the approval", 409: "it was decided before, has expired, was used or is void"},
)
async def decide_approval(request: Request, approval_id: str, body: DecideApproval) -> Json:
    """Approve or deny."""
    await _find(request, approval_id)
    try:
        decided = await request.services.approvals.decide(
            approval_id, grant=body.decision == "approve", reason=body.reason, by=request.operator.name
        )
    except WrongDecision as wrong:
        raise problem.Conflict(str(wrong)) from wrong
    return await _shown(request, decided)


async def _find(request: Request, approval_id: str) -> model.Approval:
    approval = await request.services.approvals.find(approval_id)
    return found(approval if approval is not None and request.sees(approval) else None, f"approval {approval_id}")


async def _shown(request: Request, approval: model.Approval) -> Json:
    """An approval; whoever may decide on it sees the request that it is about."""
    shown = approval_shown(approval)
    if request.operator.may(Permission.DECIDE_APPROVALS):
        shown["request"] = await request.services.approvals.request_of(approval)
    return shown
