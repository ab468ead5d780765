"""A plan as a Mermaid flowchart, from top to bottom as it runs: an arrow from each node to those that wait for it. Pure.

Ids and names come from agents and tools: in a label every character that Mermaid or HTML could read as syntax is an entity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from gateway.core.rollback import plan_table
from gateway.model.rollback import Node, NodeAction, NodeState, Plan

MEDIA_TYPE = "text/vnd.mermaid"
MOST = 200
"""Nodes that are drawn; they are the first, the rest is counted. Mermaid itself refuses more than 500 arrows or 50,000 characters."""

_PLAIN = frozenset(" .,:_/-()")
_LONGEST = 60
_COLOURS = {
    NodeAction.CALL: "#dbeafe",
    NodeAction.TASK: "#fef3c7",
    NodeAction.REVIEW: "#fee2e2",
    NodeAction.PROBE: "#ede9fe",
    NodeAction.NOTHING: "#f3f4f6",
}


def drawn(plan: Plan, states: Mapping[str, NodeState] | None = None) -> str:
    """The flowchart as text that ends in a newline. The colour tells the way; the last line of a node its state, if ``states`` has it."""
    nodes, rest = plan.nodes[:MOST], plan.nodes[MOST:]
    names = {node.node_id: f"n{number}" for number, node in enumerate(nodes)}
    used = dict.fromkeys(name for node in nodes for name in node.after if name in plan.joins)
    joins = {name: f"j{number}" for number, name in enumerate(used)}
    lines = ["flowchart TD", f"  %% {plan_table.summary(plan)}"]
    lines += [f"  {names[node.node_id]}[{_label(node, (states or {}).get(node.node_id))}]:::{_class(node.way)}" for node in nodes]
    lines += [f"  {joins[name]}(( ))" for name in joins]
    lines += [f"  {names[one]} --- {joins[name]}" for name in joins for one in plan.joins[name] if one in names]
    points = names | joins
    lines += [f"  {points[name]} --> {names[node.node_id]}" for node in nodes for name in node.after if name in points]
    if rest:
        ways = ", ".join(f"{count} {way}" for way, count in Counter(node.way for node in rest).items())
        lines.append(f'  rest["and {len(rest)} more, not drawn: {ways}"]')
    lines += [f"  classDef {_class(way)} fill:{colour},stroke:#6b7280,color:#111827" for way, colour in _COLOURS.items()]
    return "\n".join(lines) + "\n"


def _class(way: NodeAction) -> str:
    return f"{way}_way"  # ``call`` alone is a word of Mermaid's


def _label(node: Node, state: NodeState | None) -> str:
    """Quoted, in three lines: the object, what is done by which action, how many effects and the state."""
    by = f" by {node.by}" if node.by else ""
    count = f"{len(node.effects)} effect{'' if len(node.effects) == 1 else 's'}"
    approval = ", to be approved" if node.way is NodeAction.CALL and not node.automatic else ""
    texts = (plan_table.named(node), f"{plan_table.what(node)}{by}", f"{count}{approval}{f' - {state}' if state else ''}")
    return '"' + "<br/>".join(map(_escaped, texts)) + '"'


def _escaped(text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
    return "".join(one if one.isalnum() or one in _PLAIN else f"#{ord(one) if one.isprintable() else 0xFFFD};" for one in short)
