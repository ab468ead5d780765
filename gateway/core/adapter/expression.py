"""JMESPath expressions that adapters declare, compiled once (jmespath.org, as the package ``jmespath`` has it)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jmespath import exceptions

from gateway.core.adapter import evaluation
from gateway.core.request import exact_json

ROOTS = frozenset({"request", "reply", "object", "vars", "run", "snapshot"})
"""All that a document may hold; a place in an adapter may see fewer."""

MAX_LENGTH = 2_048
"""Characters in one expression."""


_HINTS = {
    "-": '; a name with a dash is quoted: request.headers."x-account"',
    "/": "; a text has quotes of its own: \"'application/json'\"",
}
_BACKTICKS = "; write a literal between backticks, such as `1` or `true`"
_FAILURES = (ValueError, TypeError, ArithmeticError, LookupError, RecursionError)

# What of a node's children is evaluated against the node's own input; the others see what an earlier child gave.
_IN_SEQUENCE = frozenset({"subexpression", "index_expression", "pipe"})
_BASE_FIRST = frozenset({"projection", "filter_projection", "value_projection", "flatten"})
_PASSES_ON = frozenset({"current", "identity"})


@dataclass(frozen=True, slots=True)
class Expression:
    """``keys`` is set if the expression is a plain dotted path, ``equality`` if it compares such paths or literals for equality;
    ``roots`` are the names it is sure to look up in the document.
    """

    text: str
    keys: tuple[str, ...] | None
    roots: frozenset[str]
    tree: Any = field(compare=False, repr=False)
    equality: Equality | None = field(default=None, compare=False, repr=False)

    def search(self, document: object) -> object:
        """The value in a document; ``None`` if there is none, or evaluating it fails (``'a' < `1```, ``length(`null`)``)."""
        if self.keys is not None:
            return _looked_up(self.keys, document)
        if self.equality is not None:
            return self.equality.holds(document)
        try:
            return evaluation.INTERPRETER.visit(self.tree, document)
        except _FAILURES:
            return None

    def holds(self, document: object) -> bool:
        """Whether the value is exactly ``true``; JMESPath's own truthiness would let any text pass."""
        return self.search(document) is True


@dataclass(frozen=True, slots=True)
class Equality:
    """``a == b``, or ``a != b`` if not ``wanted``: what most postconditions are, judged without the interpreter.

    A side is the keys of a dotted path, or else a value.
    """

    left: tuple[tuple[str, ...] | None, object]
    right: tuple[tuple[str, ...] | None, object]
    wanted: bool

    def holds(self, document: object) -> bool:
        left, right = (value if keys is None else _looked_up(keys, document) for keys, value in (self.left, self.right))
        return exact_json.same(left, right) is self.wanted


def _looked_up(keys: tuple[str, ...], document: object) -> object:
    value: Any = document
    try:
        for key in keys:
            value = value.get(key)
    except AttributeError:
        return None
    return value


def compile(text: str, *, roots: frozenset[str] = ROOTS) -> Expression:
    """Compile an expression that may look up ``roots``.

    Raises:
        ValueError: the syntax, a function, or a root is wrong; the message says where and what would be right.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the expression is longer than {MAX_LENGTH} characters; shorten it")
    tree = _parse(text)
    _check_functions(tree)
    _check_negations(tree)
    found = frozenset(_roots(tree))
    if unknown := sorted(found - roots):
        hint = _BACKTICKS if unknown[0] in ("true", "false", "null") else _closest(unknown[0], roots)
        raise ValueError(f"{unknown[0]} is unknown here; an expression here begins with {_listed(roots)}{hint}")
    keys = tuple(_dotted(tree)) if _is_dotted(tree) else None
    return Expression(text, keys, found, tree, _equality(tree))


def _parse(text: str) -> Any:
    try:
        return evaluation.parse(text)
    except exceptions.EmptyExpressionError:
        raise ValueError("the expression is empty") from None
    except exceptions.LexerError as error:
        at = error.lex_position
        raise ValueError(f"syntax error at column {at + 1} of {text!r}: {error.message}{_HINTS.get(text[at : at + 1], '')}") from None
    except exceptions.IncompleteExpressionError:
        raise ValueError(f"{text!r} is not complete") from None
    except exceptions.ParseError as error:
        hint = _BACKTICKS if str(error.token_value).lstrip("-").isdigit() else ""
        raise ValueError(f"syntax error at column {error.lex_position + 1} of {text!r}, at {error.token_value!r}{hint}") from None
    except (exceptions.JMESPathError, RecursionError) as error:
        raise ValueError(f"{text!r} cannot be read: {error}") from None


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node["children"]:
        if isinstance(child, dict):  # a slice's children are numbers
            yield from _nodes(child)


def _check_functions(tree: Mapping[str, Any]) -> None:
    table = evaluation.Functions.FUNCTION_TABLE
    for node in _nodes(tree):
        if node["type"] != "function_expression":
            continue
        name, given = node["value"], len(node["children"])
        if name not in table:
            raise ValueError(f"there is no function {name}()" + _closest(name, table))
        signature = table[name]["signature"]
        variadic = bool(signature) and bool(signature[-1].get("variadic"))
        if given < len(signature) or (given > len(signature) and not variadic):
            raise ValueError(f"{name}() takes {len(signature)} argument(s), not {given}")


def _check_negations(tree: Mapping[str, Any]) -> None:
    """``!`` binds tighter than a dot in JMESPath: ``!reply.body.ok`` is a member of ``!reply``, which has none."""
    for node in _nodes(tree):
        first = node["children"][0] if node["type"] in ("subexpression", "index_expression") else None
        if isinstance(first, dict) and first["type"] == "not_expression":
            raise ValueError("! negates only the name behind it, so that this is never true; write !(...) around the whole path")


def _roots(node: Mapping[str, Any]) -> Iterator[str]:
    """Names that are looked up in the document; names after a dot, a pipe, a projection or ``&`` are not."""
    kind, children = node["type"], node["children"]
    if kind == "field":
        yield node["value"]
    elif kind in _BASE_FIRST:
        yield from _roots(children[0])
    elif kind in _IN_SEQUENCE:
        for child in children:
            yield from _roots(child)
            if child["type"] not in _PASSES_ON:
                break
    elif kind not in ("expref", "slice"):
        for child in children:
            yield from _roots(child)


def _is_dotted(node: Mapping[str, Any]) -> bool:
    return node["type"] == "field" or (node["type"] == "subexpression" and all(_is_dotted(child) for child in node["children"]))


def _dotted(node: Mapping[str, Any]) -> Iterator[str]:
    if node["type"] == "field":
        yield node["value"]
    else:
        for child in node["children"]:
            yield from _dotted(child)


def _equality(node: Mapping[str, Any]) -> Equality | None:
    if node["type"] != "comparator" or node["value"] not in ("eq", "ne"):
        return None
    left, right = node["children"]
    if not all(child["type"] == "literal" or _is_dotted(child) for child in (left, right)):
        return None
    return Equality(_side(left), _side(right), node["value"] == "eq")


def _side(node: Mapping[str, Any]) -> tuple[tuple[str, ...] | None, object]:
    return (None, node["value"]) if node["type"] == "literal" else (tuple(_dotted(node)), None)


def _listed(names: frozenset[str]) -> str:
    *head, last = sorted(names)
    return f"{', '.join(head)} or {last}" if head else last


def _closest(name: str, known: Mapping[str, Any] | frozenset[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def name_of(value: object) -> str | None:
    """A non-empty text, or a whole number as one."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value) or None
