"""Incidents: list, and one told as a story."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.core.authorization import admission
from gateway.core.incident import timeline
from gateway.core.incident.recovery import Recovery
from gateway.http.api import resume
from gateway.http.server import answers, paging, problem, reach
from gateway.http.server.fields import Nothing
from gateway.http.server.requests import ListIncidents, ResumeRun
from gateway.http.server.route import Asked
from gateway.model.incident import Incident
from gateway.model.order import Scope


async def list_incidents(asked: Asked[ListIncidents, Nothing]) -> web.Response:
    """Incidents, ascending by id, closed ones too."""
    services, query = asked.services, asked.query

    async def fetch(after: str | None, limit: int) -> Sequence[Incident]:
        return await services.incidents.incidents(run=query.run, after=after, limit=limit)

    async def keep(incident: Incident) -> bool:
        state = "open" if incident.closed_at is None else "closed"
        return query.state in (None, state) and asked.operator.may_touch(incident.tenant, incident.task_class)

    page = await paging.collect(fetch, lambda incident: incident.incident_id, keep, after=query.after, limit=query.limit)
    return answers.listed(answers.Page([timeline.summary(incident) for incident in page.items], page.next))


async def one_incident(asked: Asked[Nothing, Nothing]) -> web.Response:
    """One incident with its whole story, as it is now."""
    services, incident = asked.services, await _found(asked)

    async def sees(scope: Scope) -> bool:
        return await reach.confined(services.registry, asked.operator, scope)

    told = await services.stories.tell(incident, sees)
    return answers.json(told | {"recovery": _shown(incident, await services.recover.told(incident))})


async def recover(asked: Asked[Nothing, ResumeRun]) -> web.Response:
    """Drive an incident to its end: 202 with where it stands. It stops where a person has to decide, and goes on by itself after that."""
    services, body, incident = asked.services, asked.body, await _found(asked)
    try:
        begun, now = await services.recover(incident.incident_id, resume.request(body), by=asked.operator.name, reason=body.reason)
    except admission.TooWide as wide:
        raise resume.too_wide(wide) from wide
    return answers.json(timeline.summary(begun) | {"recovery": _shown(begun, now)}, 202)


def _shown(incident: Incident, now: Recovery) -> dict[str, object]:
    """What was asked for, if anything was, how far it is, and what it waits for."""
    return {
        "asked": incident.recovery,
        "stage": now.stage.value,
        "why": now.why,
        "checkpoint": now.checkpoint,
        "caution": now.caution,
        "flow": {step.value: state for step, state in now.flow.items()},
        "waits_for": [{"what": one.what, "id": one.name, "how": one.how} for one in now.waits],
    }


async def _found(asked: Asked[Nothing, Any]) -> Incident:
    incident_id = asked.part("incident_id")
    incident = await asked.services.incidents.incident(incident_id)
    if incident is None or not asked.operator.may_touch(incident.tenant, incident.task_class):
        raise problem.NotFound(f"There is no incident {incident_id}.")
    return incident
