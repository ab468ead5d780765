"""JSON whose numbers keep their value: what a double does not hold stays the digits that were written. Pure.

Used for what is kept, compared and sent again. What an agent sends is read more strictly, by :mod:`gateway.core.request.body`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation
from math import isfinite
from typing import NoReturn

import orjson

DIGITS = 4_096
"""Digits that a number may have, and the largest power of ten that it may be written with."""

SAFE = 2**53 - 1
"""The largest integer that every reader of JSON holds exactly."""

EXACT = Context(prec=4 * DIGITS, Emax=8 * DIGITS, Emin=-8 * DIGITS)
"""Sums of numbers within ``DIGITS`` are not rounded in it."""

# A number that orjson might round has sixteen digits or more, or an exponent. Most texts have neither, and that is seen fastest like this.
_SHAPES = bytes.maketrans(b"123456789.E", b"0000000000e")
_SIXTEEN, _EXPONENT = b"0" * 16, b"0e"
_LONG_AT_START = re.compile(rb"-?[0-9](?:[0-9.]{15}|[0-9.]*[eE])")
_LONG = re.compile(rb"[\[:,\s]" + _LONG_AT_START.pattern)  # begins with a character class: re searches such a pattern fastest
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)

Number = int | float | Decimal


def loads(body: bytes) -> object:
    """The value of a JSON text: integers of any size, and a ``Decimal`` where a double is not the number that is written.

    Of a repeated key the last value counts.

    Raises:
        ValueError: it is no JSON text, or a number in it is longer than ``DIGITS``.
    """
    if not may_be_rounded(body):
        return orjson.loads(body)
    text = body.decode()
    try:
        value: object = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("the JSON text is nested too deeply") from None
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False, default=str).encode()  # a lone surrogate is no text
    return value


def fault(body: bytes) -> str | None:
    """What keeps a text from being read as JSON, as a phrase without anything of what it says; ``None`` if nothing does."""
    try:
        loads(body)
    except ValueError:
        try:
            _DECODER.decode(body.decode())
        except UnicodeDecodeError as wrong:
            return f"it is not UTF-8 (byte {wrong.start})"
        except json.JSONDecodeError as wrong:
            return f"{wrong.msg} at character {wrong.pos}"
        except RecursionError:
            return "it is nested too deeply"
        except ValueError as wrong:
            return str(wrong)
        return "it has a lone surrogate, a number that is too large, or is nested too deeply"
    return None


def may_be_rounded(body: bytes) -> bool:
    """Whether a JSON text may have a number of sixteen digits or more, or one with an exponent."""
    shapes = body.translate(_SHAPES)
    if not (_SIXTEEN in shapes or _EXPONENT in shapes):
        return False
    return _LONG.search(body) is not None or _LONG_AT_START.match(body) is not None


def is_inexact(value: object) -> bool:
    """Whether a number is one that readers of JSON differ over (RFC 7493 2.2): an integer beyond 2^53-1, or more digits than a double."""
    return isinstance(value, Decimal) or (isinstance(value, int) and not -SAFE <= value <= SAFE)


def dumps(value: object, *, sort: bool = False) -> bytes:
    """The JSON text of a value, its numbers with the digits that they have.

    Raises:
        ValueError: it is no JSON value.
    """
    try:
        return orjson.dumps(value, default=_fragment, option=orjson.OPT_SORT_KEYS if sort else None)
    except TypeError:
        return _dumped(value, _as_written, sort=sort)  # an integer of more than 64 bits, most likely


def canonical(value: object) -> bytes:
    """The one text of a value: keys sorted, and equal numbers written alike (``5.0`` as ``5``).

    Raises:
        ValueError: it is no JSON value.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return _dumped(value, _shortest, sort=True)
    # So a double that is a whole number is written; that it may stand in a text costs time, and no more.
    return _dumped(value, _shortest, sort=True) if b".0" in text or b"e+" in text else text


def number(text: str) -> Number:
    """The number that a text of JSON's grammar says.

    Raises:
        ValueError: it is no such text, or longer than ``DIGITS``.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError("it is no number")
    return fraction(text) if "." in text or "e" in text or "E" in text else integer(text)


def integer(text: str) -> int:
    """The number of a text that is known to be an integer of JSON's grammar.

    Raises:
        ValueError: it is longer than ``DIGITS``.
    """
    if len(text) > DIGITS:
        raise ValueError(f"a number has more than {DIGITS} digits")
    return int(text)


def fraction(text: str) -> float | Decimal:
    """The number of a text that is known to be one of JSON's grammar with a point or an exponent.

    Raises:
        ValueError: it is longer than ``DIGITS``, or too large or too small.
    """
    if len(text) <= 16 and "e" not in text and "E" not in text:  # fifteen digits and a point: a double holds them
        return float(text)
    if len(text) > DIGITS:
        raise ValueError(f"a number has more than {DIGITS} digits")
    try:
        value = Decimal(text)
    except InvalidOperation as wrong:  # an exponent of more digits than a decimal has
        raise ValueError("a number is too large or too small") from wrong
    if not value:
        return float(value)
    if abs(value.adjusted()) > DIGITS:
        raise ValueError("a number is too large or too small")
    return narrowed(value)


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal: numbers by their exact value, and a boolean is never a number, at any depth."""
    match one, other:
        case (list(), list()):
            return len(one) == len(other) and all(map(same, one, other))
        case (dict(), dict()):
            return one.keys() == other.keys() and all(same(member, other[name]) for name, member in one.items())
    if type(one) is type(other):
        return one == other
    return is_number(one) and is_number(other) and exact(one) == exact(other)


def is_number(value: object) -> bool:
    """Whether it is a number, which a boolean is not."""
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def exact(value: object) -> int | Decimal:
    """A number as one that compares exactly; a double counts as the shortest text that reads back as it (``0.1`` is one tenth).

    Raises:
        ValueError: it is no number, or not finite.
    """
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError("it is not finite")
        return Decimal(repr(value))
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValueError("it is no number")
    return value


def narrowed(value: Decimal) -> float | Decimal:
    """A decimal as a double, if that is the same number."""
    double = float(value)
    return double if isfinite(double) and Decimal(repr(double)) == value else value


def for_policy(value: object) -> object:
    """A value as policy engines count: a number that takes more than 64 bits is the nearest double, and a text if there is none."""
    return _mapped(value, _counted)


def rounded(value: Number, *, up: bool) -> int:
    """A number rounded up or down to a whole one."""
    known = exact(value)
    return known if isinstance(known, int) else int(known.to_integral_value(rounding=ROUND_CEILING if up else ROUND_FLOOR, context=EXACT))


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_int=integer, parse_float=fraction, parse_constant=_constant)


def _fragment(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _dumped(value: object, leaf: Callable[[object], object], *, sort: bool) -> bytes:
    try:
        return orjson.dumps(_mapped(value, leaf), option=orjson.OPT_SORT_KEYS if sort else None)
    except (TypeError, RecursionError) as wrong:
        raise ValueError(f"it is no JSON value: {wrong}") from wrong


def _as_written(one: object) -> object:
    if isinstance(one, Decimal):
        return _fragment(one)
    return orjson.Fragment(str(one)) if isinstance(one, int) and not isinstance(one, bool) else one


_WIDTH = range(-(2**63), 2**64)


def _counted(one: object) -> object:
    if not isinstance(one, (int, Decimal)) or isinstance(one, bool) or (isinstance(one, int) and one in _WIDTH):
        return one
    try:
        double = float(one)
    except OverflowError:
        return str(one)
    return double if isfinite(double) else str(one)


def _shortest(one: object) -> object:
    if not is_number(one) or (isinstance(one, float) and not isfinite(one)):
        return one
    known = exact(one)
    if isinstance(known, Decimal):
        if known != known.to_integral_value(context=EXACT):
            short = narrowed(known)
            return short if isinstance(short, float) else orjson.Fragment(str(known.normalize(EXACT)))
        known = int(known)
    return orjson.Fragment(str(known))


def _mapped(value: object, leaf: Callable[[object], object]) -> object:
    if isinstance(value, dict):
        return {name: _mapped(member, leaf) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mapped(member, leaf) for member in value]
    return leaf(value)
