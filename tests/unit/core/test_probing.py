"""What the state of an object shows of who changed it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.adapter import probing


@pytest.mark.parametrize(
    ("seen", "asked", "shown", "name"),
    [
        ({"status": "void"}, {"status": "paid"}, {"status": "paid"}, "status"),
        ({"status": "void"}, {"data": {"status": "paid"}}, {"order": {"status": "paid"}}, "status"),
        ({"status": "paid"}, {"status": "paid"}, {"status": "paid"}, None),
        ({"status": "void"}, {"note": "x"}, {"status": "paid"}, None),
        ({"status": "PAID"}, {"status": "paid"}, {"status": "PAID"}, None),
        ({"status": "void"}, {"status": "paid"}, {"status": "accepted"}, None),
        ({"status": "void"}, {"status": "paid"}, None, None),
        ({"n": 1.0}, {"n": 1}, {"n": 1}, None),
        ({"a": 2}, {"x": {"a": 1}, "y": {"a": 2}}, {"a": 1}, None),
        ("void", {"status": "paid"}, {"status": "paid"}, None),
    ],
)
def test_a_member_that_is_not_as_the_write_left_it_was_changed_since(seen: Any, asked: Any, shown: Any, name: str | None) -> None:
    assert probing.differs_from_reply(seen, asked, shown) == name
