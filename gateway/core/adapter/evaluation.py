"""JMESPath as the package ``jmespath`` has it, with numbers of exact value, and booleans that are no numbers.

The package counts in doubles and takes ``true`` for ``1`` within lists and objects; what a tool writes with more digits has to compare by
all of them.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import jmespath
from jmespath import exceptions, functions, lexer, parser, visitor

from gateway.core.request import exact_json
from gateway.core.request.exact_json import EXACT, Number, exact, is_number, same

_LITERAL = re.compile(r"`((?:[^`\\]|\\.)*)`", re.DOTALL)
_PYTHON_TYPES = {**functions.REVERSE_TYPES_MAP, "number": ("float", "int", "Decimal")}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {"lt": operator.lt, "gt": operator.gt, "lte": operator.le, "gte": operator.ge}


class Functions(functions.Functions):
    """Those of jmespath, and two more.

    ``without``: fields that a tool sets are not stored, compared or restored. ``segment``: an id out of a path or URL, such as a Location.
    """

    @functions.signature({"types": ["object"]}, {"types": ["array-string"]})
    def _func_without(self, value: dict[str, Any], names: list[str]) -> dict[str, Any]:
        """An object without the members of these names."""
        return {name: member for name, member in value.items() if name not in names}

    @functions.signature({"types": ["string", "null"]}, {"types": ["number"]})
    def _func_segment(self, url: str | None, number: object) -> str | None:
        """One segment of a path or URL, decoded; ``0`` is the first, ``-1`` the last that is not empty. ``None`` if there is none."""
        try:
            parts = [part for part in urlsplit(url or "").path.split("/") if part]
            return unquote(parts[number], errors="strict") if isinstance(number, int) else None
        except (ValueError, IndexError):
            return None

    @functions.signature({"types": ["number"]})
    def _func_abs(self, value: Number) -> Number:
        return value.copy_abs() if isinstance(value, Decimal) else abs(value)

    @functions.signature({"types": ["number"]})
    def _func_ceil(self, value: Number) -> int:
        return exact_json.rounded(value, up=True)

    @functions.signature({"types": ["number"]})
    def _func_floor(self, value: Number) -> int:
        return exact_json.rounded(value, up=False)

    @functions.signature({"types": ["array-number"]})
    def _func_sum(self, values: list[Number]) -> Number:
        return _sum(values)

    @functions.signature({"types": ["array-number"]})
    def _func_avg(self, values: list[Number]) -> Number | None:
        if not values:
            return None
        mean = Fraction(exact(_sum(values))) / len(values)
        return float(mean) if mean.denominator != 1 or any(type(value) is not int for value in values) else int(mean)

    @functions.signature({"types": ["array-number", "array-string"]})
    def _func_max(self, values: list[Any]) -> Any:
        return max(values, key=_ordered) if values else None

    @functions.signature({"types": ["array-number", "array-string"]})
    def _func_min(self, values: list[Any]) -> Any:
        return min(values, key=_ordered) if values else None

    @functions.signature({"types": ["array-string", "array-number"]})
    def _func_sort(self, values: list[Any]) -> list[Any]:
        return sorted(values, key=_ordered)

    @functions.signature({"types": ["array", "string"]}, {"types": []})
    def _func_contains(self, subject: Any, sought: object) -> bool:
        if isinstance(subject, str):
            return isinstance(sought, str) and sought in subject
        return any(same(member, sought) for member in subject)

    @functions.signature({"types": []})
    def _func_to_number(self, value: object) -> object:
        if not isinstance(value, str):
            return value if is_number(value) else None
        try:
            return exact_json.number(value)
        except ValueError:
            return None

    @functions.signature({"types": []})
    def _func_to_string(self, value: object) -> str:
        if isinstance(value, str):
            return value
        try:
            return json.dumps(value, separators=(",", ":"))
        except TypeError:  # decimals, which only we write
            return exact_json.dumps(value).decode()

    @functions.signature({"types": []})
    def _func_type(self, value: object) -> str | None:
        return self._convert_to_jmespath_type(type(value).__name__)

    def _get_allowed_pytypes(self, types: list[str]) -> tuple[list[str], list[tuple[str, ...]]]:
        kinds = [kind.split("-", 1) for kind in types]
        return [name for kind in kinds for name in _PYTHON_TYPES[kind[0]]], [_PYTHON_TYPES[kind[1]] for kind in kinds if len(kind) == 2]

    def _convert_to_jmespath_type(self, pyobject: str) -> str:
        return "number" if pyobject == "Decimal" else functions.TYPES_MAP.get(pyobject, "unknown")

    def _create_key_func(self, expref: Any, allowed_types: list[str], function_name: str) -> Callable[[Any], Any]:
        package: Any = super()
        key = package._create_key_func(expref, allowed_types, function_name)
        return lambda item: _ordered(key(item))


def _sum(values: list[Number]) -> Number:
    if all(type(value) is int for value in values):
        return sum(values)
    total = Decimal(0)
    for value in values:
        total = EXACT.add(total, exact(value))
    return exact_json.narrowed(total)


def _ordered(value: Any) -> Any:
    return exact(value) if isinstance(value, float) else value


class _Interpreter(visitor.TreeInterpreter):
    def visit_comparator(self, node: Any, value: object) -> bool | None:
        left, right = (self.visit(child, value) for child in node["children"])
        match node["value"]:
            case "eq":
                return same(left, right)
            case "ne":
                return not same(left, right)
            case order:
                if is_number(left) and is_number(right):
                    return _ORDER[order](_ordered(left), _ordered(right))
                return _ORDER[order](left, right) if isinstance(left, str) and isinstance(right, str) else None


INTERPRETER = _Interpreter(jmespath.Options(custom_functions=Functions()))


class _Lexer(lexer.Lexer):
    def tokenize(self, expression: str) -> Iterator[Any]:
        token: Any
        for token in super().tokenize(expression):
            start = token["start"]
            written = _LITERAL.match(expression, start) if token["type"] == "literal" and not isinstance(token["value"], str) else None
            if written is not None:
                try:
                    token["value"] = exact_json.loads(written[1].replace("\\`", "`").encode())
                except ValueError as wrong:
                    raise exceptions.LexerError(start, expression[start:], f"Bad literal: {wrong}") from wrong
            yield token


class _Parser(parser.Parser):
    _CACHE: ClassVar[dict[str, Any]] = {}

    def _parse(self, expression: str) -> Any:
        """As that of the package, which has no place for another lexer."""
        own: Any = self
        own._tokens = list(_Lexer().tokenize(expression))
        own._index = 0
        parsed = own._expression(binding_power=0)
        if own._current_token() != "eof":
            token = own._lookahead_token(0)
            raise exceptions.ParseError(token["start"], token["value"], token["type"], f"Unexpected token: {token['value']}")
        return parser.ParsedResult(expression, parsed)


def parse(text: str) -> Any:
    """The tree of an expression, its literals exact.

    Raises:
        JMESPathError: the syntax is wrong.
    """
    return _Parser().parse(text).parsed
