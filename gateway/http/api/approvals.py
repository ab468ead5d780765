"""Approvals: list, show, decide."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Literal

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

    ``request`` is the request as it would be sent. It is null where ``request_state`` says that it is withheld from the token's role, that
    its tenant was forgotten, or that there is none.
    """

    target: Target
    args_digest: str
    reasons: list[Asked]
    request: dict[str, Any] | None
    request_state: Literal["shown", "withheld", "forgotten", "none"]


class ApprovalPage(Page):
    """Approvals, ascending by id."""

    items: list[Approval]


@ROUTES.get("/v1/approvals", Permission.READ_APPROVALS, {200: ApprovalPage})
async def list_approvals(request: Request, query: ListApprovals) -> Json:
    """List approvals; with the request as it would be sent, for operators, approvers and admins."""
    services, now = request.services, request.services.clock.now()
    if query.run is not None:
        await request.run(query.run)

    async def fetch(*, after: str | None, limit: int) -> Sequence[model.Approval]:
        rows = await services.approvals.records.approvals(run=query.run, after=after, limit=limit)
        return [approvals.as_of(one, now=now) for one in rows]

    async def keep(approval: model.Approval) -> bool:
        return query.status in (None, approval.status) and await request.sees(approval)

    page = await paging.collect(fetch, attrgetter("approval_id"), query, keep, sees=request.sees)
    return page.json([await _show(request, one) for one in page.rows])


@ROUTES.get("/v1/approvals/{approval_id}", Permission.READ_APPROVALS, {200: Approval})
async def show_approval(request: Request, approval_id: str) -> Json:
    """One approval; with the request as it would be sent, for operators, approvers and admins."""
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
    """An approval. Who decides it and who contains its run see the same of it; for other roles it says that the request is withheld."""
    shown = approval_shown(approval)
    if not request.operator.may(Permission.SEE_REQUESTS):
        return shown | {"request": None, "request_state": "withheld"}
    if approval.request_ref is None:
        return shown | {"request": None, "request_state": "none"}
    found = await request.services.approvals.request_of(approval)
    return shown | {"request": found, "request_state": "forgotten" if found is None else "shown"}
