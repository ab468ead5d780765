"""Striking named arguments out of what is kept."""

from __future__ import annotations

from gateway.core.policy import decision


def test_named_members_are_struck_out_at_any_depth_and_in_lists() -> None:
    value = {"card": {"number": "4111", "name": "x"}, "items": [{"pin": 1, "n": 2}, {"n": 3}], "keep": 1}
    assert decision.redacted(value, ["card.number", "items.pin", "absent.at.all"]) == {
        "card": {"number": "[redacted]", "name": "x"},
        "items": [{"pin": "[redacted]", "n": 2}, {"n": 3}],
        "keep": 1,
    }
    assert value["card"] == {"number": "4111", "name": "x"}, "the call itself is not changed"


def test_what_is_no_object_stays_as_it_is() -> None:
    assert decision.redacted("text", ["a"]) == "text"
    assert decision.redacted(None, ["a"]) is None
