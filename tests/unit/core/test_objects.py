"""Whether an object is as it was: state, bytes, content type and kept headers, and nothing that was not kept."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from gateway.core.adapter import objects
from gateway.core.adapter.objects import Expected, ObjectState, Representation
from gateway.core.request import exact_json

KEPT = Representation("application/json", (("cache-control", "no-store"),), ("cache-control",), True, b'{"a":1}')
SEEN = ObjectState(True, "v2", {"a": 1}, representation=KEPT)
WANTED = Expected(True, {"a": 1}, KEPT)


def test_an_object_that_is_as_it_was_differs_in_nothing() -> None:
    assert objects.difference(SEEN, WANTED) is None
    assert SEEN.as_expected(WANTED)
    assert objects.difference(ObjectState(False), Expected(False)) is None


@pytest.mark.parametrize(
    ("seen", "what"),
    [
        (ObjectState(False), "it is absent"),
        (replace(SEEN, state={"a": 2}), "its state"),
        (replace(SEEN, state={"a": True}), "its state"),
        (replace(SEEN, state={"a": "1"}), "its state"),
        (replace(SEEN, state={"a": 1, "b": None}), "its state"),
        (replace(SEEN, representation=replace(KEPT, content_type="text/plain")), "its content type"),
        (replace(SEEN, representation=replace(KEPT, content_type="")), "its content type"),
        (replace(SEEN, representation=replace(KEPT, headers=())), "its header cache-control"),
        (replace(SEEN, representation=replace(KEPT, headers=(("cache-control", "private"),))), "its header cache-control"),
        (replace(SEEN, representation=replace(KEPT, headers=(*KEPT.headers, ("x-meta-a", "b")))), "its header x-meta-a"),
        (replace(SEEN, cut=True), "it is too large to be read"),
        (replace(SEEN, state=None, garbled="NaN is not JSON"), "its JSON cannot be read: NaN is not JSON"),
    ],
)
def test_what_differs_is_named(seen: ObjectState, what: str) -> None:
    assert objects.difference(seen, WANTED) == what


@pytest.mark.parametrize("now", ["", "application/octet-stream", "text/html; charset=utf-8"])
def test_a_content_type_is_compared_only_with_one_that_was_there(now: str) -> None:
    untyped = replace(KEPT, content_type="")
    seen = replace(SEEN, representation=replace(KEPT, content_type=now))
    assert objects.difference(seen, Expected(True, {"a": 1}, untyped)) is None
    assert objects.difference(replace(seen, state={"a": 2}), Expected(True, {"a": 1}, untyped)) == "its state"


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json ", " application/json"])
def test_a_content_type_is_compared_without_case_and_blanks(content_type: str) -> None:
    assert objects.difference(replace(SEEN, representation=replace(KEPT, content_type=content_type)), WANTED) is None


def test_bytes_are_compared_where_the_state_is_not_json_and_only_there() -> None:
    text = replace(KEPT, body=b"text", content_type="text/plain")
    seen, wanted = ObjectState(True, "v", None, representation=text), Expected(True, None, text)
    assert objects.difference(seen, wanted) is None
    assert objects.difference(replace(seen, representation=replace(text, body=b"text ")), wanted) == "its content"
    assert objects.difference(replace(SEEN, representation=replace(KEPT, body=b'{ "a": 1 }')), WANTED) is None


def test_what_an_earlier_version_kept_is_all_that_is_compared() -> None:
    assert objects.difference(SEEN, Expected(True, {"a": 1})) is None
    assert objects.difference(SEEN, Expected(True, {"a": 2})) == "its state"


def test_numbers_are_compared_by_every_digit() -> None:
    one, other = ({"n": Decimal(text)} for text in ("0.1234567890123456789012", "0.1234567890123456789013"))
    assert objects.difference(ObjectState(True, state=one), Expected(True, other)) == "its state"
    assert objects.difference(ObjectState(True, state={"n": 10**30}), Expected(True, {"n": 10**30 + 1})) == "its state"
    assert objects.difference(ObjectState(True, state={"n": 1.0}), Expected(True, {"n": 1})) is None


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ((), ()),
        (("cache-control",), (("cache-control", "no-store"),)),
        (("x-meta-*",), (("x-meta-a", "1, 3"), ("x-meta-b", "2"))),
        (("x-meta-b", "x-meta-*"), (("x-meta-a", "1, 3"), ("x-meta-b", "2"))),
        (("x-meta",), ()),
    ],
)
def test_headers_are_kept_by_name_or_by_what_they_begin_with(patterns: tuple[str, ...], found: tuple[tuple[str, str], ...]) -> None:
    headers = ((b"Cache-Control", b"no-store"), (b"X-Meta-A", b"1"), (b"x-meta-b", b"2"), (b"x-meta-a", b"3"), (b"ETag", b'"v"'))
    assert objects.chosen(patterns, headers) == found


@pytest.mark.parametrize(
    ("state", "kept", "enough"), [({}, None, True), (None, None, False), (None, KEPT, True), (None, Representation(), False)]
)
def test_what_was_kept_is_enough_to_restore_or_not(state: object, kept: Representation | None, enough: bool) -> None:
    assert objects.restorable(state, kept) is enough


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (10**29, 1e29),
        (Decimal("0.1234567890123456789012"), 0.12345678901234568),
        (Decimal("1E+400"), "1E+400"),
        (10**400, str(10**400)),
        (2**64 - 1, 2**64 - 1),
        (True, True),
        ([{"a": 10**30}], [{"a": 1e30}]),
    ],
)
def test_policy_engines_get_numbers_that_they_can_count(value: object, seen: object) -> None:
    assert exact_json.for_policy(value) == seen
    assert type(exact_json.for_policy(value)) is type(seen)
