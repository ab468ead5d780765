"""A plan for a person: as rows in the order in which it would run, and as a Mermaid flowchart, an arrow from each node to those that
wait for it. Pure.

Ids and names come from agents and tools: in a label of the chart every character that Mermaid or HTML could read as syntax is an entity;
the cells of a row are raw texts, which the caller must clean before printing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gateway.model.rollback import CompensationKind, Node, NodeAction, NodeState, Plan, States

COLUMNS = ("node", "object", "effects", "what", "by", "if still", "after", "why")
MEDIA_TYPE = "text/vnd.mermaid"
MOST = 200
"""Nodes that are drawn; they are the first, the rest is counted. Mermaid itself refuses more than 500 arrows or 50,000 characters."""

_AFTER = 3
_PLAIN = frozenset(" .,:_/-()")
_LONGEST = 60
_KINDS = {
    CompensationKind.RESTORES: "restore",
    CompensationKind.MAKES: "make again",
    CompensationKind.REMOVES: "remove",
    CompensationKind.OFFSETS: "offset",
}
_ACTIONS = {
    NodeAction.CALL: ("call", "call", "#dbeafe"),
    NodeAction.TASK: ("task", "task", "#fef3c7"),
    NodeAction.REVIEW: ("review", "review", "#fee2e2"),
    NodeAction.PROBE: ("find out", "to find out", "#ede9fe"),
    NodeAction.NOTHING: ("nothing", "with nothing to undo", "#f3f4f6"),
}
"""How an action stands in a row and in the summary, and its colour in the chart."""


def rows(plan: Plan) -> list[tuple[str, ...]]:
    """A row for each node. If all nodes are of one stream, they go by their numbers in it."""
    names = short([node.node_id for node in plan.nodes])
    return [_row(plan, node, names) for node in plan.nodes]


def summary(plan: Plan) -> str:
    """``12 effects on 9 objects: 7 calls (1 to be approved), 2 tasks.``"""
    effects = sum(len(node.effects) for node in plan.nodes)
    if not effects:
        return "There is nothing to undo."
    objects = len({node.target.object if node.target.id else node.node_id for node in plan.nodes})
    counts = Counter(node.way for node in plan.nodes)
    parts = [_counted(counts[way], name) for way, (_, name, _) in _ACTIONS.items() if counts[way]]
    if waiting := sum(map(_needs_approval, plan.nodes)):
        parts[0] += f" ({waiting} to be approved)"
    return f"{_counted(effects, 'effect')} on {_counted(objects, 'object')}: {', '.join(parts)}."


def short(ids: Sequence[str]) -> dict[str, str]:
    """The names of nodes for a person: their numbers, if all are of one stream."""
    one_stream = len({node_id.rpartition("-")[0] for node_id in ids}) == 1
    return {node_id: node_id.rpartition("-")[2] if one_stream else node_id for node_id in ids}


def mermaid(plan: Plan, states: States | None = None) -> str:
    """The flowchart as text that ends in a newline. The colour shows the action, the last line of a node its state."""
    nodes, rest = plan.nodes[:MOST], plan.nodes[MOST:]
    names = {node.node_id: f"n{number}" for number, node in enumerate(nodes)}
    used = dict.fromkeys(name for node in nodes for name in node.after if name in plan.joins)
    joins = {name: f"j{number}" for number, name in enumerate(used)}
    lines = ["flowchart TD", f"  %% {summary(plan)}"]
    lines += [f"  {names[node.node_id]}[{_label(node, (states or {}).get(node.node_id))}]:::{_class(node.way)}" for node in nodes]
    lines += [f"  {joins[name]}(( ))" for name in joins]
    lines += [f"  {names[one]} --- {joins[name]}" for name in joins for one in plan.joins[name] if one in names]
    points = names | joins
    lines += [f"  {points[name]} --> {names[node.node_id]}" for node in nodes for name in node.after if name in points]
    if rest:
        counts = ", ".join(f"{count} {way}" for way, count in Counter(node.way for node in rest).items())
        lines.append(f'  rest["and {len(rest)} more, not drawn: {counts}"]')
    lines += [f"  classDef {_class(way)} fill:{colour},stroke:#6b7280,color:#111827" for way, (_, _, colour) in _ACTIONS.items()]
    return "\n".join(lines) + "\n"


def _row(plan: Plan, node: Node, names: Mapping[str, str]) -> tuple[str, ...]:
    by = f"{node.by} (to be approved)" if node.by and _needs_approval(node) else node.by or ""
    after = list(dict.fromkeys(names.get(one, one) for name in node.after for one in plan.joins.get(name, (name,))))
    more = [f"+{len(after) - _AFTER}"] if len(after) > _AFTER else []
    guard = "absent" if node.guard_absent else node.guard or ""
    if node.guard_follows is not None:
        guard = f"as {names.get(node.guard_follows, node.guard_follows)} left it"
    return (
        names[node.node_id],
        _object(node),
        str(len(node.effects)),
        _what(node),
        by,
        guard,
        ", ".join(after[:_AFTER] + more),
        node.why,
    )


def _what(node: Node) -> str:
    """What is done, in one or two words."""
    return _ACTIONS[node.way][0] if node.does is None else _KINDS[node.does]


def _object(node: Node) -> str:
    """The object, without a version; if none is known, the action."""
    target = node.target
    return target.name if target.id else f"{node.tool}: {node.action}"


def _needs_approval(node: Node) -> bool:
    return node.way is NodeAction.CALL and not node.automatic


def _counted(count: int, name: str) -> str:
    plural = "s" if count != 1 and " " not in name else ""
    return f"{count:,} {name}{plural}"


def _class(way: NodeAction) -> str:
    return f"{way}_way"  # ``call`` alone is a word of Mermaid's


def _label(node: Node, state: NodeState | None) -> str:
    """Quoted, in three lines: the object, what is done by which action, how many effects and the state."""
    by = f" by {node.by}" if node.by else ""
    count = f"{len(node.effects)} effect{'' if len(node.effects) == 1 else 's'}"
    approval = ", to be approved" if _needs_approval(node) else ""
    texts = (_object(node), f"{_what(node)}{by}", f"{count}{approval}{f' - {state}' if state else ''}")
    return '"' + "<br/>".join(map(_escaped, texts)) + '"'


def _escaped(text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
    return "".join(one if one.isalnum() or one in _PLAIN else f"#{ord(one) if one.isprintable() else 0xFFFD};" for one in short)
