"""Which modules of a bundle a rule can depend on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.clients import rego_names, rego_syntax
from gateway.clients.rego_syntax import Module


def within_reach(modules: Sequence[Module], package: tuple[str, ...]) -> list[Module]:
    """The modules of a package, and those of every package that these refer to, by whatever ways; some more where that cannot be told."""
    reached = [module for module in modules if rego_names.begins(module.package, package)]
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
            yield rego_syntax.settled(path)[1:]
    yield module.package


def _overlap(path: tuple[str, ...], package: tuple[str, ...]) -> bool:
    return rego_names.begins(path, package) or rego_names.begins(package, path)
