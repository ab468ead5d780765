"""Incidents: list, and one told as a story."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from gateway.core import story
from gateway.http import answers, paging, problem, reach
from gateway.http.fields import Nothing
from gateway.http.requests import ListIncidents
from gateway.http.route import Asked
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
    return answers.listed(answers.Page([story.summary(incident) for incident in page.items], page.next))


async def one_incident(asked: Asked[Nothing, Nothing]) -> web.Response:
    """One incident with its whole story, as it is now."""
    services, incident_id = asked.services, asked.part("incident_id")
    incident = await services.incidents.incident(incident_id)
    if incident is None or not asked.operator.may_touch(incident.tenant, incident.task_class):
        raise problem.NotFound(f"There is no incident {incident_id}.")

    async def sees(scope: Scope) -> bool:
        return await reach.confined(services.registry, asked.operator, scope)

    return answers.json(await services.stories.tell(incident, sees))
