"""Approvals: list, show, decide."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from gateway.control.review.approvals import WrongDecision
from gateway.core.authorization import approvals
from gateway.core.codec import records
from gateway.http.server import answers, paging, problem, reach
from gateway.http.server.fields import Nothing
from gateway.http.server.operators import Operator, Permission
from gateway.http.server.requests import DecideApproval, ListApprovals
from gateway.http.server.route import Asked
from gateway.http.server.services import Services
from gateway.model.approval import Approval


async def list_approvals(asked: Asked[ListApprovals, Nothing]) -> web.Response:
    """Approvals with their status now, ascending by id, decided ones too."""
    services, query, now = asked.services, asked.query, asked.services.clock.now()
    if query.run is not None:
        await reach.run(services.registry, asked.operator, query.run)

    async def fetch(after: str | None, limit: int) -> Sequence[Approval]:
        found = await services.approvals.records.approvals(run=query.run, after=after, limit=limit)
        return [approvals.as_of(one, now=now) for one in found]

    async def keep(approval: Approval) -> bool:
        return query.status in (None, approval.status) and asked.operator.may_touch(approval.tenant, approval.task_class)

    page = await paging.collect(fetch, lambda approval: approval.approval_id, keep, after=query.after, limit=query.limit)
    return answers.listed(answers.Page([await _shown(services, asked.operator, one) for one in page.items], page.next))


async def one_approval(asked: Asked[Nothing, Nothing]) -> web.Response:
    """One approval, with its status now."""
    found = await _reached(asked.services, asked.operator, asked.part("approval_id"))
    return answers.json(await _shown(asked.services, asked.operator, found))


async def decide(asked: Asked[Nothing, DecideApproval]) -> web.Response:
    """Approve or deny what is pending."""
    services, body = asked.services, asked.body
    found = await _reached(services, asked.operator, asked.part("approval_id"))
    try:
        decided = await services.approvals.decide(
            found.approval_id, grant=body.decision == "approve", reason=body.reason, by=asked.operator.name
        )
    except WrongDecision as wrong:
        raise problem.Conflict(str(wrong)) from wrong
    return answers.json(await _shown(services, asked.operator, decided))


async def _reached(services: Services, operator: Operator, approval_id: str) -> Approval:
    found = await services.approvals.find(approval_id)
    if found is None or not operator.may_touch(found.tenant, found.task_class):
        raise problem.NotFound(f"There is no approval {approval_id}.")
    return found


async def _shown(services: Services, operator: Operator, approval: Approval) -> dict[str, object]:
    """An approval; whoever may decide on it sees the request that it is about."""
    shown = records.approval_shown(approval)
    if operator.may(Permission.DECIDE_APPROVALS):
        shown["request"] = await services.approvals.request_of(approval)
    return shown
