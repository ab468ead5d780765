"""A plan as a picture: from top to bottom as it runs, an arrow from each node to those that wait for it. Pure.

Ids and names come from agents and tools: everything is escaped, and nothing in the picture is a link, a script or a style of theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from gateway.core.rollback import plan_table
from gateway.model.plan import Node, NodeState, Plan, Way

MOST = 200
"""Nodes that are drawn; they are the first, the rest is counted."""

_WIDE, _HIGH, _GAP, _LAYER, _ROW, _MARGIN, _HEAD = 220, 54, 24, 46, 14, 24, 64
_ACROSS = 6
_LETTERS = 28
_WAYS = {Way.CALL: "#dbeafe", Way.TASK: "#fef3c7", Way.REVIEW: "#fee2e2", Way.PROBE: "#ede9fe", Way.NOTHING: "#f3f4f6"}
_STATES = {
    NodeState.RUNNING: "#2563eb",
    NodeState.DONE: "#16a34a",
    NodeState.NOTHING: "#16a34a",
    NodeState.TASK: "#d97706",
    NodeState.WAITING: "#d97706",
    NodeState.UNKNOWN: "#7c3aed",
    NodeState.FAILED: "#dc2626",
    NodeState.STOPPED: "#dc2626",
}
_LINE = "#6b7280"
_LEGEND = {
    Way.CALL: "call",
    Way.TASK: "task for a person",
    Way.REVIEW: "cannot be undone",
    Way.PROBE: "to find out",
    Way.NOTHING: "nothing left",
}

Place = tuple[int, int]


def drawn(plan: Plan, states: Mapping[str, NodeState] | None = None) -> str:
    """The picture as one SVG document. The fill tells the way, the border the state, where ``states`` gives one."""
    nodes = plan.nodes[:MOST]
    joins = {name: members for name in _used(plan, nodes) if (members := _within(plan.joins[name], nodes))}
    places, height = _placed(nodes, joins)
    width = _MARGIN * 2 + _ACROSS * (_WIDE + _GAP) - _GAP
    rest = plan.nodes[MOST:]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + _MARGIN * (2 if rest else 1)}" '
        'font-family="sans-serif" font-size="12" role="img">',
        f"<title>{_text(plan_table.summary(plan))}</title>",
        f'<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{_LINE}"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{_MARGIN}" y="24" font-size="14">{_text(plan_table.summary(plan))}</text>',
        *_legend(),
        *_arrows(nodes, joins, places),
        *(_box(node, places[node.node_id], (states or {}).get(node.node_id)) for node in nodes),
        *_rest(rest, height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _used(plan: Plan, nodes: Sequence[Node]) -> list[str]:
    return list(dict.fromkeys(name for node in nodes for name in node.after if name in plan.joins))


def _within(members: Sequence[str], nodes: Sequence[Node]) -> tuple[str, ...]:
    drawn = {node.node_id for node in nodes}
    return tuple(one for one in members if one in drawn)


def _placed(nodes: Sequence[Node], joins: Mapping[str, Sequence[str]]) -> tuple[dict[str, Place], int]:
    """The left upper corner of each node, and the height of all; a node stands below all that it comes after."""
    layer: dict[str, int] = {}
    layers: list[list[str]] = []
    for node in nodes:
        before = [one for name in node.after for one in joins.get(name, (name,))]
        layer[node.node_id] = depth = max((layer[one] + 1 for one in before if one in layer), default=0)
        if depth == len(layers):
            layers.append([])
        layers[depth].append(node.node_id)
    places: dict[str, Place] = {}
    top = _HEAD
    for members in layers:
        for number, node_id in enumerate(members):
            down, across = divmod(number, _ACROSS)
            places[node_id] = (_MARGIN + across * (_WIDE + _GAP), top + down * (_HIGH + _ROW))
        top += -(-len(members) // _ACROSS) * (_HIGH + _ROW) - _ROW + _LAYER
    return places, top


def _arrows(nodes: Sequence[Node], joins: Mapping[str, Sequence[str]], places: Mapping[str, Place]) -> list[str]:
    """A join is a dot, below the lowest of its members."""
    dots = {name: _dot(members, places) for name, members in joins.items()}
    found = [_arrow(_below(places[one]), dots[name]) for name, members in joins.items() for one in members]
    found += [f'<circle cx="{x}" cy="{y}" r="4" fill="{_LINE}"/>' for x, y in dots.values()]
    for node in nodes:
        left, top = places[node.node_id]
        end = (left + _WIDE // 2, top)
        for name in node.after:
            if (start := dots[name] if name in dots else _below(places[name]) if name in places else None) is not None:
                found.append(_arrow(start, end, head=' marker-end="url(#end)"'))
    return found


def _dot(members: Sequence[str], places: Mapping[str, Place]) -> Place:
    below = [_below(places[one]) for one in members]
    return sum(x for x, _ in below) // len(below), max(y for _, y in below) + _LAYER // 3


def _below(place: Place) -> Place:
    return place[0] + _WIDE // 2, place[1] + _HIGH


def _arrow(start: Place, end: Place, head: str = "") -> str:
    middle = (start[1] + end[1]) // 2
    curve = f"M{start[0]},{start[1]} C{start[0]},{middle} {end[0]},{middle} {end[0]},{end[1]}"
    return f'<path d="{curve}" fill="none" stroke="{_LINE}"{head}/>'


def _box(node: Node, place: Place, state: NodeState | None) -> str:
    x, y = place
    border, width = (_LINE, 1) if state is None or state not in _STATES else (_STATES[state], 3)
    told = f"{node.why} ({node.node_id}; {', '.join(node.effects[:5])}{', ...' if len(node.effects) > 5 else ''})"
    second = f"{plan_table.what(node)}{f' by {node.by}' if node.by else ''}"
    third = " - ".join(filter(None, (_counted(node), state.value if state is not None else "")))
    lines = ((plan_table.named(node), 17, "bold"), (second, 32, "normal"), (third, 47, "normal"))
    texts = "".join(f'<text x="{x + 8}" y="{y + down}" font-weight="{weight}">{_text(_short(line))}</text>' for line, down, weight in lines)
    box = (
        f'<rect x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="6" fill="{_WAYS[node.way]}" stroke="{border}" stroke-width="{width}"/>'
    )
    return f"<g><title>{_text(told)}</title>{box}{texts}</g>"


def _counted(node: Node) -> str:
    count = len(node.effects)
    return f"{count:,} effect{'' if count == 1 else 's'}{', to be approved' if node.way is Way.CALL and not node.automatic else ''}"


def _legend() -> list[str]:
    found = []
    for number, (way, name) in enumerate(_LEGEND.items()):
        x = _MARGIN + number * 150
        found.append(
            f'<rect x="{x}" y="36" width="12" height="12" fill="{_WAYS[way]}" stroke="{_LINE}"/><text x="{x + 18}" y="46">{name}</text>'
        )
    return found


def _rest(rest: Sequence[Node], height: int) -> list[str]:
    if not rest:
        return []
    ways = Counter(_LEGEND[node.way] for node in rest)
    told = ", ".join(f"{count:,} {name}" for name, count in ways.items())
    return [f'<text x="{_MARGIN}" y="{height}">and {len(rest):,} more, not drawn: {told}</text>']


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"


def _text(text: str) -> str:
    """Without markup, and without what turns a line around or is no character of XML."""
    return escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text))
