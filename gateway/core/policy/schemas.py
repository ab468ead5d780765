"""JSON Schemas of the documents of ``rules``, kept in ``policies/schemas/<package>/input.json``: closed wherever the shape is ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from gateway.core.policy import decision
from gateway.model.action import Remedy, Reversibility
from gateway.model.effect import State
from gateway.model.response import Measure
from gateway.model.run import Mode
from gateway.model.trigger import LAYERS

Schema = dict[str, object]


def by_package() -> Mapping[tuple[str, ...], Schema]:
    """The schema of ``input`` for the rules of each package, of its subpackages too."""
    return {
        ("killcord", "authz"): decision.schema(),
        ("killcord", "response"): response(),
        ("killcord", "recovery"): recovery(),
        ("killcord", "invariants"): invariants(),
    }


def response() -> Schema:
    """The schema of ``rules.response_document``."""
    return _schema(
        "response.response",
        {"trigger": _trigger(), "run": _run(), "counters": _COUNTERS, "history": _list(_earlier(), "earlier triggers of this generation")},
        {"violations": _list(_violation(), "what the run's state violates, where that was asked: of uncertain.partial-failure")},
    )


def recovery() -> Schema:
    """The schema of ``rules.recovery_document``."""
    return _schema("recovery.decision", {"node": _node(), "run": _run(), "now": _TIME}, {"incident": _incident()})


def invariants() -> Schema:
    """The schema of ``rules.invariants_document``."""
    plan = _shape({"nodes": _list(_node(), "what was, or is to be, undone")})
    return _schema("invariants.violations", {"run": _run(), "objects": _list(_object(), "as the tools show them now"), "plan": plan})


def _trigger() -> Schema:
    required = {
        "name": _TEXT,
        "layer": _word(LAYERS.values()),
        "at": _TIME,
        "count": _INTEGER,
        "threshold": _INTEGER,
        "facts": {"type": "object", "additionalProperties": {}, "description": "what goes with the trigger's name"},
        "evidence": _list(_TEXT, "journal entries, stream/seq"),
    }
    optional = {"effect": _word(("read", "write")), "severity": _TEXT, "tool": _TEXT, "action": _TEXT}
    return _shape(required, optional)


def _earlier() -> Schema:
    return _shape({"name": _TEXT, "at": _TIME, "action": _word(Measure)})


def _violation() -> Schema:
    return _shape({"code": _TEXT, "message": _TEXT})


def _run() -> Schema:
    required = {
        "run_id": _TEXT,
        "workflow_id": _TEXT,
        "tenant": _TEXT,
        "agent_id": _TEXT,
        "task_class": _TEXT,
        "mode": _word(mode.word for mode in Mode),
        "generation": _INTEGER,
        "opened_at": _TIME,
    }
    return _shape(required, {"parent_run": _TEXT})


def _node() -> Schema:
    """One compensation: of the effect on one object, of one write or of several that follow each other."""
    required = {
        "entry": {"type": "string", "description": "the newest write's intent, stream/seq"},
        "tool": _TEXT,
        "action": _TEXT,
        "target": _shape({"system": _TEXT, "type": _TEXT, "id": _TEXT}, {"tenant": _TEXT}),
        "class": _word(Reversibility),
        "remedy": _word(Remedy),
        "auto": {"type": "boolean", "description": "approved before production"},
        "state": _word(State),
        "at": _TIME,
        "writes": {"type": "integer", "description": "how many it takes back"},
    }
    return _shape(required, {"by": {"type": "string", "description": "the compensating action"}, "allowed_until": _TIME})


def _incident() -> Schema:
    return _shape({"incident_id": _TEXT, "cause": {"type": "string", "description": "a trigger's name"}, "opened_at": _TIME})


def _object() -> Schema:
    required = {"system": _TEXT, "type": _TEXT, "id": _TEXT, "exists": {"type": "boolean"}}
    return _shape(required, {"tenant": _TEXT, "version": _TEXT, "state": {"description": "what the adapter keeps of it, as JSON"}})


_TEXT: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_TIME: Schema = {"type": "integer", "description": "Unix time in nanoseconds"}
_COUNTERS: Schema = {
    "type": "object",
    "additionalProperties": _INTEGER,
    "description": "what the run has used so far: steps, writes, records, tenants, systems, amount:<name> in millionths",
}


def _schema(rule: str, required: Mapping[str, object], optional: Mapping[str, object] | None = None) -> Schema:
    named = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"Input of data.killcord.{rule}"}
    return {**named, **_shape(required, optional)}


def _shape(required: Mapping[str, object], optional: Mapping[str, object] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _word(words: Iterable[str | StrEnum]) -> Schema:
    return {"type": "string", "enum": [str(word) for word in words]}
