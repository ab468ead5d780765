"""What the names in a bundle stand for: rules, data, built-ins and the fields of the input.

Which modules of a bundle a rule can depend on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.clients.rego import builtins as rego_builtins
from gateway.clients.rego import syntax
from gateway.clients.rego.syntax import Module, Path, Rule

Definitions = Mapping[tuple[str, ...], list[tuple[Module, Rule]]]
Schema = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Names:
    """All that a reference of a bundle can mean. ``definitions`` by full path (``data`` first), ``schemas`` by package."""

    definitions: Definitions
    data: Mapping[str, object]
    builtins: frozenset[str]
    schemas: Mapping[tuple[str, ...], Schema]


def names(
    modules: Iterable[Module],
    *,
    data: Mapping[str, object],
    builtins: Iterable[str],
    schemas: Mapping[tuple[str, ...], Schema],
) -> Names:
    definitions: dict[tuple[str, ...], list[tuple[Module, Rule]]] = {}
    for module in modules:
        for rule in module.rules:
            definitions.setdefault(("data", *module.package, *rule.name), []).append((module, rule))
    usable = frozenset(name for name in builtins if not name.startswith("__")) | rego_builtins.IN_THE_GRAMMAR
    return Names(definitions, data, usable - rego_builtins.REFUSED.keys(), schemas)


def resolve(path: Path, module: Module, rule: Rule, definitions: Definitions) -> Path | None:
    """A reference with its first step made absolute (``data`` or ``input``); ``None`` for a rule's own variables."""
    root = path[0]
    assert root is not None
    if root in ("data", "input"):
        return path
    if root in rule.bound:
        behind = rule.aliases.get(root)
        # Only one step back: an alias of an alias stays unresolved, which checks less and never wrongly.
        return (*behind, *path[1:]) if behind and behind[0] in ("data", "input") else None
    for imported in module.imports:
        if imported.alias == root:
            return (*imported.path, *path[1:])
    local = ("data", *module.package, root)
    return (*local, *path[1:]) if any(begins(defined, local) for defined in definitions) else None


def schema_of(module: Module, known: Names) -> Schema | None:
    """The schema of what a module's rules see as ``input``."""
    return next((schema for package, schema in known.schemas.items() if begins(module.package, package)), None)


def part(schema: Schema, name: str | None) -> Schema:
    found = schema.get(name or "")
    return found if isinstance(found, Mapping) else {}


def member(schema: Schema, step: str | None) -> Schema:
    """The schema of one member; empty where nothing is said about it."""
    if schema.get("type") == "array":
        return part(schema, "items")
    properties = part(schema, "properties")
    return part(properties, step) if step in properties else part(schema, "additionalProperties")


def begins(path: tuple[str | None, ...], prefix: tuple[str | None, ...]) -> bool:
    return path[: len(prefix)] == prefix


def within_reach(modules: Sequence[Module], package: tuple[str, ...]) -> list[Module]:
    """The modules of a package, and those of every package that these refer to, by whatever ways; some more where that cannot be told."""
    reached = [module for module in modules if begins(module.package, package)]
    for module in reached:
        used = set(_used(module))
        # Grows while it is gone through: what is reached leads on.
        reached += [other for other in modules if other not in reached and any(_overlap(path, other.package) for path in used)]
    return reached


def _used(module: Module) -> Iterator[tuple[str, ...]]:
    """Packages, or what begins like one, or a rule in one; ``data`` itself is the empty path."""
    paths = [imported.path for imported in module.imports]
    for rule in module.rules:
        paths += [reference.path for reference in rule.references]
        paths += [invocation.function.path for invocation in rule.invocations]
    for path in paths:
        if path[0] == "data":
            yield syntax.settled(path)[1:]
    yield module.package


def _overlap(path: tuple[str, ...], package: tuple[str, ...]) -> bool:
    return begins(path, package) or begins(package, path)
