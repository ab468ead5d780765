"""Path templates: exact matching, and values that stay one segment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.adapter import template
from gateway.core.request import canonical

RECORD = template.parse("/buckets/{tenant}/collections/{vars.collection}/records/{id}", {"collection": "invoices"})


def test_a_path_gives_its_captures() -> None:
    assert RECORD.match(("buckets", "acme", "collections", "invoices", "records", "inv 1")) == {"tenant": "acme", "id": "inv 1"}


@pytest.mark.parametrize(
    "segments",
    [
        ("buckets", "acme", "collections", "Invoices", "records", "1"),
        ("buckets", "acme", "collections", "refunds", "records", "1"),
        ("buckets", "acme", "collections", "invoices", "records", ""),
        ("buckets", "acme", "collections", "invoices", "records", "1", ""),
        ("buckets", "acme", "collections", "invoices", "records"),
        ("buckets", "", "collections", "invoices", "records", "1"),
    ],
)
def test_case_length_and_a_trailing_slash_matter(segments: tuple[str, ...]) -> None:
    assert RECORD.match(segments) is None


def test_a_template_can_end_in_a_slash() -> None:
    ending = template.parse("/orders/", {})
    assert ending.match(("orders", "")) == {}
    assert ending.match(("orders",)) is None
    assert ending.fill({}) == "/orders/"


def test_values_are_filled_in_as_one_encoded_segment() -> None:
    assert RECORD.fill({"tenant": "acme", "id": "a b&c=é"}) == "/buckets/acme/collections/invoices/records/a%20b&c=%C3%A9"
    assert RECORD.fill({"tenant": "acme", "id": 17}).endswith("/records/17")


HOSTILE = ["", ".", "..", "../../other", "a/b", "a\\b", "a;b", "a?b", "a#b", "%2e%2e", "a%2Fb", "a\r\nb", "a\x00", "a\x7f"]
HOSTILE += ["\u2025", "\uff0e\uff0e", "a\uff0fb", "a\u2215b", "a\uff1fb", "\uff05\uff12\uff25", "\ud800", "...", ".. ", "\u202e"]


@pytest.mark.parametrize("value", [*HOSTILE, None, True, 1.5, [], {"id": "x"}, b"x"])
def test_an_id_that_could_be_more_than_one_segment_fills_no_path(value: object) -> None:
    with pytest.raises(ValueError):
        RECORD.fill({"tenant": "acme", "id": value})


def test_a_missing_capture_fills_no_path() -> None:
    with pytest.raises(KeyError, match="id"):
        RECORD.fill({"tenant": "acme"})


@given(st.text(max_size=12) | st.integers())
def test_a_path_that_was_filled_passes_the_server_as_the_same_value(value: str | int) -> None:
    try:
        path = RECORD.fill({"tenant": "acme", "id": value})
    except ValueError:
        return
    assert RECORD.match(canonical.split("/erp" + path).segments) == {"tenant": "acme", "id": str(value)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("orders", "must begin with /"),
        ("/a/{id}/b/{id}", "captures {id} twice"),
        ("/a/{id}.json", "must be a literal or one whole {name}"),
        ("/a/{Id}", "must be a literal or one whole {name}"),
        ("/a//b", "cannot occur in a call"),
        ("/a/../b", "cannot occur in a call"),
        ("/a/b?c", "has a query"),
        ("/a/%20", "decoded"),
        ("/a/{vars.nothing}", "vars.nothing is missing"),
        ("/a/{vars.evil}", "vars.evil"),
    ],
)
def test_a_wrong_template_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        template.parse(text, {"evil": "../x"})
    assert message in str(caught.value)


def test_a_wider_template_covers_a_narrower_one() -> None:
    wide, narrow = template.parse("/a/{x}", {}), template.parse("/a/b", {})
    assert wide.covers(narrow)
    assert not narrow.covers(wide)
    assert not wide.covers(template.parse("/b/{x}", {}))
