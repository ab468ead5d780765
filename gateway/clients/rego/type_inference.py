"""What is known of a term before its rule runs: that it is a number without fraction, a text, a set, or a certain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.clients.rego import builtins, names, syntax
from gateway.clients.rego.builtins import Kind
from gateway.clients.rego.names import Names, Schema
from gateway.clients.rego.syntax import Module, Path, Rule

_LARGEST = 1 << 63
_BY_TYPE = {"integer": Kind.INTEGER, "string": Kind.TEXT}


class Terms:
    """The terms of one rule. ``deep`` bounds how many constants are followed into each other."""

    def __init__(self, module: Module, rule: Rule, known: Names, deep: int = 4) -> None:
        self._module = module
        self._rule = rule
        self._known = known
        self._deep = deep
        self._assigned = dict(_assignments(rule))

    def kind(self, node: Mapping[str, Any]) -> Kind | None:
        """``None`` where it could be anything."""
        if "Number" in node:
            value = node["Number"]["value"]
            return Kind.INTEGER if isinstance(value, int) and abs(value) < _LARGEST else None
        if syntax.text(node) is not None:
            return Kind.TEXT
        if "Set" in node or "SetCompr" in node or "BinExpr" in node:
            return Kind.SET
        if arithmetic := node.get("ArithExpr"):
            return self._reckoned(arithmetic)
        if call := node.get("Call"):
            function = syntax.chain(call["fcn"])
            return builtins.RESULTS.get(_dotted(function.path)) if function else None
        reference = syntax.chain(node)
        return self._referred(reference.path) if reference else None

    def literal(self, node: Mapping[str, Any]) -> str | None:
        """The text that a term is, where it is written out, here or as a constant of its own."""
        written = syntax.text(node)
        reference = None if written is not None else syntax.chain(node)
        return self._constant(reference.path) if reference else written

    def _reckoned(self, arithmetic: Mapping[str, Any]) -> Kind | None:
        kinds = {self.kind(arithmetic["lhs"]), self.kind(arithmetic["rhs"])}
        if arithmetic["op"] == "Sub" and Kind.SET in kinds:
            return Kind.SET
        if arithmetic["op"] == "Div" or not kinds <= {Kind.INTEGER, Kind.WHOLE}:
            return None
        return Kind.WHOLE if Kind.WHOLE in kinds else Kind.INTEGER

    def _referred(self, path: Path) -> Kind | None:
        found = names.resolve(path, self._module, self._rule, self._known.definitions)
        if found and found[0] == "input":
            return self._in_input(found[1:])
        if found:
            return self._in_data(found)
        assigned = self._assigned.get(path[0] or "") if len(path) == 1 else None
        return assigned if assigned is None or isinstance(assigned, Kind) else self.kind(assigned)

    def _in_input(self, path: Path) -> Kind | None:
        schema: Schema = names.schema_of(self._module, self._known) or {}
        for step in path:
            schema = names.member(schema, step)
        return _BY_TYPE.get(str(schema.get("type")))

    def _in_data(self, path: Path) -> Kind | None:
        kinds = {terms.kind(value) if isinstance(value, Mapping) else value for terms, value in self._values(path)}
        if len(kinds) == 1:
            return kinds.pop()
        value = None if kinds else self._datum(path)
        if isinstance(value, str):
            return Kind.TEXT
        return Kind.INTEGER if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST else None

    def _constant(self, path: Path) -> str | None:
        found = names.resolve(path, self._module, self._rule, self._known.definitions)
        if not found or found[0] != "data":
            return None
        texts = {terms.literal(value) if isinstance(value, Mapping) else None for terms, value in self._values(found)}
        if len(texts) == 1:
            return texts.pop()
        value = None if texts else self._datum(found)
        return value if isinstance(value, str) else None

    def _values(self, path: Path) -> list[tuple[Terms, Mapping[str, Any] | Kind | None]]:
        """What the definitions of a rule give it: a term, or the kind of all it can be."""
        if not self._deep:
            return []
        defined = self._known.definitions.get(syntax.settled(path), []) if None not in path else []
        return [(Terms(module, rule, self._known, self._deep - 1), _value(rule)) for module, rule in defined]

    def _datum(self, path: Path) -> object:
        node: object = self._known.data
        for step in path[1:]:
            node = node.get(step) if isinstance(node, Mapping) else None
        return node


def _value(rule: Rule) -> Mapping[str, Any] | Kind | None:
    head = rule.syntax.get("head") or {"Default": rule.syntax}
    if "Set" in head:
        return Kind.SET
    shape: Mapping[str, Any] = next(iter(head.values()))
    whole = rule.arity is None and not any(body["assign"] for body in rule.syntax.get("bodies", ()))
    value = shape.get("value") or (shape.get("assign") or {}).get("value")
    return value if whole and "RefBrack" not in shape["refr"] else None


def _assignments(rule: Rule) -> list[tuple[str, Mapping[str, Any] | Kind]]:
    """Names that the rule binds once, by ``:=``, with the term that they stand for or its kind."""
    found: list[tuple[str, Mapping[str, Any] | Kind]] = []
    for node in syntax.nodes(rule.syntax):
        assigned = node.get("AssignExpr")
        if assigned and assigned["op"] == "ColEq":
            if "Var" in assigned["lhs"]:
                found.append((assigned["lhs"]["Var"]["value"], assigned["rhs"]))
            elif _is_clock(assigned["rhs"]):
                found += [(name, Kind.INTEGER) for name in syntax.variables(assigned["lhs"])]
    return [(name, term) for name, term in found if name in rule.once]


def _is_clock(node: Mapping[str, Any]) -> bool:
    function = syntax.chain(node["Call"]["fcn"]) if "Call" in node else None
    return function is not None and _dotted(function.path) in ("time.clock", "time.date")


def _dotted(path: Path) -> str:
    return ".".join(step or "_" for step in path)
