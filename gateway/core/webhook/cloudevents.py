"""From a journal entry to a CloudEvent (1.0, structured mode): a fixed small part of it, never an argument, a body or a secret. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core import timestamps
from gateway.core.codec.record import INCIDENT, scope_json
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

_SELDOM = ("rollback_id", "closed_at")
"""Members of an incident's event that are absent if they have no value."""

Json = dict[str, object]


def event(topic: Topic, entry: Entry) -> Json | None:
    """The event of an entry; ``None`` if it has none for the topic (a response, or a rollback, without an incident)."""
    match topic, entry:
        case Topic.ORDER, OrderEntry():
            name, data = f"order.{'released' if entry.change == 'released' else 'made'}", _order(entry)
        case Topic.TRIGGER, TriggerEntry():
            name, data = "trigger.fired", _trigger(entry)
        case Topic.INCIDENT, (ResponseEntry() | RollbackEntry()) if entry.incident is not None:
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
    """``by`` and ``reason`` are of this change: of a release, who released it and why."""
    order = entry.order
    return {
        "order_id": order.order_id,
        "mode": order.mode.word,
        "no_fanout": order.no_fanout,
        "scope": scope_json(order.scope),
        "by": order.by if entry.by is None else entry.by,
        "reason": order.reason if entry.reason is None else entry.reason,
        "epoch": order.epoch if entry.epoch is None else entry.epoch,
        "expires_at": None if order.expires_at is None else timestamps.rfc3339(order.expires_at),
    }


def _trigger(entry: TriggerEntry) -> Json:
    trigger = entry.trigger
    data: Json = {
        "name": trigger.name,
        "layer": trigger.layer,
        "count": trigger.count,
        "threshold": trigger.threshold,
        "evidence": list(trigger.evidence),
        "run_id": entry.run_id,
        "tenant": entry.tenant,
    }
    return data if entry.incident_id is None else data | {"incident_id": entry.incident_id}


def _incident(incident: Incident) -> Json:
    held = INCIDENT.shown(incident)
    return {name: value for name, value in held.items() if name != "recovery" and (value is not None or name not in _SELDOM)}
