"""From a journal entry to a CloudEvent (1.0, structured mode): a fixed small part of it, never an argument, a body or a secret. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.codec.record import INCIDENT, ORDER
from gateway.model.entries import Entry, OrderEntry, ResponseEntry, RollbackEntry, TriggerEntry
from gateway.model.entry import Kind
from gateway.model.trigger import Incident
from gateway.model.webhook import Topic

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
PREFIX = "dev.killcord."

KINDS: Mapping[Topic, tuple[Kind, ...]] = {
    Topic.ORDER: (Kind.ORDER,),
    Topic.TRIGGER: (Kind.TRIGGER,),
    Topic.INCIDENT: (Kind.RESPONSE, Kind.ROLLBACK),
}
"""The kinds of the entries that a topic's events are made of: an incident is reported by its responses, and by the state of its
rollback.
"""

_ORDER = ("order_id", "mode", "no_fanout", "scope", "by", "reason", "epoch", "expires_at")
_SELDOM = ("rollback_id", "closed_at")
"""Members of an incident's event that are absent if they have no value."""

Json = dict[str, object]


def event(entry: Entry) -> Json | None:
    """The event of an entry; ``None`` if it has none (a response, or a rollback, without an incident)."""
    match entry:
        case OrderEntry():
            name, data = f"order.{'released' if entry.change == 'released' else 'made'}", _order(entry)
        case TriggerEntry():
            name, data = "trigger.fired", _trigger(entry)
        case ResponseEntry() | RollbackEntry() if entry.incident is not None:
            name, data = f"incident.{'opened' if entry.change == 'opened' else 'updated'}", _incident(entry.incident)
        case _:
            return None
    made: Json = {
        "specversion": "1.0",
        "id": str(entry.position),
        "source": f"killcord/{entry.stream}",
        "type": f"{PREFIX}{name}",
        "time": entry.ts,
        "datacontenttype": "application/json",
        "data": data,
    }
    return made | {"subject": entry.run_id} if entry.run_id else made


def _order(entry: OrderEntry) -> Json:
    """``by``, ``reason`` and ``epoch`` are of this change: of a release, who released it and why."""
    change = {"by": entry.by, "reason": entry.reason, "epoch": entry.epoch}
    shown = ORDER.shown(entry.order) | {name: value for name, value in change.items() if value is not None}
    return {name: shown[name] for name in _ORDER}


def _trigger(entry: TriggerEntry) -> Json:
    data: Json = {name: getattr(entry.trigger, name) for name in ("name", "layer", "count", "threshold")}
    data |= {"evidence": list(entry.trigger.evidence), "run_id": entry.run_id, "tenant": entry.tenant}
    return data if entry.incident_id is None else data | {"incident_id": entry.incident_id}


def _incident(incident: Incident) -> Json:
    held = INCIDENT.shown(incident)
    return {name: value for name, value in held.items() if name != "recovery" and (value is not None or name not in _SELDOM)}
