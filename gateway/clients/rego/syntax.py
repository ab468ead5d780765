"""What Rego modules refer to, read off the syntax tree that the embedded engine gives of them.

A tree is nested dicts: one key names the kind of a node (``RefDot``, ``Call``, ``SomeIn``, ...), spans count bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COMPREHENSIONS = ("ArrayCompr", "ObjectCompr", "SetCompr")

Path = tuple[str | None, ...]
"""Steps of a reference, its root first; ``None`` if a step is only known when the rule runs."""


@dataclass(frozen=True, slots=True)
class Reference:
    """``root`` lies at bytes ``start`` to ``end`` of its module."""

    path: Path
    line: int
    start: int
    end: int

    @property
    def root(self) -> str:
        assert self.path[0] is not None
        return self.path[0]


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call of a built-in or a function, with the syntax of what it is given."""

    function: Reference
    arguments: Sequence[Any]

    @property
    def name(self) -> str:
        return dotted(self.function.path)


@dataclass(slots=True)
class Rule:
    """One definition of a rule or a function (``arity`` is ``None`` for a rule), and what it refers to.

    ``bound`` holds the names it binds itself; ``aliases`` those that always represent one plain reference.
    ``asserted`` are the paths that it refers to outside of any ``not``; ``negated`` the references inside one that have
    to be defined for the ``not`` to mean what it seems to (see ``_Reading.negate``). ``once`` are the names that it binds
    in one place only; ``syntax`` is its tree.
    """

    name: tuple[str, ...]
    line: int
    arity: int | None
    syntax: Mapping[str, Any]
    references: list[Reference] = field(default_factory=list)
    invocations: list[Invocation] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)
    aliases: dict[str, Path] = field(default_factory=dict)
    asserted: set[Path] = field(default_factory=set)
    negated: list[Reference] = field(default_factory=list)
    once: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Import:
    path: Path
    alias: str
    line: int


@dataclass(frozen=True, slots=True)
class Module:
    file: str
    package: tuple[str, ...]
    imports: tuple[Import, ...]
    rules: tuple[Rule, ...]
    source: bytes = field(default=b"", repr=False)


def module(tree: Mapping[str, Any]) -> Module:
    source, syntax = tree["source"]["contents"].encode(), tree["ast"]
    package = reference_of(syntax["package"]["refr"])
    assert package is not None
    return Module(
        file=tree["source"]["file"],
        package=tuple(step for step in package.path if step is not None),
        imports=tuple(_imported(node, source) for node in syntax["imports"]),
        rules=tuple(_rule(node, source) for node in syntax["rules"]),
        source=source,
    )


def input_paths(modules: Iterable[Module], sources: Mapping[str, str]) -> tuple[tuple[str, ...], ...] | None:
    """Every path of ``input`` that a decision can depend on, each as far as it is known before the rule runs.

    ``None`` if a rule looks at the whole input, or if the text holds an ``input`` that the syntax does not account for.
    """
    paths: set[tuple[str, ...]] = set()
    for one in modules:
        roots = [reference for rule in one.rules for reference in rule.references if reference.root == "input"]
        imports = [imported.path for imported in one.imports if imported.path[0] == "input"]
        if len({reference.start for reference in roots}) + len(imports) != _mentions(sources[one.file]):
            return None
        paths |= {static_prefix(path[1:]) for path in (*(reference.path for reference in roots), *imports)}
    if () in paths:
        return None
    return tuple(sorted(path for path in paths if not any(path[:length] in paths for length in range(1, len(path)))))


_NO_CODE = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`|#[^\n]*')
_INPUT = re.compile(r"(?<![\w.])input(?!\w)")


def _mentions(source: str) -> int:
    """How often a module's code, strings and comments aside, says ``input``."""
    return len(_INPUT.findall(_NO_CODE.sub(" ", source)))


def reference_of(node: Any) -> Reference | None:
    """The reference that a node is, ``None`` if it is something else or hangs on something else (``f(x).y``)."""
    steps: list[str | None] = []
    while isinstance(node, dict):
        if dot := node.get("RefDot"):
            steps.append(dot["field"][1])
            node = dot["refr"]
        elif bracket := node.get("RefBrack"):
            steps.append(text(bracket["index"]))
            node = bracket["refr"]
        elif variable := node.get("Var"):
            span = variable["span"]
            return Reference((variable["value"], *reversed(steps)), span["line"], span["start"], span["end"])
        else:
            return None
    return None


def called_name(node: Mapping[str, Any]) -> str:
    """The dotted name that a node calls, as it is written; empty if it is no call."""
    function = reference_of(node["Call"]["fcn"]) if "Call" in node else None
    return dotted(function.path) if function else ""


def dotted(path: Path) -> str:
    """``input.lease.scopes._``: a step that is only known when the rule runs is shown as ``_``."""
    return ".".join("_" if step is None else step for step in path)


def text(node: Mapping[str, Any]) -> str | None:
    """The value of a node that is a plain string."""
    literal = node.get("String") or node.get("RawString")
    return literal["value"] if literal else None


def _imported(node: Mapping[str, Any], source: bytes) -> Import:
    reference = reference_of(node["refr"])
    assert reference is not None
    alias = _spelled(node["as"], source) if node.get("as") else reference.path[-1]
    assert alias is not None
    return Import(reference.path, alias, node["span"]["line"])


def _spelled(span: Mapping[str, int], source: bytes) -> str:
    return source[span["start"] : span["end"]].decode()


def _rule(node: Mapping[str, Any], source: bytes) -> Rule:
    definition = node.get("Spec") or node["Default"]
    head = definition.get("head")
    shape: Mapping[str, Any] = next(iter(head.values())) if head else definition
    name = reference_of(shape["refr"])
    assert name is not None
    arguments = shape.get("args") or []
    arity = len(arguments) if arguments or (head and "Func" in head) else None
    rule = Rule(static_prefix(name.path), definition["span"]["line"], arity, definition)
    reading = _Reading(rule, source)
    reading.bind(arguments)
    # The steps of a head after its name are outputs (`p[x]`): what they hold is read, the name itself is not.
    reading.read([shape.get("key"), shape.get("assign"), shape.get("value"), definition.get("bodies"), list(_indices(shape["refr"]))])
    names = [name for name, _ in reading.bindings]
    rule.once = {name for name in names if names.count(name) == 1}
    # A name bound twice (in two comprehensions, say) is not plain: what it stands for depends on where.
    rule.aliases = {name: path for name, path in reading.bindings if path is not None and name in rule.once}
    return rule


def nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every node of a tree, the outer ones first."""
    left = [node]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
            left.extend(reversed(one.values()))
        elif isinstance(one, list):
            left.extend(reversed(one))


def static_prefix(path: Path) -> tuple[str, ...]:
    """The steps of a path that are known before the rule runs."""
    steps: list[str] = []
    for step in path:
        if step is None:
            break
        steps.append(step)
    return tuple(steps)


def _indices(node: Any) -> Iterator[Any]:
    """The content of the brackets of a reference."""
    while isinstance(node, dict) and (bracket := node.get("RefBrack") or node.get("RefDot")):
        if "index" in bracket:
            yield bracket["index"]
        node = bracket["refr"]


class _Reading:
    """One pass over a rule's syntax."""

    def __init__(self, rule: Rule, source: bytes) -> None:
        self.rule = rule
        self.source = source
        self.bindings: list[tuple[str, Path | None]] = []
        self.negations = 0

    def bind(self, pattern: Any, path: Path | None = None) -> None:
        """Note every name in a pattern; ``path`` is what a lone name then stands for."""
        for name in variables(pattern):
            self.rule.bound.add(name)
            self.bindings.append((name, path if isinstance(pattern, dict) and "Var" in pattern else None))

    def read(self, node: Any) -> None:
        if isinstance(node, list):
            for each in node:
                self.read(each)
        elif isinstance(node, dict):
            self._read_node(node)

    def _read_node(self, node: Mapping[str, Any]) -> None:
        reference = reference_of(node)
        if reference is not None:
            self.rule.references.append(reference)
            if not self.negations:
                self.rule.asserted.add(reference.path)
            self.read(list(_indices(node)))
        elif negation := node.get("NotExpr"):
            self.negate(negation["expr"])
        elif call := node.get("Call"):
            self._read_call(call)
        else:
            self._read_binding(node)
            for value in node.values():
                self.read(value)

    def negate(self, expression: Mapping[str, Any]) -> None:
        """``not f(x)`` with an undefined ``x`` is undefined in OPA and true on regorus; ``not x`` and ``not x == 1`` are true on both."""
        self.negations += 1
        self.read(expression)
        self.negations -= 1
        equation = expression.get("BoolExpr") or expression.get("AssignExpr") or {}
        sides = [equation["lhs"], equation["rhs"]] if equation.get("op") == "Eq" else [expression]
        for side in sides:
            self.rule.negated += _strict(list(_indices(side)) if reference_of(side) else side)

    def _read_call(self, call: Mapping[str, Any]) -> None:
        function = reference_of(call["fcn"])
        assert function is not None
        self.rule.invocations.append(Invocation(function, call["params"]))
        self.read(call["params"])

    def _read_binding(self, node: Mapping[str, Any]) -> None:
        if (assigned := node.get("AssignExpr")) and assigned["op"] == "ColEq":
            reference = reference_of(assigned["rhs"])
            self.bind(assigned["lhs"], reference.path if reference else None)
        elif some := node.get("SomeIn"):
            self.bind(some["key"])
            self.bind(some["value"], _element(some["collection"]))
        elif every := node.get("Every"):
            for span, path in ((every["key"], None), (every["value"], _element(every["domain"]))):
                if span is not None:
                    self.bind({"Var": {"value": _spelled(span, self.source)}}, path)
        elif declared := node.get("SomeVars"):
            for span in declared["vars"]:
                self.bind({"Var": {"value": _spelled(span, self.source)}})


def _strict(node: Any) -> list[Reference]:
    """The references that a term cannot be evaluated without; a comprehension can always be."""
    if isinstance(node, list):
        return [reference for each in node for reference in _strict(each)]
    if not isinstance(node, dict) or any(kind in node for kind in COMPREHENSIONS):
        return []
    if call := node.get("Call"):
        return _strict(call["params"])
    reference = reference_of(node)
    return [reference, *_strict(list(_indices(node)))] if reference else _strict(list(node.values()))


def _element(collection: Any) -> Path | None:
    reference = reference_of(collection)
    return (*reference.path, None) if reference else None


def variables(pattern: Any) -> Iterator[str]:
    """The names in a pattern."""
    return (node["Var"]["value"] for node in nodes(pattern) if "Var" in node)
