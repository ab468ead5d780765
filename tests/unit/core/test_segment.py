"""``segment``: an id out of a path or URL that a tool answers with."""

from __future__ import annotations

import pytest

from gateway.core.adapter import expression, template

CUT = expression.compile("segment(reply.headers.location, `-1`)")


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("/t/acme/orders/o2", "o2"),
        ("/t/acme/orders/o2/", "o2"),
        ("https://shop.example:8443/t/acme/orders/o2?view=full#top", "o2"),
        ("//shop.example/orders/o2", "o2"),
        ("o2", "o2"),
        ("/orders/caf%C3%A9%20au%20lait", "café au lait"),
        ("/orders/a+b;c", "a+b;c"),
        ("https://shop.example", None),
        ("https://shop.example/?id=7", None),
        ("/orders/%ff", None),
        ("", None),
        (None, None),
        (7, None),
        (["/orders/7"], None),
        ("http://[broken/orders/7", None),
    ],
)
def test_the_last_segment_is_an_id(location: object, found: str | None) -> None:
    assert CUT.search({"reply": {"headers": {"location": location}}}) == found


@pytest.mark.parametrize(("number", "found"), [("0", "t"), ("2", "orders"), ("-2", "orders"), ("4", None), ("-5", None), ("1.5", None)])
def test_any_segment_can_be_cut_out(number: str, found: str | None) -> None:
    assert expression.compile(f"segment(request.body, `{number}`)").search({"request": {"body": "/t/acme/orders/o2"}}) == found


@pytest.mark.parametrize("location", ["/orders/%2e%2e", "/orders/..", "/orders/a%2Fb", "/orders/a%5cb", "/orders/a%3Fb", "/orders/a%00b"])
def test_what_could_lead_elsewhere_makes_no_path(location: str) -> None:
    found = CUT.search({"reply": {"headers": {"location": location}}})
    with pytest.raises(ValueError, match=r"segment|path"):
        template.encode(found)
