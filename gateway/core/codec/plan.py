"""A plan as JSON, and back without a difference: what is kept with a rollback, and read again by whoever goes on with it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import NODEFAULT
from msgspec.structs import fields

from gateway.core.codec import documents
from gateway.model.action import Remedy
from gateway.model.plan import Does, Node, Plan, Way

Json = dict[str, object]

_DEFAULTS = {field.name: field.default for field in fields(Node) if field.default is not NODEFAULT}
_READ: dict[str, Callable[[Any], Any]] = {
    "effects": tuple,
    "after": tuple,
    "target": documents.target,
    "way": Way,
    "remedy": Remedy,
    "does": lambda word: None if word is None else Does(word),
}


def written(plan: Plan) -> Json:
    """The plan; what a node has as by default is left out."""
    return {
        "nodes": [of_node(one) for one in plan.nodes],
        "joins": {name: list(members) for name, members in plan.joins.items()},
        "irreversible": plan.irreversible,
    }


def of_node(node: Node) -> Json:
    """One node, by the names of its fields."""
    shown: Json = {}
    for name in Node.__struct_fields__:
        value = getattr(node, name)
        if name not in _DEFAULTS or value != _DEFAULTS[name]:
            shown[name] = list(value) if isinstance(value, tuple) else value
    target = node.target
    shown["target"] = {"system": target.system, "type": target.type, "id": target.id, "tenant": target.tenant}
    return shown | {name: value.value for name in ("way", "remedy", "does") if (value := getattr(node, name)) is not None}


def read(document: Mapping[str, Any]) -> Plan:
    """The plan that was written.

    Raises:
        KeyError, ValueError, TypeError: it is not what ``written`` gives.
    """
    nodes = tuple(
        [Node(**{name: _READ[name](value) if name in _READ else value for name, value in one.items()}) for one in document["nodes"]]
    )
    return Plan(nodes, {name: tuple(members) for name, members in document["joins"].items()}, document["irreversible"])
