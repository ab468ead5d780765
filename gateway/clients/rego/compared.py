"""The values that rules compare members of the input with: where a rule behaves differently for some inputs, it is for these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.clients.rego import syntax
from gateway.clients.rego.names import Names, Scope

_MOST = 24
"""Values of one member; a list of permitted names may be long."""

_TEXTS = frozenset({"startswith", "endswith", "contains", "glob.match", "regex.match"})
"""Built-ins that compare a text with one that is mostly written out."""


def values(known: Names) -> Mapping[tuple[str, ...], Sequence[object]]:
    """By the member's path in the input, ``*`` for a step that is only known when the rule runs."""
    found: defaultdict[tuple[str, ...], list[object]] = defaultdict(list)
    for scope in (scope for scopes in known.definitions.values() for scope in scopes):
        for node in syntax.nodes(scope.rule.syntax):
            for member, other in _pairs(node):
                for path in _input(member, scope):
                    found[path] += (value for value in _literals(other, scope) if value not in found[path])
    return {path: each[:_MOST] for path, each in found.items()}


def _pairs(node: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    equation = node.get("BoolExpr") or node.get("AssignExpr")
    if equation:
        yield equation["lhs"], equation["rhs"]
        yield equation["rhs"], equation["lhs"]
    elif membership := node.get("Membership"):
        yield membership["value"], membership["collection"]
        yield membership["collection"], membership["value"]
    elif syntax.called_name(node) in _TEXTS:
        given = node["Call"]["params"]
        for one in given:
            yield from ((one, other) for other in given if other is not one)


def _input(node: Any, scope: Scope) -> Iterator[tuple[str, ...]]:
    reference = syntax.reference_of(node)
    path = scope.resolve(reference.path) if reference else None
    if path and path[0] == "input" and len(path) > 1:
        yield tuple("*" if step is None else step for step in path[1:])


def _literals(node: Any, scope: Scope, depth: int = 3) -> Iterator[object]:
    """The values of a term that is written out, here or as a constant of its own."""
    kind = next(iter(node), "") if isinstance(node, dict) else ""
    if kind in ("String", "RawString", "Number", "Bool"):
        yield node[kind]["value"]
    elif kind in ("Array", "Set"):
        for item in node[kind]["items"]:
            yield from _literals(item, scope, depth)
    elif depth and (reference := syntax.reference_of(node)) and (path := scope.resolve(reference.path)) and path[0] == "data":
        for defined in scope.known.defined(path):
            head = defined.rule.syntax.get("head") or {}
            assigned = (head.get("Compr") or {}).get("assign") or {}
            yield from _literals(assigned.get("value"), defined, depth - 1)
        datum = scope.known.datum(path)
        yield from (value for value in (datum if isinstance(datum, list) else [datum]) if isinstance(value, str | int | bool))
