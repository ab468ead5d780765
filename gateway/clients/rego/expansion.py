"""Rewriting a module for the embedded engine, so that it means there what it means on OPA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.clients.rego import builtins, syntax
from gateway.clients.rego.builtins import Kind
from gateway.clients.rego.names import Names, Scope
from gateway.clients.rego.syntax import Module

Edit = tuple[int, int, str]
"""(start, end, text): the text replaces the bytes from ``start`` to ``end``."""

_LIBRARY = "data.killcord.__opa"
_OWN = {"count": "count_of", "lower": "lower_of", "to_number": "number_of"}
_MEMBERS = f"{_LIBRARY}.members("
_COLLECTIONS = ("Array", "Object", "Set", *syntax.COMPREHENSIONS)

LIBRARY: Mapping[str, str] = {
    # This engine fails on `some x in 1`; on OPA no such x exists.
    "a use of some ... in": """package killcord.__opa

members(x) := x if type_name(x) in {"array", "object", "set"}
""",
    # This engine counts what is beyond U+FFFF twice.
    "a use of count": """package killcord.__opa

count_of(x) := count(split(x, "")) if {
	is_string(x)
} else := count(x)
""",
    # This engine has other small letters for a sigma that ends a word and a dotted I, and some for letters that OPA does not know yet.
    "a use of lower": r"""package killcord.__opa

lower_of(x) := lower(x) if {
	regex.match(`^[\x00-\x7f]*$`, x)
} else := small if {
	letters := [letter(each) | some each in split(x, "")]
	small := concat("", letters)
}

letter(each) := "i" if {
	each == "İ"
} else := each if {
	regex.match(`[\x{1c89}\x{a7cb}\x{a7cc}\x{a7ce}\x{a7d2}\x{a7d4}\x{a7da}\x{a7dc}\x{10d50}-\x{10d65}\x{16ea0}-\x{16eb8}]`, each)
} else := lower(each)
""",
    # This engine accepts white space around a number, and takes some for numbers that OPA cannot write down.
    "a use of to_number": r"""package killcord.__opa

number_of(x) := to_number("no number") if {
	is_string(x)
	not regex.match(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$`, x)
} else := to_number(x)
""",
}
"""Modules that go with every bundle, by the name that an error in them is shown under."""


def expand(module: Module, content: str, known: Names) -> str:
    """The module with its imports of ``data`` written out where they are used, ``lib.f(x)`` -> ``data.killcord.lib.f(x)``, and
    with what OPA does differently replaced by functions of ``LIBRARY``. Lines stay where they were.

    This engine finds no functions through imports, nor rules where data lies beside them.
    """
    source = content.encode()
    edits = {edit for rule in module.rules for edit in _edits(Scope(module, rule, known))}
    # From the end, so that places before stay valid; what is put before a term comes after what changes the term.
    for start, end, text in sorted(edits, reverse=True):
        source = source[:start] + text.encode() + source[end:]
    return source.decode()


def _edits(scope: Scope) -> Iterator[Edit]:
    module, rule = scope.module, scope.rule
    imported = {each.alias: ".".join(step or "" for step in each.path) for each in module.imports if each.path[0] == "data"}
    functions = [invocation.function for invocation in rule.invocations]
    for reference in (*functions, *(reference for reference in rule.references if reference.root not in rule.bound)):
        if reference.root in imported:
            yield reference.start, reference.end, imported[reference.root]
    if module.package in builtins.HELD_TO_A_REFERENCE:
        return
    for invocation in rule.invocations:
        function, own = invocation.function, _OWN.get(invocation.name)
        if own is None or scope.resolve(function.path):
            continue
        if not (function.root == "count" and _is_collection(invocation.arguments[0], scope)):
            yield function.start, function.end, f"{_LIBRARY}.{own}"
    for node in syntax.nodes(rule.syntax):
        if (some := node.get("SomeIn")) and not _is_collection(some["collection"], scope):
            span = next(iter(some["collection"].values()))["span"]
            yield span["start"], span["start"], _MEMBERS
            yield span["end"], span["end"], ")"


def _is_collection(node: Mapping[str, Any], scope: Scope) -> bool:
    return any(kind in node for kind in _COLLECTIONS) or scope.kind(node) in (Kind.LIST, Kind.SET)
