"""Which members of a call's arguments and query a bundle's rules read. Pure.

Rules cannot say how a tool spells what it reads: a call with ``Amount``, where a rule reads ``input.args.amount``, would pass that rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.clients.rego import syntax
from gateway.clients.rego.names import Names, Scope
from gateway.clients.rego.syntax import Invocation, Module, Path

ANY = "*"
"""A step that is known only when the rule runs."""
_PLACES = (("input", "args"), ("input", "http", "query"))


def paths(modules: Sequence[Module], known: Names) -> tuple[tuple[str, ...], ...]:
    """Paths of the input, such as ``("args", "refund", "amount")``: all that these modules are seen to read below ``args`` and
    ``http.query``, and possibly some more.
    """
    scopes = [scope for found in known.definitions.values() for scope in found if scope.module in modules]
    of_functions = {steps for scope in scopes if scope.rule.arity is not None for steps in _of_variables(scope)}
    found: set[tuple[str, ...]] = set()
    for scope in scopes:
        read = {path for path in _references(scope) if _is_below(path)}
        given = {path for path in _given(scope) if _is_below(path)}
        read |= {(*path, *steps) for path in read for steps in _of_variables(scope)}
        read |= {(*path, *steps) for path in given for steps in of_functions}
        for path in read:
            found |= _shapes(path[1:])
    return tuple(sorted(path for path in found if path not in (("args",), ("http", "query"))))


def _is_below(path: Path) -> bool:
    return any(path[: len(place)] == place for place in _PLACES)


def _references(scope: Scope) -> Iterator[Path]:
    for reference in scope.rule.references:
        if path := scope.resolve(reference.path):
            yield path
    for invocation in scope.rule.invocations:
        if (path := _looked_up(invocation, scope)) is not None:
            yield path


def _looked_up(invocation: Invocation, scope: Scope) -> Path | None:
    """``object.get(input.args, "amount", 0)`` reads a member too."""
    if invocation.name != "object.get" or len(invocation.arguments) != 3:
        return None
    base, key = syntax.reference_of(invocation.arguments[0]), invocation.arguments[1]
    path = scope.resolve(base.path) if base else None
    keys = key["Array"]["items"] if "Array" in key else [key]
    return (*path, *map(syntax.text, keys)) if path else None


def _given(scope: Scope) -> Iterator[Path]:
    """What a rule's calls of functions are given."""
    for invocation in scope.rule.invocations:
        for argument in invocation.arguments:
            reference = syntax.reference_of(argument)
            if reference and (path := scope.resolve(reference.path)):
                yield path


def _of_variables(scope: Scope) -> set[Path]:
    """The members of variables of which it is not known what they stand for."""
    rule = scope.rule
    found = (reference.path for reference in rule.references if reference.root in rule.bound and len(reference.path) > 1)
    return {path[1:] for path in found if scope.resolve(path) is None}


def _shapes(path: Path) -> set[tuple[str, ...]]:
    """A path with its open steps as positions of lists, which are not counted, and as names."""
    return {tuple(step for step in path if step is not None), tuple(ANY if step is None else step for step in path)}
