"""What adapters declare as text, compiled once: JMESPath expressions (jmespath.org, as the package ``jmespath`` has it) and path templates.

A template such as ``/buckets/{tenant}/records/{id}`` is matched against decoded segments and filled into one path.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import jmespath
from jmespath import exceptions, functions, visitor

from gateway.core.request import canonical
from gateway.errors import MalformedRequest

ROOTS = frozenset({"request", "reply", "object", "vars", "run", "snapshot"})
"""All that a document may hold; a place in an adapter may see fewer."""

MAX_LENGTH = 2_048
"""Characters in one expression."""


class _Functions(functions.Functions):
    """Those of jmespath, and ``without``: fields that a tool sets are not stored, compared or restored."""

    @functions.signature({"types": ["object"]}, {"types": ["array-string"]})
    def _func_without(self, value: dict[str, Any], names: list[str]) -> dict[str, Any]:
        """An object without the members of these names."""
        return {name: member for name, member in value.items() if name not in names}


_INTERPRETER = visitor.TreeInterpreter(jmespath.Options(custom_functions=_Functions()))
_BACKTICKS = "; write a literal between backticks, such as `1` or `true`"
_FAILURES = (ValueError, TypeError, ArithmeticError, LookupError, RecursionError)

# What of a node's children is evaluated against the node's own input; the others see what an earlier child gave.
_IN_SEQUENCE = frozenset({"subexpression", "index_expression", "pipe"})
_BASE_FIRST = frozenset({"projection", "filter_projection", "value_projection", "flatten"})
_PASSES_ON = frozenset({"current", "identity"})


@dataclass(frozen=True, slots=True)
class Expression:
    """``keys`` is set if the expression is a plain dotted path; ``roots`` are the names it is sure to look up in the document."""

    text: str
    keys: tuple[str, ...] | None
    roots: frozenset[str]
    tree: Any = field(compare=False, repr=False)

    def search(self, document: object) -> object:
        """The value in a document; ``None`` if there is none, or evaluating it fails (``'a' < `1```, ``length(`null`)``)."""
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
        raise ValueError(f"the expression is longer than {MAX_LENGTH} characters; shorten it")
    tree = _parse(text)
    _check_functions(tree)
    found = frozenset(_roots(tree))
    if unknown := sorted(found - roots):
        hint = _BACKTICKS if unknown[0] in ("true", "false", "null") else _closest(unknown[0], roots)
        raise ValueError(f"{unknown[0]} is unknown here; an expression here begins with {_listed(roots)}{hint}")
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


def _listed(names: frozenset[str]) -> str:
    *head, last = sorted(names)
    return f"{', '.join(head)} or {last}" if head else last


def _closest(name: str, known: Mapping[str, Any] | frozenset[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


_CAPTURE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_VARIABLE = re.compile(r"\{vars\.([A-Za-z0-9_]+)\}")
_PLAIN = "!$&'()*+,=:@"
"""Characters that stand in a segment as they are, beside the unreserved ones (RFC 3986 3.3)."""


@dataclass(frozen=True, slots=True)
class Template:
    """``literals`` and ``captures`` are (position, text) and (position, name), together one per segment."""

    text: str
    length: int
    literals: tuple[tuple[int, str], ...]
    captures: tuple[tuple[int, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the captures, in path order."""
        return tuple(name for _, name in self.captures)

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """What the captures hold, or ``None``. Case and a trailing slash matter; a capture never holds an empty segment."""
        if len(segments) != self.length:
            return None
        for position, text in self.literals:
            if segments[position] != text:
                return None
        captured = {name: segments[position] for position, name in self.captures}
        return captured if all(captured.values()) else None

    def fill(self, captures: Mapping[str, object]) -> str:
        """The path with every value as one percent-encoded segment.

        Raises:
            KeyError: a capture is not given.
            ValueError: a value could be read as more, or other, than one segment.
        """
        parts = {position: encode(text) if text else "" for position, text in self.literals}
        parts |= {position: encode(captures[name]) for position, name in self.captures}
        return "/" + "/".join(parts[position] for position in range(self.length))

    def covers(self, other: Template) -> bool:
        """Whether every path that ``other`` matches is matched by this one too."""
        mine, theirs = dict(self.literals), dict(other.literals)
        return self.length == other.length and all(theirs.get(position) == text for position, text in mine.items())


def parse(text: str, variables: Mapping[str, object]) -> Template:
    """A template with the tool's variables (``{vars.name}``) put in. Literals are written decoded.

    Raises:
        ValueError: the text is no template, or a variable is missing or no single segment.
    """
    filled = _VARIABLE.sub(lambda found: _variable(found[1], variables), text)
    if not filled.startswith("/"):
        raise ValueError(f"the path {text!r} must begin with /")
    parts = filled[1:].split("/")
    literals, captures = [], []
    for position, part in enumerate(parts):
        if found := _CAPTURE.fullmatch(part):
            captures.append((position, found[1]))
        else:
            literals.append((position, _literal(part, text, last=position == len(parts) - 1)))
    names = [name for _, name in captures]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"the path {text!r} captures {{{twice}}} twice; rename one")
    return Template(text, len(parts), tuple(literals), tuple(captures))


def encode(value: object) -> str:
    """A value as one path segment, percent-encoded; judged by the data API's own rules, so that no path is filled that it would refuse.

    Raises:
        ValueError: no text or whole number, empty, dots, or what some tool could read as more, or other, than one segment.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(f"a {type(value).__name__} cannot be a path segment; only a text or a whole number can")
    if value == "":
        raise ValueError("an empty text cannot be a path segment")
    try:
        encoded = _segment(str(value))
    except UnicodeEncodeError:
        raise ValueError("a text that is not valid Unicode cannot be a path segment") from None
    except MalformedRequest as refused:
        raise ValueError(refused.detail) from refused
    return encoded


@functools.lru_cache(1024)
def _segment(text: str) -> str:
    """The same ids come again and again: read before, written, read back."""
    encoded = quote(text, safe=_PLAIN)
    canonical.decode(encoded)
    return encoded


def _variable(name: str, variables: Mapping[str, object]) -> str:
    if name not in variables:
        raise ValueError(f"vars.{name} is missing; add it to the tool's vars")
    try:
        encode(variables[name])
    except ValueError as error:
        raise ValueError(f"vars.{name}: {error}") from error
    return str(variables[name])


def _literal(part: str, text: str, *, last: bool) -> str:
    if part == "" and last:  # "/" alone, or a trailing slash: both matter to a tool
        return part
    if "{" in part or "}" in part:
        raise ValueError(f"in the path {text!r}, {part!r} must be a literal or one whole {{name}} (lower case letters, digits, _)")
    if "%" in part:
        raise ValueError(f"in the path {text!r}, write {part!r} decoded")
    try:
        encode(part)
    except ValueError as error:
        raise ValueError(f"the path {text!r} cannot occur in a call: {error}") from error
    return part
