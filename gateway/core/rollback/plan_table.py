"""A plan as rows for a person, in the order in which it would run. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gateway.model.rollback import CompensationKind, Node, NodeAction, NodeState, Plan

COLUMNS = ("node", "object", "effects", "what", "by", "if still", "after", "why")

_AFTER = 3
_DOES = {
    CompensationKind.RESTORES: "restore",
    CompensationKind.MAKES: "make again",
    CompensationKind.REMOVES: "remove",
    CompensationKind.OFFSETS: "offset",
}
_WAYS = {NodeAction.TASK: "task", NodeAction.REVIEW: "review", NodeAction.PROBE: "find out", NodeAction.NOTHING: "nothing"}


def columns(states: Mapping[str, NodeState] | None = None) -> tuple[str, ...]:
    """The names of the columns; with ``states`` there is one for them."""
    return COLUMNS if states is None else (*COLUMNS, "state")


def rows(plan: Plan, states: Mapping[str, NodeState] | None = None) -> list[tuple[str, ...]]:
    """A row for each node; its texts are raw texts of agents and tools; the caller must clean them before printing.

    Where all nodes are of one stream, they go by their numbers in it.
    """
    names = short([node.node_id for node in plan.nodes])
    shown = [_row(plan, node, names) for node in plan.nodes]
    if states is None:
        return shown
    return [(*row, states.get(node.node_id, NodeState.PENDING).value) for row, node in zip(shown, plan.nodes, strict=True)]


def summary(plan: Plan) -> str:
    """``12 effects on 9 objects: 7 calls (1 to be approved), 2 tasks.``"""
    effects = sum(len(node.effects) for node in plan.nodes)
    if not effects:
        return "There is nothing to undo."
    objects = len({node.target.object if node.target.id else node.node_id for node in plan.nodes})
    ways = Counter(node.way for node in plan.nodes)
    waiting = sum(node.way is NodeAction.CALL and not node.automatic for node in plan.nodes)
    names = {
        NodeAction.CALL: "call",
        NodeAction.TASK: "task",
        NodeAction.REVIEW: "review",
        NodeAction.PROBE: "to find out",
        NodeAction.NOTHING: "with nothing to undo",
    }
    parts = [_counted(ways[way], name) for way, name in names.items() if ways[way]]
    if waiting:
        parts[0] += f" ({waiting} to be approved)"
    return f"{_counted(effects, 'effect')} on {_counted(objects, 'object')}: {', '.join(parts)}."


def what(node: Node) -> str:
    """In one or two words, what is done."""
    return _WAYS[node.way] if node.does is None else _DOES[node.does]


def _guard(node: Node, names: Mapping[str, str]) -> str:
    """In which state the object has to be for it."""
    if node.guard_follows is not None:
        return f"as {names.get(node.guard_follows, node.guard_follows)} left it"
    return "absent" if node.guard_absent else node.guard or ""


def short(ids: Sequence[str]) -> dict[str, str]:
    """The names of nodes for a person: their numbers, where all are of one stream."""
    one_stream = len({node_id.rpartition("-")[0] for node_id in ids}) == 1
    return {node_id: node_id.rpartition("-")[2] if one_stream else node_id for node_id in ids}


def _row(plan: Plan, node: Node, names: Mapping[str, str]) -> tuple[str, ...]:
    by = "" if node.by is None else node.by if node.automatic else f"{node.by} (to be approved)"
    after = [names.get(one, one) for name in node.after for one in plan.joins.get(name, (name,))]
    cells = (names[node.node_id], named(node), str(len(node.effects)), what(node), by, _guard(node, names), _cut(after))
    return (*cells, node.why)


def named(node: Node) -> str:
    """The object, without a version; what no object is known of goes by its action."""
    target = node.target
    return f"{target.system}:{target.type}:{target.id}" if target.id else f"{node.tool}: {node.action}"


def _cut(names: list[str]) -> str:
    found = list(dict.fromkeys(names))
    more = [f"+{len(found) - _AFTER}"] if len(found) > _AFTER else []
    return ", ".join(found[:_AFTER] + more)


def _counted(count: int, name: str) -> str:
    plural = "s" if count != 1 and " " not in name else ""
    return f"{count:,} {name}{plural}"
