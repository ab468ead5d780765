"""A module as the embedded engine has to get it, for it to mean what it means on OPA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.clients.rego import builtins, names, syntax
from gateway.clients.rego.builtins import Kind
from gateway.clients.rego.names import Names
from gateway.clients.rego.syntax import Invocation, Module, Reference, Rule
from gateway.clients.rego.type_inference import Terms

Edit = tuple[int, int, str]
"""What stands at bytes ``start`` to ``end`` from now on."""

_LIBRARY = "data.killcord.__opa"
_OWN = {"count": "count_of", "lower": "lower_of", "to_number": "number_of"}
_MEMBERS = f"{_LIBRARY}.members("

LIBRARY: Mapping[str, str] = {
    # This engine fails on `some x in 1`; on OPA there is no such x.
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
    # This engine forgives white space around a number, and takes some for numbers that OPA cannot write down.
    "a use of to_number": r"""package killcord.__opa

number_of(x) := to_number("no number") if {
	is_string(x)
	not regex.match(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$`, x)
} else := to_number(x)
""",
}
"""Modules that go with every bundle, by the name that an error in them is shown under."""


def expanded(module: Module, content: str, known: Names) -> str:
    """The module with its imports of ``data`` written out where they are used, ``lib.f(x)`` -> ``data.killcord.lib.f(x)``, and
    with what OPA does otherwise replaced by functions of ``LIBRARY``. Lines stay where they were.

    This engine finds no functions through imports, nor rules where data lies beside them.
    """
    source = content.encode()
    edits = {edit for rule in module.rules for edit in _edits(module, rule, known)}
    # From the end, so that places before stay valid; what is put before a term comes after what changes the term.
    for start, end, text in sorted(edits, reverse=True):
        source = source[:start] + text.encode() + source[end:]
    return source.decode()


def _edits(module: Module, rule: Rule, known: Names) -> Iterator[Edit]:
    imported = {each.alias: ".".join(step or "" for step in each.path) for each in module.imports if each.path[0] == "data"}
    for reference in _names_used(rule):
        if reference.root in imported:
            yield reference.start, reference.end, imported[reference.root]
    if module.package in builtins.HELD_TO_A_REFERENCE:
        return
    terms = Terms(module, rule, known)
    for invocation in rule.invocations:
        yield from _own(invocation, module, rule, terms, known)
    for node in syntax.nodes(rule.syntax):
        if (some := node.get("SomeIn")) and not _is_collection(some["collection"], terms):
            span = next(iter(some["collection"].values()))["span"]
            yield span["start"], span["start"], _MEMBERS
            yield span["end"], span["end"], ")"


def _names_used(rule: Rule) -> Iterator[Reference]:
    yield from (invocation.function for invocation in rule.invocations)
    yield from (reference for reference in rule.references if reference.root not in rule.bound)


def _own(invocation: Invocation, module: Module, rule: Rule, terms: Terms, known: Names) -> Iterator[Edit]:
    function = invocation.function
    own = _OWN.get(function.root) if len(function.path) == 1 else None
    if own is None or names.resolve(function.path, module, rule, known.definitions):
        return
    if not (function.root == "count" and _is_collection(invocation.arguments[0], terms)):
        yield function.start, function.end, f"{_LIBRARY}.{own}"


def _is_collection(node: Mapping[str, Any], terms: Terms) -> bool:
    written = ("Array", "Object", "Set", "ArrayCompr", "ObjectCompr", "SetCompr")
    return any(kind in node for kind in written) or terms.kind(node) in (Kind.LIST, Kind.SET)
