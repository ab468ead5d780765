"""What the names and terms of a bundle mean: rules, data, built-ins, fields of the input, and the kind of value that a term has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gateway.clients.policy_bundle import Bundle
from gateway.clients.rego import builtins as rego_builtins
from gateway.clients.rego import syntax
from gateway.clients.rego.builtins import Kind
from gateway.clients.rego.syntax import Module, Path, Rule

Schema = Mapping[str, object]

_MOST = {Kind.INTEGER: 1 << 61, Kind.WHOLE: 1 << 53}
"""What an integer of the input (the greatest is a time), and one that a built-in returns, does not exceed."""
_BY_TYPE = {"integer": Kind.INTEGER, "string": Kind.TEXT}


@dataclass(frozen=True, slots=True)
class Names:
    """All that a reference of a bundle can mean. ``definitions`` by full path (``data`` first), ``schemas`` by package."""

    definitions: dict[tuple[str, ...], list[Scope]]
    bundle: Bundle
    builtins: frozenset[str]
    schemas: Mapping[tuple[str, ...], Schema]

    @property
    def data(self) -> Mapping[str, object]:
        """What the data files say."""
        return self.bundle.data

    def schema(self, module: Module) -> Schema | None:
        """The schema of what a module's rules see as ``input``."""
        return next((schema for package, schema in self.schemas.items() if starts_with(module.package, package)), None)

    def defined(self, path: Path) -> list[Scope]:
        """The definitions of a rule or function; none for a path with a step that is only known when the rule runs."""
        return [] if None in path else self.definitions.get(syntax.static_prefix(path), [])

    def related(self, path: Path) -> Iterator[tuple[str, ...]]:
        """Every defined path that lies under this one, or that this one lies under."""
        settled = syntax.static_prefix(path)
        return (defined for defined in self.definitions if overlaps(defined, settled))

    def datum(self, path: Path) -> object:
        """What the data files say at a path that begins with ``data``; ``None`` if they say nothing."""
        node: object = self.data
        for step in path[1:]:
            node = node.get(step) if isinstance(node, Mapping) else None
        return node


@dataclass(frozen=True)
class Scope:
    """One definition of a rule, with all that its names can mean. ``depth`` bounds how many constants are followed into each other."""

    module: Module
    rule: Rule
    known: Names
    depth: int = 4

    @property
    def path(self) -> tuple[str, ...]:
        return ("data", *self.module.package, *self.rule.name)

    def resolve(self, path: Path) -> Path | None:
        """A reference with its first step made absolute (``data`` or ``input``); ``None`` for the rule's own variables."""
        root = path[0]
        assert root is not None
        if root in ("data", "input"):
            return path
        if root in self.rule.bound:
            behind = self.rule.aliases.get(root)
            # Only one step back: an alias of an alias stays unresolved, which checks less and never wrongly.
            return (*behind, *path[1:]) if behind and behind[0] in ("data", "input") else None
        for imported in self.module.imports:
            if imported.alias == root:
                return (*imported.path, *path[1:])
        local = ("data", *self.module.package, root)
        return (*local, *path[1:]) if any(starts_with(defined, local) for defined in self.known.definitions) else None

    def kind(self, node: Mapping[str, Any]) -> Kind | None:
        """What kind of value a term has; ``None`` if it could be any."""
        if "Number" in node:
            return _kind_of(node["Number"]["value"])
        if syntax.text(node) is not None:
            return Kind.TEXT
        if "Set" in node or "SetCompr" in node or "BinExpr" in node:
            return Kind.SET
        if arithmetic := node.get("ArithExpr"):
            return self._arithmetic(arithmetic)
        if "Call" in node:
            return rego_builtins.RESULTS.get(syntax.called_name(node))
        reference = syntax.reference_of(node)
        return self._referred(reference.path) if reference else None

    def literal(self, node: Mapping[str, Any]) -> str | None:
        """The text of a term that is written out, here or as a constant of its own; ``None`` for any other."""
        written = syntax.text(node)
        reference = None if written is not None else syntax.reference_of(node)
        found = self.resolve(reference.path) if reference else None
        if not found or found[0] != "data":
            return written
        texts = {scope.literal(value) if isinstance(value, Mapping) else None for scope, value in self._values(found)}
        value = texts.pop() if len(texts) == 1 else None if texts else self.known.datum(found)
        return value if isinstance(value, str) else None

    def _arithmetic(self, arithmetic: Mapping[str, Any]) -> Kind | None:
        kinds = {self.kind(arithmetic["lhs"]), self.kind(arithmetic["rhs"])}
        if arithmetic["op"] == "Sub" and Kind.SET in kinds:
            return Kind.SET
        if arithmetic["op"] == "Div" or not kinds <= {Kind.INTEGER, Kind.WHOLE}:
            return None
        if self._magnitude({"ArithExpr": arithmetic}) >= 1 << 63:
            return Kind.LARGE
        return Kind.WHOLE if Kind.WHOLE in kinds else Kind.INTEGER

    def _magnitude(self, node: Mapping[str, Any]) -> int:
        """What the value of a whole number does not exceed, either way."""
        arithmetic, value = node.get("ArithExpr"), (node.get("Number") or {}).get("value")
        if isinstance(value, int):
            return abs(value)
        if not arithmetic:
            return self._magnitude_of_term(node)
        left, right = self._magnitude(arithmetic["lhs"]), self._magnitude(arithmetic["rhs"])
        return left * right if arithmetic["op"] == "Mul" else left + right

    def _magnitude_of_term(self, node: Mapping[str, Any]) -> int:
        if "Call" in node:
            given = node["Call"]["params"]
            rounded = syntax.called_name(node) == "round" and self.kind(given[0]) is Kind.INTEGER
            return self._magnitude(given[0]) if rounded else _MOST[Kind.WHOLE]
        reference = syntax.reference_of(node)
        assigned = self._assigned.get(reference.root) if reference and len(reference.path) == 1 else None
        if isinstance(assigned, Kind):  # a part of a date
            return 10_000
        return _MOST[Kind.INTEGER] if assigned is None else self._magnitude(assigned)

    def _referred(self, path: Path) -> Kind | None:
        found = self.resolve(path)
        if found and found[0] == "input":
            schema = self.known.schema(self.module) or {}
            for step in found[1:]:
                schema = member(schema, step)
            return _BY_TYPE.get(str(schema.get("type")))
        if found:
            kinds = {scope.kind(value) if isinstance(value, Mapping) else value for scope, value in self._values(found)}
            return kinds.pop() if len(kinds) == 1 else _kind_of(None if kinds else self.known.datum(found))
        assigned = self._assigned.get(path[0] or "") if len(path) == 1 else None
        return self.kind(assigned) if isinstance(assigned, Mapping) else assigned

    def _values(self, path: Path) -> list[tuple[Scope, Mapping[str, Any] | Kind | None]]:
        """What the definitions of a rule give it: a term, or the kind of all it can be."""
        defined = self.known.defined(path) if self.depth else []
        return [(dataclasses.replace(one, depth=self.depth - 1), _value(one.rule)) for one in defined]

    @cached_property
    def _assigned(self) -> Mapping[str, Mapping[str, Any] | Kind]:
        """Names that the rule binds once, by ``:=``, with the term that they stand for or its kind."""
        found: dict[str, Mapping[str, Any] | Kind] = {}
        for node in syntax.nodes(self.rule.syntax):
            assigned = node.get("AssignExpr")
            if assigned and assigned["op"] == "ColEq":
                if "Var" in assigned["lhs"]:
                    found[assigned["lhs"]["Var"]["value"]] = assigned["rhs"]
                elif syntax.called_name(assigned["rhs"]) in ("time.clock", "time.date"):
                    found.update(dict.fromkeys(syntax.variables(assigned["lhs"]), Kind.INTEGER))
        return {name: term for name, term in found.items() if name in self.rule.once}


def names(modules: Iterable[Module], bundle: Bundle, *, builtins: Iterable[str], schemas: Mapping[tuple[str, ...], Schema]) -> Names:
    """All names of a bundle's modules; ``builtins`` are those of the engine."""
    usable = frozenset(name for name in builtins if not name.startswith("__")) | rego_builtins.IN_THE_GRAMMAR
    known = Names({}, bundle, usable - rego_builtins.REFUSED.keys(), schemas)
    for module in modules:
        for rule in module.rules:
            scope = Scope(module, rule, known)
            known.definitions.setdefault(scope.path, []).append(scope)
    return known


def part(schema: Schema, name: str | None) -> Schema:
    """What a schema says under a key; empty if it says nothing."""
    found = schema.get(name or "")
    return found if isinstance(found, Mapping) else {}


def member(schema: Schema, step: str | None) -> Schema:
    """The schema of one member; empty if nothing is said about it."""
    if schema.get("type") == "array":
        return part(schema, "items")
    properties = part(schema, "properties")
    return part(properties, step) if step in properties else part(schema, "additionalProperties")


def starts_with(path: tuple[str | None, ...], prefix: tuple[str | None, ...]) -> bool:
    return path[: len(prefix)] == prefix


def overlaps(path: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one path begins with the other."""
    return starts_with(path, other) or starts_with(other, path)


def reachable(modules: Sequence[Module], package: tuple[str, ...]) -> list[Module]:
    """The modules of a package, and those of every package that these refer to, directly or not; possibly some more."""
    reached = [module for module in modules if starts_with(module.package, package)]
    for module in reached:
        paths = [imported.path for imported in module.imports]
        for rule in module.rules:
            paths += [reference.path for reference in (*rule.references, *(call.function for call in rule.invocations))]
        used = {syntax.static_prefix(path)[1:] for path in paths if path[0] == "data"} | {module.package}
        # Grows while it is gone through: what is reached leads on.
        reached += [other for other in modules if other not in reached and any(overlaps(path, other.package) for path in used)]
    return reached


def _kind_of(value: object) -> Kind | None:
    """The kind of a value that is written out; numbers beyond 64 bits and fractions have none."""
    if isinstance(value, str):
        return Kind.TEXT
    return Kind.INTEGER if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 else None


def _value(rule: Rule) -> Mapping[str, Any] | Kind | None:
    head = rule.syntax.get("head") or {"Default": rule.syntax}
    if "Set" in head:
        return Kind.SET
    shape: Mapping[str, Any] = next(iter(head.values()))
    whole = rule.arity is None and not any(body["assign"] for body in rule.syntax.get("bodies", ()))
    value = shape.get("value") or (shape.get("assign") or {}).get("value")
    return value if whole and "RefBrack" not in shape["refr"] else None
