"""Incidents: list them, show one with its timeline, recover one."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from gateway.core.authorization import admission
from gateway.core.codec.record import INCIDENT
from gateway.core.incident import recovery, timeline
from gateway.http.api import checkpoints
from gateway.http.api.effects import Undoable
from gateway.http.api.orders import Order
from gateway.http.server import paging
from gateway.http.server.fields import OPEN, Page, PagedByRun, Target, Timestamp, shows
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request
from gateway.http.server.routing import Json, Routes
from gateway.model import trigger as model
from gateway.model.entry import Kind

ROUTES = Routes()


class ListIncidents(PagedByRun):
    state: Literal["open", "closed"] | None = None


class RecoveryRequest(TypedDict):
    """Who asked for a recovery, why, and with which rights. ``asked_at`` is in microseconds since 1970."""

    by: str
    reason: str
    request: dict[str, Any]
    asked_at: int


class Waiting(TypedDict):
    """One thing that is waited for, and how to continue."""

    what: str
    id: str | None
    how: str


class Recovery(TypedDict):
    """How far a recovery is. ``checkpoint`` is where the run would be resumed; ``flow`` has ``done``, ``now``, ``waits`` or ``ahead``."""

    asked: RecoveryRequest | None
    stage: recovery.Stage
    why: str
    checkpoint: str | None
    caution: str | None
    flow: dict[str, str]
    waits_for: list[Waiting]


@shows(INCIDENT)
class Incident(TypedDict):
    """One cause in one generation of a run: what was detected, and what was done about it."""

    state: Literal["open", "closed"]
    recovery: RecoveryRequest | None


class IncidentPage(Page):
    """Incidents, ascending by id, closed ones too."""

    items: list[Incident]


@shows(INCIDENT)
class IncidentRecovery(TypedDict):
    """The incident, and how far its recovery is."""

    state: Literal["open", "closed"]
    recovery: Recovery


class TimelineRow(TypedDict):
    """One entry of the timeline; ``evidence`` are the entries that a trigger was seen in."""

    entry: str
    ts: Timestamp
    kind: Kind
    what: str
    by: NotRequired[str]
    is_evidence: NotRequired[bool]
    evidence: NotRequired[list[str]]


class Stopped(TypedDict):
    """How long it took from the first trigger to the first order."""

    trigger: str
    order: str
    order_id: str
    after_ms: float


class AffectedObject(Undoable):
    """An object that the run changed or may have; ``effects`` counts the run's on it."""

    object: Target
    entry: str
    effects: int


@OPEN
class OpenPoint(TypedDict):
    """What is still open; other members name the thing."""

    what: str
    text: str


@shows(INCIDENT)
class IncidentDetail(TypedDict):
    """The incident, its timeline and all that belongs to it. ``hashes`` are those of the entries that it names."""

    state: Literal["open", "closed"]
    orders: list[Order]
    recovery: Recovery
    timeline: list[TimelineRow]
    stopped: Stopped | None
    affected: list[AffectedObject]
    effects: dict[str, int]
    open: list[OpenPoint]
    omitted: dict[str, int]
    hashes: dict[str, str]


@ROUTES.get("/v1/incidents", Permission.READ_INCIDENTS, {200: IncidentPage})
async def list_incidents(request: Request, query: ListIncidents) -> Json:
    """List incidents."""

    async def keep(incident: model.Incident) -> bool:
        state = "open" if incident.closed_at is None else "closed"
        return query.state in (None, state) and await request.sees(incident)

    fetch = partial(request.services.incidents.incidents, run=query.run)
    page = await paging.collect(fetch, attrgetter("incident_id"), query, keep, sees=request.sees)
    return page.json([timeline.summary(incident) for incident in page.rows])


@ROUTES.get("/v1/incidents/{incident_id}", Permission.READ_INCIDENTS, {200: IncidentDetail})
async def show_incident(request: Request, incident_id: str) -> Json:
    """One incident: what was seen, what was done about it, what it touched, what is still open."""
    incident = await _find(request, incident_id)
    view = await request.services.timelines.view(incident, request.sees)
    return view | {"recovery": _recovery(incident, await request.services.recover.view(incident))}


@ROUTES.post(
    "/v1/incidents/{incident_id}/recover",
    Permission.RESUME,
    {202: IncidentRecovery, 400: "`too-wide` with `excess`, or `bad-request`"},
    {admission.TooWide: checkpoints.too_wide},
)
async def recover_incident(request: Request, incident_id: str, body: checkpoints.ResumeRun) -> Json:
    """Contain the run, roll it back, verify, and resume it with tighter rights. It waits if a person has to decide."""
    await _find(request, incident_id)
    incident, now = await request.services.recover(incident_id, body.request(), by=request.operator.name, reason=body.reason)
    return timeline.summary(incident) | {"recovery": _recovery(incident, now)}


def _recovery(incident: model.Incident, now: recovery.Recovery) -> Json:
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
    return await request.find(request.services.incidents.incident(incident_id), f"incident {incident_id}")
