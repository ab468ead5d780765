"""Which members of a request an expression reads, and which of a call's keys a lenient tool could take for one of them. Pure.

Decoders in use ignore case (Go, .NET), look-alike forms and invisible characters, ``_`` and ``-`` (``refund_amount`` and ``refundAmount``
in protobuf's JSON), a bracket behind the name in forms and queries (``amount[]``), and blanks around it. What the gateway reads
as ``amount`` must not come to the tool as ``Amount``.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from gateway.core.adapter.expression import Expression
from gateway.core.request import body as request_body

Path = tuple[str, ...]
"""Names of members from the document down; lists are not counted. ``*`` stands for any name."""

ANY = "*"
_OF_DOCUMENTS: Mapping[str, Sequence[str]] = {
    "request": ("method", "path", "query", "headers", "body"),
    "reply": ("status", "headers", "body", "bytes"),
    "object": ("version", "body"),
    "run": ("run_id", "workflow_id", "tenant", "agent_id", "task_class"),
}
_SEPARATORS = re.compile(r"(?<=\w)[-_. ]+(?=\w)")


class Names(Struct, frozen=True):
    """The members that are read of an object, by name, and how a lenient decoder could spell each."""

    members: Mapping[str, Names] = field(default_factory=dict)
    lenient: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.members)


NOTHING = Names()


class CallMembers(Struct, frozen=True):
    """The members of a call's body and query that are read."""

    body: Names = NOTHING
    query: Names = NOTHING


def names_of(paths: Iterable[Path]) -> Names:
    """The tree of these paths."""
    below: dict[str, list[Path]] = {}
    for path in paths:
        if path:
            below.setdefault(path[0], []).append(path[1:])
    members = {name: names_of(rest) for name, rest in below.items()}
    return Names(members, frozenset(normalized(name) for name in members if name != ANY))


def lookalike(value: object, names: Names, declared: Names = NOTHING) -> tuple[str, str] | None:
    """A key that is not a name which is read, nor ``declared``, and the name for which a tool could take it; ``None`` if there is none."""
    if isinstance(value, list):
        return next((found for item in value if (found := lookalike(item, names, declared))), None)
    if not isinstance(value, dict):
        return None
    every = names.members.get(ANY)
    for key, member in value.items():
        below = names.members.get(key)
        if below is None and names.lenient and key not in declared.members and resembles(key, names.lenient):
            return str(key), next(name for name in names.members if name != ANY and resembles(key, frozenset({normalized(name)})))
        for each in (below, every):
            if each and isinstance(member, (dict, list)) and (found := lookalike(member, each, declared.members.get(key, NOTHING))):
                return found
    return None


def resembles(key: str, lenient: frozenset[str]) -> bool:
    """Whether a lenient decoder could take the key for one of these names."""
    return normalized(key) in lenient or ("[" in key and normalized(key.partition("[")[0]) in lenient)


@functools.lru_cache(4096)
def normalized(key: str) -> str:
    """A key as the most lenient decoder could spell it."""
    return _SEPARATORS.sub("", request_body.casefold(key).strip())


def of(expressions: Iterable[Expression | None]) -> frozenset[Path]:
    """Every path that the expressions read, from the document's root."""
    walk = _Walk()
    for one in expressions:
        if one is not None:
            walk.value(one.tree, _ROOT)
    return frozenset(walk.found)


def unknown(expression: Expression) -> str | None:
    """What an expression looks up that no document has, as a problem: it would be missing in every call, and nothing would report it."""
    for path in sorted(of((expression,))):
        known = _OF_DOCUMENTS.get(path[0])
        if known is None or len(path) < 2 or path[1] == ANY:
            continue
        if path[1] not in known:
            near = difflib.get_close_matches(path[1], known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return f"{path[0]}.{path[1]} is unknown; {path[0]} has {', '.join(known[:-1])} and {known[-1]}{hint}"
        if path[1] == "headers" and len(path) > 2 and path[2] != path[2].lower():
            name = path[2].lower() if path[2].isidentifier() else f'"{path[2].lower()}"'
            return f"names of headers are in lower case here; write {path[0]}.headers.{name}"
    return None


def texts_of(expression: Expression) -> frozenset[Path]:
    """The members of whose text an expression looks at a part (its beginning, what it contains, its order) and not at the whole."""
    walk = _Walk()
    walk.value(expression.tree, _ROOT)
    return frozenset(walk.texts)


def lists_of(expression: Expression) -> frozenset[Path]:
    """The lists of which an expression looks at some members, or at one member of each, and not at all that is in them."""
    walk = _Walk()
    walk.value(expression.tree, _ROOT)
    return frozenset(walk.lists)


def excluded_by(expression: Expression) -> frozenset[Path]:
    """The members that an expression wants to have another text than the ones that it names."""
    walk = _Walk()
    walk.value(expression.tree, _ROOT)
    return frozenset(walk.excluded)


def under(paths: Iterable[Path], *root: str) -> Names:
    """What is read below a place of the document, such as ``request``, ``body``."""
    return names_of(path[len(root) :] for path in paths if path[: len(root)] == root)


_ROOT: frozenset[Path] = frozenset({()})
_OF_TEXT = frozenset({"starts_with", "ends_with", "contains", "reverse", "segment"})
_ORDERS = frozenset({"lt", "lte", "gt", "gte"})
_LISTS = frozenset({"multi_select_list", "projection", "filter_projection", "value_projection", "flatten", "literal"})
_CHOOSE = frozenset({"join", "max", "max_by", "min", "min_by"})
_PROJECTIONS = frozenset({"projection", "filter_projection", "value_projection"})
_GIVE_LISTS = frozenset({"keys", "values", "map", "sort", "sort_by", "to_array"})


class _Walk:
    """A walk through expressions: ``found`` are the paths that they read, ``texts`` those of which they read a part of the text,
    ``lists`` those of which they read some members, and ``excluded`` those that they want to be other texts than named ones.
    """

    def __init__(self) -> None:
        self.found: set[Path] = set()
        self.texts: set[Path] = set()
        self.lists: set[Path] = set()
        self.excluded: set[Path] = set()

    def value(self, node: Mapping[str, Any], at: frozenset[Path]) -> frozenset[Path]:
        """Where the value of an expression may come from, if it is evaluated at these places."""
        kind, children = node["type"], node["children"]
        match kind:
            case "field":
                read = frozenset((*path, node["value"]) for path in at)
                self.found |= read
                return read
            case "index" | "slice":
                self.lists |= at
                return at
            case "current" | "identity":
                return at
            case "literal":
                return frozenset()
            case "subexpression" | "pipe" | "index_expression":
                for child in children:
                    at = self.value(child, at)
                return at
            case "projection" | "filter_projection" | "value_projection":
                base = self.value(children[0], at)
                if children[1]["type"] not in ("identity", "current"):
                    self.lists |= base
                base = frozenset((*path, ANY) for path in base) if kind == "value_projection" else base
                excluded = set(self.excluded)
                for child in children[2:]:
                    self.value(child, base)
                self.excluded = excluded  # a condition chooses members, and says nothing yet of the whole
                return self.value(children[1], base)
            case "function_expression":
                return self._function(node, at)
            case _:
                given = frozenset[Path]().union(*(self.value(child, at) for child in children))
                if kind == "comparator" and node["value"] in _ORDERS and _has_text(node):
                    self.texts |= given
                if (kind == "comparator" and node["value"] == "ne" and _has_text(node)) or (kind == "not_expression" and _names_text(node)):
                    self.excluded |= given
                return given

    def _function(self, node: Mapping[str, Any], at: frozenset[Path]) -> frozenset[Path]:
        values = [child for child in node["children"] if child["type"] != "expref"]
        each = [self.value(child, at) for child in values]
        given = frozenset[Path]().union(*each)
        if node["value"] in _OF_TEXT and not _is_list(values[0]):
            self.texts |= each[0]
        if node["value"] in _CHOOSE or (node["value"] == "contains" and values[0]["type"] in (*_PROJECTIONS, "flatten")):
            self.lists |= given
        if node["value"] == "values":
            given = frozenset((*path, ANY) for path in given)
        # An expression of its own (map, sort_by) is evaluated at the members of its other arguments.
        mapped = [self.value(child["children"][0], given) for child in node["children"] if child["type"] == "expref"]
        return given.union(*mapped)


def _is_list(node: Mapping[str, Any]) -> bool:
    return node["type"] in _LISTS or (node["type"] == "function_expression" and node["value"] in _GIVE_LISTS)


def _has_text(node: Mapping[str, Any]) -> bool:
    return any(child["type"] == "literal" and isinstance(child["value"], str) for child in node["children"])


def _names_text(node: Mapping[str, Any]) -> bool:
    """Whether a text is named anywhere in it."""
    if node["type"] == "literal":
        return isinstance(node["value"], str) or (isinstance(node["value"], list) and any(isinstance(one, str) for one in node["value"]))
    return any(_names_text(child) for child in node["children"] if isinstance(child, dict))
