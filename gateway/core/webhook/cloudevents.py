"""From a journal entry to a CloudEvent (1.0, structured mode): a fixed small part of it, never an argument, a body or a secret. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from gateway.core import timestamps
from gateway.model.entry import Kind
from gateway.model.webhook import Topic

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
PREFIX = "dev.killcord."

KINDS: Mapping[Topic, tuple[Kind, ...]] = {
    Topic.ORDER: (Kind.ORDER,),
    Topic.TRIGGER: (Kind.TRIGGER,),
    Topic.INCIDENT: (Kind.RESPONSE, Kind.ROLLBACK),
}
"""The kinds of the entries that a topic's events are made of: an incident is told by its responses, and by what its rollback became."""

_ORDER = ("order_id", "mode", "no_fanout")
_TRIGGER = ("name", "layer", "count", "threshold", "evidence")
_INCIDENT = (
    "incident_id",
    "run_id",
    "workflow_id",
    "tenant",
    "agent_id",
    "task_class",
    "generation",
    "cause",
    "triggers",
    "evidence",
    "action",
    "verdict",
    "why",
    "orders",
    "rollback",
    "rollback_id",
)
_INCIDENT_TIMES = ("opened_at", "updated_at", "closed_at")

Json = dict[str, object]


def event(topic: Topic, entry: Mapping[str, object]) -> Json | None:
    """The event of an entry; ``None`` where it tells nothing of the topic (a response, or a rollback, without an incident)."""
    record = entry.get(topic.value)
    if not isinstance(record, Mapping):
        return None
    told, data = _told(topic, entry, record)
    made: Json = {
        "specversion": "1.0",
        "id": f"{entry['stream']}/{entry['seq']}",
        "source": f"killcord/{entry['stream']}",
        "type": f"{PREFIX}{told}",
        "time": entry["ts"],
        "datacontenttype": "application/json",
        "data": data,
    }
    run_id = entry.get("run_id") or record.get("run_id")
    return made | {"subject": run_id} if run_id else made


def _told(topic: Topic, entry: Mapping[str, object], record: Mapping[str, object]) -> tuple[str, Json]:
    """The end of the event's type, and its data."""
    match topic:
        case Topic.ORDER:
            return f"order.{'released' if entry.get('change') == 'released' else 'made'}", _order(entry, record)
        case Topic.TRIGGER:
            return "trigger.fired", _named(record, _TRIGGER) | _named({**record, **entry}, ("incident_id", "run_id", "tenant"))
        case Topic.INCIDENT:
            return f"incident.{'opened' if entry.get('change') == 'opened' else 'updated'}", _named(record, _INCIDENT) | _times(
                record, _INCIDENT_TIMES
            )
        case _:
            assert_never(topic)


def _order(entry: Mapping[str, object], order: Mapping[str, object]) -> Json:
    """``by`` and ``reason`` are of this change: of a release, who released it and why."""
    changed = _named({**order, **_named(entry, ("by", "reason", "epoch"))}, ("by", "reason", "epoch"))
    return _named(order, _ORDER) | {"scope": _scope(order.get("scope"))} | changed | _times(order, ("expires_at",))


def _scope(scope: object) -> object:
    """As users write it."""
    return {"all": True} if isinstance(scope, Mapping) and scope.get("everything") else scope


def _named(record: Mapping[str, object], names: tuple[str, ...]) -> Json:
    return {name: record[name] for name in names if name in record}


def _times(record: Mapping[str, object], names: tuple[str, ...]) -> Json:
    """Microseconds of Unix time as texts; ``None`` stays."""
    return {
        name: timestamps.rfc3339(value / 1_000_000) if isinstance(value, int) else value for name, value in _named(record, names).items()
    }
