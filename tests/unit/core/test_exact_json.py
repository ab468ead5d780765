"""Numbers keep the value that was written, in every place where values are read, compared and written again."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.adapter import expression
from gateway.core.request import exact_json, idempotency

_LONG = "123456789012345678901234567890"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-0", 0),
        ("1.0", 1.0),
        ("10.10", 10.1),
        ("9007199254740993", 9007199254740993),
        (_LONG, int(_LONG)),
        ("1.234567890123456789012", Decimal("1.234567890123456789012")),
        ("1.500000000000000000000", 1.5),
        ("0.1", 0.1),
        ("1e400", Decimal("1e400")),
        ("1E2", 100.0),
        ("1e-400", Decimal("1e-400")),
        ("0e-9999", 0.0),
        ("[ -12345678901234567890.5 ]", [Decimal("-12345678901234567890.5")]),
        ('{"a":\n1e23}', {"a": 1e23}),
        ('"12345678901234567890"', "12345678901234567890"),
        ('"3e4"', "3e4"),
    ],
)
def test_a_number_is_what_was_written(text: str, value: object) -> None:
    found = exact_json.loads(text.encode())
    assert exact_json.same(found, value)
    assert type(found) is type(value)
    assert exact_json.same(exact_json.loads(exact_json.dumps(found)), value)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[1,-Infinity,1.0e1]",
        "1e99999999999999999999",
        "1e5000",
        "9" * 5000,
        "0." + "1" * 5000,
        "[1e2,",
        '["\\ud800",1e2]',
        "[1e2] x",
        "",
    ],
)
def test_what_is_no_json_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        exact_json.loads(text.encode())


def test_deep_nesting_and_bad_utf8_are_refused() -> None:
    for body in (b"[" * 100_000 + b"1e2", b'["\xff",1e2]'):
        with pytest.raises(ValueError):
            exact_json.loads(body)


@pytest.mark.parametrize("value", [object(), {1: Decimal("NaN")}, [2**70, object()]])
def test_what_is_no_json_value_is_not_written(value: object) -> None:
    with pytest.raises(ValueError):
        exact_json.dumps(value)


_numbers = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30),
)
_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.text(max_size=5), _numbers),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@given(_values)
def test_what_is_written_reads_back_the_same(value: object) -> None:
    read = exact_json.loads(exact_json.dumps(value))
    assert exact_json.same(read, value)
    assert exact_json.canonical(read) == exact_json.canonical(value)
    assert exact_json.same(exact_json.loads(exact_json.canonical(value)), value)


@given(_values, _values)
def test_two_values_are_the_same_if_their_canonical_texts_are(one: object, other: object) -> None:
    assert exact_json.same(one, other) is (exact_json.canonical(one) == exact_json.canonical(other))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (True, 1, False),
        (0, False, False),
        ([True], [1], False),
        ({"a": {"b": [0]}}, {"a": {"b": [False]}}, False),
        (1, 1.0, True),
        ([1], [Decimal(1)], True),
        (0.1, Decimal("0.1"), True),
        (9007199254740993, 9007199254740992.0, False),
        (10**23, 1e23, True),
        (None, False, False),
        ("1", 1, False),
        ({"a": None}, {}, False),
        ([1, 2], [1], False),
    ],
)
def test_equality_is_of_exact_values_and_a_boolean_is_no_number(one: object, other: object, equal: bool) -> None:
    assert exact_json.same(one, other) is equal
    assert exact_json.same(other, one) is equal
    assert (idempotency.digest(one) == idempotency.digest(other)) is equal


@pytest.mark.parametrize(
    ("text", "body", "value"),
    [
        ("a == `1`", "true", False),
        ("a == `true`", "1", False),
        ("a == `[1]`", "[true]", False),
        ('a != `{"x": 0}`', '{"x": false}', True),
        ("contains(a, `1`)", "[true]", False),
        ("contains(a, `true`)", "[1]", False),
        ("contains(a, `1`)", "[1.0]", True),
        ("contains(a, `1`)", '"a1"', False),
        ("a[?@ == `1`]", "[true, 1, 1.0]", [1, 1.0]),
        (f"a == `{_LONG}`", _LONG, True),
        (f"a == `{_LONG}`", _LONG[:-1] + "1", False),
        ("a == `9007199254740992.0`", "9007199254740993", False),
        ("a == `0.1000000000000000055`", "0.1", False),
        ("a == `0.1`", "0.10000000000000000000", True),
        ("a < `0.1000000000000000000001`", "0.1", True),
        ("a > `0.1`", "0.1000000000000000000001", True),
        ("a > `0`", "true", None),
        ("a < `1`", '"0"', None),
        ("sum(a)", "[0.1, 0.2]", 0.3),
        ("sum(a)", f"[{_LONG}, 1]", int(_LONG) + 1),
        ("sum(a)", "[1.234567890123456789, 1]", Decimal("2.234567890123456789")),
        ("sum(a)", "[]", 0),
        ("sum(a)", "[true, 1]", None),
        ("avg(a)", "[1, 2]", 1.5),
        ("avg(a)", "[2, 2]", 2),
        ("avg(a)", "[]", None),
        ("max(a)", "[0.1, 0.1000000000000000000001]", Decimal("0.1000000000000000000001")),
        ("min(a)", f"[{_LONG}, 1.5]", 1.5),
        ("sort(a)", "[0.1000000000000000000001, 0.1, 0]", [0, 0.1, Decimal("0.1000000000000000000001")]),
        ("sort_by(a, &v)[].v", '[{"v": 2.000000000000000000001}, {"v": 2}]', [2, Decimal("2.000000000000000000001")]),
        ("max_by(a, &v).v", '[{"v": 2.000000000000000000001}, {"v": 2}]', Decimal("2.000000000000000000001")),
        ("sort_by(a, &v)", '[{"v": true}]', None),
        ("abs(a)", "-1.234567890123456789012345678901234567890", Decimal("1.234567890123456789012345678901234567890")),
        ("ceil(a)", "1.00000000000000000000001", 2),
        ("floor(a)", "-1.00000000000000000000001", -2),
        ("ceil(a)", "1e23", 10**23),
        ("type(a)", "1.00000000000000000000001", "number"),
        ("type(a)", "true", "boolean"),
        ("to_string(a)", '{"b": 1.00000000000000000000001}', '{"b":1.00000000000000000000001}'),
        ("to_string(a)", '{"b": [true, 1.5]}', '{"b":[true,1.5]}'),
        ("to_number(a)", f'"{_LONG}"', int(_LONG)),
        ("to_number(a)", '"1.00000000000000000000001"', Decimal("1.00000000000000000000001")),
        ("to_number(a)", "1.00000000000000000000001", Decimal("1.00000000000000000000001")),
        ("to_number(a)", '"1_000"', None),
        ("to_number(a)", '"NaN"', None),
        ("to_number(a)", '"\\u0661"', None),
        ("to_number(a)", "true", None),
        ("length(a)", "1.00000000000000000000001", None),
        ("!a", "0.0000000000000000000000001", False),
    ],
)
def test_expressions_reckon_with_exact_numbers(text: str, body: str, value: Any) -> None:
    compiled = expression.compile(re.sub(r"\ba\b", "vars", text, count=1), roots=frozenset({"vars"}))
    found = compiled.search({"vars": exact_json.loads(body.encode())})
    assert exact_json.same(found, value), found
    assert isinstance(found, bool) is isinstance(value, bool)


def test_the_usual_text_is_read_and_written_as_orjson_does() -> None:
    text = b'{"data":{"id":"inv_88421","at":"2026-11-30T14:22:24.123456Z","amount":12.5,"n":[1,null,true]}}'
    assert exact_json.loads(text) == orjson.loads(text)
    assert exact_json.dumps(orjson.loads(text)) == text
