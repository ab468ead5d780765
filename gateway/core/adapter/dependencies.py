"""What of a request an expression takes its value from: which headers, query keys and members of the body. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from gateway.core.adapter.expression import Expression

Path = tuple[str, ...]


class Dependencies(Struct, frozen=True):
    """``headers`` and ``query`` are names; ``body`` holds paths within the body. ``unnamed``: it takes all headers, all of the query, or
    all of the request, so that the name is unknown.
    """

    headers: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()
    body: frozenset[Path] = frozenset()
    unnamed: bool = False


def of(expression: Expression | None) -> Dependencies:
    """What an expression may read of the request; nothing, where there is none."""
    if expression is None:
        return Dependencies()
    paths = frozenset(_consumed(expression.tree))
    asked = [path for path in paths if not path or path[0] == "request"]
    return Dependencies(
        headers=frozenset(path[2].lower() for path in asked if path[1:2] == ("headers",) and len(path) > 2),
        query=frozenset(path[2] for path in asked if path[1:2] == ("query",) and len(path) > 2),
        body=frozenset(path[2:] for path in asked if path[1:2] == ("body",)),
        unnamed=any(len(path) < 2 or (len(path) == 2 and path[1] in ("headers", "query")) for path in asked),
    )


def depends_on(expression: Expression, *path: str) -> bool:
    """Whether an expression takes the value at this path of the document, all or part of it, or something that it is part of."""
    return any(path[: len(one)] == one[: len(path)] for one in _consumed(expression.tree))


def _consumed(tree: Mapping[str, Any]) -> set[Path]:
    """The paths, from the document's root, of every value that an expression takes."""
    found: set[Path] = set()
    _take(_walk(tree, (), found), found)
    return found


def _take(path: Path | None, found: set[Path]) -> None:
    if path is not None:
        found.add(path)


def _walk(node: Mapping[str, Any], base: Path | None, found: set[Path]) -> Path | None:
    """The path that a node's value has in the document, ``None`` if it is made from others: those are ``found``.

    ``base`` is the path of what the node is evaluated against.
    """
    match node["type"]:
        case "field":
            return None if base is None else (*base, node["value"])
        case "current" | "identity":
            return base
        case "subexpression" | "pipe" | "index_expression":
            for child in node["children"]:
                base = _walk(child, base, found)
            return base
        case "index" | "slice":
            return base
        case "literal" | "expref":
            return None
        case "projection" | "filter_projection" | "value_projection" | "flatten":
            # What follows sees single elements: it can name nothing else of the document.
            _take(_walk(node["children"][0], base, found), found)
            return None
        case _:
            for child in _children(node):
                _take(_walk(child, base, found), found)
            return None


def _children(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (child for child in node["children"] if isinstance(child, dict))
