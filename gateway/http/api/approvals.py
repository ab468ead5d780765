"""Approvals: list, show, decide."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from gateway.control.review.approvals import WrongDecision
from gateway.core.authorization import approvals
from gateway.core.codec.record import APPROVAL, approval_shown
from gateway.http.server import paging, problem
from gateway.http.server.fields import Body, Page, PagedByRun, Reason, Target, shows
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request
from gateway.http.server.routing import Json, Routes
from gateway.model import review as model

ROUTES = Routes()


class ListApprovals(PagedByRun):
    status: model.ApprovalStatus | None = None


class DecideApproval(Body):
    """A person's decision."""

    decision: Literal["approve", "deny"]
    reason: Reason


class Asked(TypedDict):
    """Why policy asks."""

    code: str
    message: str


@shows(APPROVAL)
class Approval(TypedDict):
    """An approval of a call, or of a compensation that waits in a rollback.

    ``request``, as it would be sent, is there for roles that may decide; null once its tenant is forgotten.
    """

    target: Target
    args_digest: str
    reasons: list[Asked]
    request: NotRequired[dict[str, Any] | None]


class ApprovalPage(Page):
    """Approvals, ascending by id."""

    items: list[Approval]


@ROUTES.get("/v1/approvals", Permission.READ_APPROVALS, {200: ApprovalPage})
async def list_approvals(request: Request, query: ListApprovals) -> Json:
    """List approvals; with the request as it would be sent, for roles that may decide."""
    services, now = request.services, request.services.clock.now()
    if query.run is not None:
        await request.run(query.run)

    async def fetch(*, after: str | None, limit: int) -> Sequence[model.Approval]:
        rows = await services.approvals.records.approvals(run=query.run, after=after, limit=limit)
        return [approvals.as_of(one, now=now) for one in rows]

    async def keep(approval: model.Approval) -> bool:
        return query.status in (None, approval.status) and await request.sees(approval)

    page = await paging.collect(fetch, attrgetter("approval_id"), query, keep)
    return page.json([await _show(request, one) for one in page.rows])


@ROUTES.get("/v1/approvals/{approval_id}", Permission.READ_APPROVALS, {200: Approval})
async def show_approval(request: Request, approval_id: str) -> Json:
    """One approval; with the request as it would be sent, for roles that may decide."""
    return await _show(request, await _find(request, approval_id))


@ROUTES.post(
    "/v1/approvals/{approval_id}",
    Permission.DECIDE_APPROVALS,
    {200: Approval, 409: "it is already decided, expired, used or void"},
    {WrongDecision: problem.Conflict},
)
async def decide_approval(request: Request, approval_id: str, body: DecideApproval) -> Json:
    """Approve or deny."""
    await _find(request, approval_id)
    decided = await request.services.approvals.decide(
        approval_id, grant=body.decision == "approve", reason=body.reason, by=request.operator.name
    )
    return await _show(request, decided)


async def _find(request: Request, approval_id: str) -> model.Approval:
    return await request.find(request.services.approvals.find(approval_id), f"approval {approval_id}")


async def _show(request: Request, approval: model.Approval) -> Json:
    """An approval; roles that may decide also see the request."""
    shown = approval_shown(approval)
    if request.operator.may(Permission.DECIDE_APPROVALS):
        shown["request"] = await request.services.approvals.request_of(approval)
    return shown
