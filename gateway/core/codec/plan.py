"""A plan as JSON, and back without loss: it is stored with a rollback and read to continue it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.core.codec.record import Json, convert, target_json
from gateway.model.plan import Node, Plan


def written(plan: Plan) -> Json:
    """The plan; what a node has as by default is left out."""
    return {
        "nodes": [of_node(one) for one in plan.nodes],
        "joins": {name: list(members) for name, members in plan.joins.items()},
        "irreversible": plan.irreversible,
    }


def of_node(node: Node) -> Json:
    """One node, by the names of its fields."""
    shown: Json = msgspec.to_builtins(node)
    return shown | {"target": target_json(node.target)}


def read(document: Mapping[str, Any]) -> Plan:
    """The plan that was written.

    Raises:
        ValueError: it is not what ``written`` gives.
    """
    return convert(document, Plan)
