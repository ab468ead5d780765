"""JMESPath expressions of adapters, compiled once. Source: jmespath.org, as the package `jmespath` has it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jmespath
from jmespath import exceptions, functions, visitor

ROOTS = frozenset({"request", "reply", "object", "vars", "run", "snapshot"})
"""All that a document may hold; a place in an adapter may see fewer."""

MAX_LENGTH = 2_048
"""Characters in one expression."""


class _Functions(functions.Functions):
    """Those of jmespath, and one more: what a tool sets by itself is no part of what is kept, compared or put back."""

    @functions.signature({"types": ["object"]}, {"types": ["array-string"]})
    def _func_without(self, value: dict[str, Any], names: list[str]) -> dict[str, Any]:
        """An object without the members of these names."""
        return {name: member for name, member in value.items() if name not in names}


_INTERPRETER = visitor.TreeInterpreter(jmespath.Options(custom_functions=_Functions()))
_BACKTICKS = "; a literal stands between backticks, such as `1` or `true`"
_FAILURES = (ValueError, TypeError, ArithmeticError, LookupError, RecursionError)

# What of a node's children is evaluated against the node's own input; the others see what an earlier child gave.
_IN_SEQUENCE = frozenset({"subexpression", "index_expression", "pipe"})
_BASE_FIRST = frozenset({"projection", "filter_projection", "value_projection", "flatten"})
_PASSES_ON = frozenset({"current", "identity"})


@dataclass(frozen=True, slots=True)
class Expression:
    """``keys`` is set where the expression is a plain dotted path; ``roots`` are the names it is sure to look up in the document."""

    text: str
    keys: tuple[str, ...] | None
    roots: frozenset[str]
    tree: Any = field(compare=False, repr=False)

    def search(self, document: object) -> object:
        """The value in a document; ``None`` where there is none, and where evaluating it fails (``'a' < `1```, ``length(`null`)``)."""
        if self.keys is None:
            try:
                return _INTERPRETER.visit(self.tree, document)
            except _FAILURES:
                return None
        value: Any = document
        try:
            for key in self.keys:
                value = value.get(key)
        except AttributeError:
            return None
        return value

    def holds(self, document: object) -> bool:
        """Whether the value is exactly ``true``; JMESPath's own truthiness would let any text pass."""
        return self.search(document) is True


def compile(text: str, *, roots: frozenset[str] = ROOTS) -> Expression:
    """Compile an expression that may look up ``roots``.

    Raises:
        ValueError: the syntax, a function, or a root is wrong; the message says where and what would be right.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the expression is longer than {MAX_LENGTH} characters; say it in less")
    tree = _parse(text)
    _check_functions(tree)
    found = frozenset(_roots(tree))
    if unknown := sorted(found - roots):
        hint = _BACKTICKS if unknown[0] in ("true", "false", "null") else _closest(unknown[0], roots)
        raise ValueError(f"{unknown[0]} is not known here; an expression here begins with {_listed(roots)}{hint}")
    keys = tuple(_dotted(tree)) if _is_dotted(tree) else None
    return Expression(text, keys, found, tree)


def _parse(text: str) -> Any:
    try:
        return jmespath.compile(text).parsed
    except exceptions.EmptyExpressionError:
        raise ValueError("the expression is empty") from None
    except exceptions.LexerError as error:
        raise ValueError(f"syntax error at column {error.lex_position + 1} of {text!r}: {error.message}") from None
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
    table = _Functions.FUNCTION_TABLE
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


def _roots(node: Mapping[str, Any]) -> Iterator[str]:
    """Names looked up in the document itself; what stands behind a dot, a pipe, a projection or ``&`` sees something else."""
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


def _listed(names: frozenset[str]) -> str:
    *head, last = sorted(names)
    return f"{', '.join(head)} or {last}" if head else last


def _closest(word: str, known: Mapping[str, Any] | frozenset[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
