"""What OPA's compiler refuses and the embedded engine lets pass, or finds only when it comes to the rule."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import regorus

from gateway.clients.rego import syntax
from gateway.clients.rego.names import Names, Scope
from gateway.clients.rego.syntax import Module

Found = Iterator[tuple[int, str]]
"""Lines and what is wrong there."""


def of_rule(scope: Scope) -> Found:
    """Variables that have no value in one definition of a rule: in its head, under a ``not``, as a function's result."""
    rule = scope.rule
    bodies = rule.syntax.get("bodies") or []
    queries = [body["query"] for body in bodies]
    shape: Mapping[str, Any] = next(iter((rule.syntax.get("head") or {}).values()), {})
    results = [shape.get("key"), shape.get("assign"), shape.get("value"), [body["assign"] for body in bodies]]
    # A `not` gives no variable a value, and a `some x` only declares one.
    valued = {*_variables(queries, negated=False), *_variables(shape.get("args"))}
    valued |= rule.bound - _declared(rule.syntax, scope.module.source)
    for name in sorted({*_variables(results), *_variables(queries, negated=True)} - valued - {"_", "input", "data"}):
        if scope.resolve((name,)) is None:
            yield rule.line, f"the variable {name} has no value here; OPA calls it unsafe: assign it, or take it from a part of the input"


def _declared(tree: Mapping[str, Any], source: bytes) -> set[str]:
    """Names that ``some x`` only declares."""
    spans = (span for node in syntax.nodes(tree) if "SomeVars" in node for span in node["SomeVars"]["vars"])
    return {source[span["start"] : span["end"]].decode() for span in spans}


def _variables(node: Any, *, negated: bool | None = None) -> Iterator[str]:
    """The variables of a term or a body, names of functions aside: all, or those that are (not) under a ``not``."""
    left: list[tuple[Any, bool]] = [(node, False)]
    while left:
        one, under = left.pop()
        if isinstance(one, list):
            left += [(each, under) for each in one]
        elif isinstance(one, dict):
            if "Var" in one and negated in (None, under):
                yield one["Var"]["value"]
            left += [(value["params"] if kind == "Call" else value, under or kind == "NotExpr") for kind, value in one.items()]


def of_module(module: Module) -> Found:
    seen: dict[str, int] = {}
    for imported in module.imports:
        if imported.alias in seen:
            yield (
                imported.line,
                f"the import {imported.alias} hides the one in line {seen[imported.alias]}; remove one, or rename it with `as`",
            )
        seen[imported.alias] = imported.line


def of_names(known: Names) -> Iterator[tuple[str, int, str]]:
    """File, line and what is wrong with definitions of one name that cannot stand beside each other."""
    for scopes in known.definitions.values():
        first = scopes[0]
        name = ".".join(first.path)
        defaults = [scope for scope in scopes if "head" not in scope.rule.syntax]
        for scope in defaults[1:]:
            before = f"{defaults[0].module.file}:{defaults[0].rule.line}"
            yield scope.module.file, scope.rule.line, f"{name} has a default already, in {before}; keep one of them"
        for scope in scopes[1:]:
            if _form(scope) != _form(first) and None not in (_form(scope), _form(first)):
                before = f"{first.module.file}:{first.rule.line}"
                yield (
                    scope.module.file,
                    scope.rule.line,
                    f"{name} is {_form(first)} in {before} and {_form(scope)} here; rename one of them",
                )


def _form(scope: Scope) -> str | None:
    """What kind of rule a definition makes; ``None`` if it goes with others, as a default or a part of an object does."""
    if scope.rule.arity:
        return f"a function of {scope.rule.arity} arguments"
    head = scope.rule.syntax.get("head") or {}
    if "Set" in head:
        return "a set"
    if "Compr" in head and "Var" in head["Compr"]["refr"]:
        return "one value"
    return None


_ARITY = re.compile(r"expects (?:at least )?(\d+) argument")


@functools.cache
def arity_fault(name: str, count: int) -> str | None:
    """Why a built-in cannot be called with this many arguments; the engine itself knows it only when it comes to the call."""
    engine = regorus.Engine()
    try:
        engine.add_policy("call.rego", f"package call\nmade if {name}({', '.join(['1'] * count)})")
        engine.eval_rule_as_json("data.call.made")
    except RuntimeError as error:
        wanted = _ARITY.search(str(error))
        return None if wanted is None else f"{name} takes {wanted[1]}, not {count} arguments"
    return None
