"""Where a rule would mean one thing on the embedded engine and another on OPA; such a bundle does not load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.clients.rego import arguments, builtins, names, syntax
from gateway.clients.rego.builtins import Kind
from gateway.clients.rego.names import Names
from gateway.clients.rego.syntax import Module, Rule
from gateway.clients.rego.type_inference import Terms

_RECKONING = "engines reckon otherwise with fractions; put round(...) around it, counting in the smallest unit: round(100 * (a + b)) > 5000"
_REMAINDER = "only of counts and of integers of the input, the embedded engine fails on others"
_OBJECT = "engines differ in whether an object pattern may leave members out; name them: x.kind"
_COMPREHENSION = "the embedded engine runs no comprehension here; give it a name in a body: found := [...]"
_NEGATIVE = "the embedded engine negates no terms; write 0 - x"
_SETS_BY_KEY = "engines differ in what an object of sets is that has no member yet; use sets, or objects"
_NUMBER = "the embedded engine has whole numbers of up to 64 bits"

_COMPREHENSIONS = ("ArrayCompr", "ObjectCompr", "SetCompr")


def problems(module: Module, rule: Rule, known: Names) -> Iterator[tuple[int, str]]:
    terms = Terms(module, rule, known)
    yield from _reckonings(rule.syntax, terms)
    yield from _remainders(rule, terms)
    yield from _object_patterns(rule)
    yield from _unnamed_comprehensions(rule)
    head = rule.syntax.get("head") or {}
    if "RefBrack" in (head.get("Set") or {"refr": {}})["refr"]:
        yield rule.line, _SETS_BY_KEY
    for node in syntax.nodes(rule.syntax):
        if negative := node.get("UnaryExpr"):
            yield negative["span"]["line"], _NEGATIVE
        value = (node.get("Number") or {}).get("value")
        if isinstance(value, float) and value.is_integer() and abs(value) >= 1 << 63:
            yield node["Number"]["span"]["line"], _NUMBER
    if module.package not in builtins.HELD_TO_A_REFERENCE:
        yield from _arguments(module, rule, terms, known)


def _arguments(module: Module, rule: Rule, terms: Terms, known: Names) -> Iterator[tuple[int, str]]:
    for invocation in rule.invocations:
        path = invocation.function.path
        name = ".".join(step or "_" for step in path)
        is_builtin = names.resolve(path, module, rule, known.definitions) is None
        if is_builtin and (fault := arguments.fault(name, invocation.arguments, terms)):
            yield invocation.function.line, f"{name}: {fault}"


def _reckonings(node: Any, terms: Terms) -> Iterator[tuple[int, str]]:
    """The outermost arithmetic whose result may have a fraction that nothing rounds away."""
    if isinstance(node, list):
        for each in node:
            yield from _reckonings(each, terms)
    if not isinstance(node, dict) or _is_call(node, "round"):
        return
    arithmetic = node.get("ArithExpr")
    if arithmetic and arithmetic["op"] != "Mod" and terms.kind(node) is None:
        yield arithmetic["span"]["line"], _RECKONING
    elif _is_call(node, "sum") or _is_call(node, "product"):
        yield node["Call"]["span"]["line"], _RECKONING
    else:
        for value in node.values():
            yield from _reckonings(value, terms)


def _remainders(rule: Rule, terms: Terms) -> Iterator[tuple[int, str]]:
    for node in syntax.nodes(rule.syntax):
        arithmetic = node.get("ArithExpr")
        if arithmetic and arithmetic["op"] == "Mod" and terms.kind(node) is not Kind.INTEGER:
            yield arithmetic["span"]["line"], f"%: {_REMAINDER}"


def _is_call(node: Mapping[str, Any], name: str) -> bool:
    function = syntax.chain(node["Call"]["fcn"]) if "Call" in node else None
    return function is not None and function.path == (name,)


def _unnamed_comprehensions(rule: Rule) -> Iterator[tuple[int, str]]:
    """Those that are no part of a statement: in a head above a body, in the value of an ``else``, in the term of another."""
    bodies = rule.syntax.get("bodies") or []
    outside: list[Any] = [body["assign"] for body in bodies]
    if bodies:
        outside.append(rule.syntax["head"])
    for node in syntax.nodes(rule.syntax):
        for comprehension in (node[kind] for kind in _COMPREHENSIONS if kind in node):
            outside += [comprehension.get(part) for part in ("key", "term", "value")]
    for node in syntax.nodes(outside):
        yield from ((node[kind]["span"]["line"], _COMPREHENSION) for kind in _COMPREHENSIONS if kind in node)


def _object_patterns(rule: Rule) -> Iterator[tuple[int, str]]:
    for pattern in _patterns(rule):
        for node in syntax.nodes(pattern):
            if "Object" in node:
                yield node["Object"]["span"]["line"], _OBJECT


def _patterns(rule: Rule) -> Iterator[Any]:
    """What values are taken apart by."""
    head = rule.syntax.get("head") or {}
    yield (head.get("Func") or {}).get("args")
    for node in syntax.nodes(rule.syntax):
        if assigned := node.get("AssignExpr"):
            yield assigned["lhs"]
            if assigned["op"] == "Eq" and any(syntax.variables(assigned["rhs"])):
                yield assigned["rhs"]
        elif some := node.get("SomeIn"):
            yield [some["key"], some["value"]]
