"""What is asked beside the decision on a call: triggers, compensations and states, ordinary ones and with one thing after the other odd."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.clients.rego import entry_points
from gateway.core.policy import rules
from gateway.core.triggers import window
from tests.support.cases.calls import ODD

Question = tuple[str, str, dict[str, Any]]
"""A name, a rule, and the document it is asked on."""

TRIGGERS = (*window.NAMES, "recoverable.tool-error")
VIOLATION = {"code": "sum", "message": "The sum is off."}
STATES: list[object] = [
    *({"status": "open", "refund": "ref_1"}, {"status": "open"}, {"status": "open", "refund": None}, {"status": "open", "refund": False}),
    *({"status": "OPEN", "refund": 1}, {"refund": 1}, {}, None, [], "open", [{"status": "open", "refund": 1}]),
]


def questions() -> Iterator[Question]:
    yield from _triggers()
    yield from _tool_errors()
    for rule in entry_points.ASKED:
        yield from _odd(rule)
    for state in STATES:
        yield f"an invoice in state {state!r}", rules.INVARIANTS, changed(rules.INVARIANTS, "objects", [_invoice(state)])
    yield "two invoices in states", rules.INVARIANTS, changed(rules.INVARIANTS, "objects", [_invoice(state) for state in STATES])


def changed(rule: str, path: str, value: object) -> dict[str, Any]:
    """The sample of a rule with another value at a dotted path; ``...`` takes away what is there."""
    document = copy.deepcopy(entry_points.samples()[rule])
    inside: Any = document
    *way, last = path.split(".")
    for step in way:
        inside = inside.setdefault(step, {})
    if value is ...:
        inside.pop(last, None)
    else:
        inside[last] = value
    return document


def _triggers() -> Iterator[Question]:
    for name in TRIGGERS:
        for change in _CHANGES:
            document = changed(rules.RESPONSE, "trigger.name", name)
            document["trigger"] |= change
            yield f"{name} with {change}", rules.RESPONSE, document
        for violations in ([], [VIOLATION]):
            yield f"{name} and {violations}", rules.RESPONSE, changed(rules.RESPONSE, "trigger.name", name) | {"violations": violations}
        for task_class in ("batch", "coordinator"):
            document = changed(rules.RESPONSE, "trigger.name", name)
            document["run"]["task_class"] = task_class
            yield f"{name} of a {task_class}", rules.RESPONSE, document


_CHANGES: list[Mapping[str, object]] = [
    {},
    {"effect": "read"},
    {"effect": "write"},
    {"effect": "read", "count": 1, "threshold": 2},
    {"effect": "read", "count": 3, "threshold": 2},
    {"severity": "critical"},
    {"severity": "warning"},
    {"count": 1, "threshold": 3},
    {"count": 2**53, "threshold": 2**53},
]


def _tool_errors() -> Iterator[Question]:
    for effect in ("read", "write", None):
        for attempt in (1, 2, 0, "1", None):
            for fallback in (True, False, "true", None):
                facts = {"effect": effect, "attempt": attempt, "fallback": fallback, "status": 503}
                document = changed(rules.RESPONSE, "trigger.name", "recoverable.tool-error")
                document["trigger"]["facts"] = {name: value for name, value in facts.items() if value is not None}
                yield f"a tool's error with {facts}", rules.RESPONSE, document


def _odd(rule: str) -> Iterator[Question]:
    for path in _paths(rule):
        yield f"{rule} without {path}", rule, changed(rule, path, ...)
        # A message shows a number with a fraction or an exponent otherwise, which docs/policies.md says; counts are shown.
        for value in (each for each in ODD if path != "trigger.count" or not isinstance(each, float)):
            yield f"{rule}: {path} is {value!r}"[:90], rule, changed(rule, path, value)


def _paths(rule: str) -> Iterator[str]:
    properties: Any = rules.schemas()["killcord", rule.partition(".")[0]]["properties"]
    for name, part in properties.items():
        yield name
        for member, inner in part.get("properties", {}).items():
            yield f"{name}.{member}"
            yield from (f"{name}.{member}.{each}" for each in inner.get("properties", {}))


def _invoice(state: object) -> dict[str, object]:
    return {"system": "erp", "type": "invoice", "id": "inv_1", "tenant": "acme", "exists": True, "version": "7", "state": state}
