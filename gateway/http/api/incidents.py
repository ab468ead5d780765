"""Incidents: list them, show one with its timeline, recover one."""

from __future__ import annotations

from operator import attrgetter
from typing import Literal

from gateway.core.authorization import admission
from gateway.core.incident import timeline
from gateway.core.incident.recovery import Recovery
from gateway.http.api import checkpoints
from gateway.http.server import paging
from gateway.http.server.fields import Id, Paged
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request, found
from gateway.http.server.routing import Json, Routes
from gateway.model import incident as model

ROUTES = Routes()


class ListIncidents(Paged):
    run: Id | None = None
    state: Literal["open", "closed"] | None = None


@ROUTES.add("GET", "/v1/incidents", Permission.READ_INCIDENTS, {200: "incidents, ascending by id, closed ones too"})
async def list_incidents(request: Request, query: ListIncidents) -> Json:
    """List incidents."""

    async def keep(incident: model.Incident) -> bool:
        state = "open" if incident.closed_at is None else "closed"
        return query.state in (None, state) and request.sees(incident)

    page = await paging.collect(
        lambda after, limit: request.services.incidents.incidents(run=query.run, after=after, limit=limit),
        attrgetter("incident_id"),
        keep,
        after=query.after,
        limit=query.limit,
    )
    return page.json([timeline.summary(incident) for incident in page.rows])


@ROUTES.add(
    "GET",
    "/v1/incidents/{incident_id}",
    Permission.READ_INCIDENTS,
    {200: "the incident, with `timeline`, `stopped`, `orders`, `affected`, `effects`, `open`, `omitted` and `hashes`"},
)
async def show_incident(request: Request, incident_id: str) -> Json:
    """One incident: what was seen, what was done about it, what it touched, what is still open."""
    incident = await _find(request, incident_id)
    told = await request.services.stories.tell(incident, request.sees_scope)
    return told | {"recovery": _recovery(incident, await request.services.recover.told(incident))}


@ROUTES.add(
    "POST",
    "/v1/incidents/{incident_id}/recover",
    Permission.RESUME,
    {202: "the incident, with its `recovery`", 400: "`too-wide` with `excess`, or `bad-request`"},
)
async def recover_incident(request: Request, incident_id: str, body: checkpoints.ResumeRun) -> Json:
    """Contain the run, roll it back, verify, and resume it with tighter rights. It waits where a person has to decide."""
    await _find(request, incident_id)
    try:
        incident, now = await request.services.recover(incident_id, body.request(), by=request.operator.name, reason=body.reason)
    except admission.TooWide as wide:
        raise checkpoints.too_wide(wide) from wide
    return timeline.summary(incident) | {"recovery": _recovery(incident, now)}


def _recovery(incident: model.Incident, now: Recovery) -> Json:
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


async def _find(request: Request, incident_id: str) -> model.Incident:
    incident = await request.services.incidents.incident(incident_id)
    return found(incident if incident is not None and request.sees(incident) else None, f"incident {incident_id}")
