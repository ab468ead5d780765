"""The warehouse's adapter against recorded writes: its expressions, and the requests of its compensations."""

from __future__ import annotations

import pytest

from gateway.core.adapter import matching
from gateway.core.adapter.catalog import Tool
from tests.support import samples


def test_a_recorded_write_means_what_is_written_beside_it(tool: Tool, sample: samples.Sample) -> None:
    assert samples.meaning(tool, sample) == sample["means"]


@pytest.mark.parametrize(("state", "late"), [("held", False), ("picked", True), ("released", False), (None, False)])
def test_only_goods_that_were_picked_are_booked_in_again(tool: Tool, state: str | None, late: bool) -> None:
    undo = tool.actions["reservation.create"].undo
    assert undo is not None
    assert undo.instead is not None
    assert undo.instead.when.holds({"object": {"version": None, "body": {"state": state}}}) is late


@pytest.mark.parametrize(("done", "back"), [("in", "out"), ("out", "in")])
def test_an_adjustment_is_offset_by_the_same_amount_the_other_way_round(tool: Tool, done: str, back: str) -> None:
    asked = samples.call("POST", "/tenants/acme/adjustments", {"sku": "sku-1", "quantity": 2, "direction": done})
    matched = samples.matched(tool, asked)
    assert matched.action.undo is not None
    assert matched.action.undo.body is not None
    sent = matched.action.undo.body.search(matching.document(tool, asked, matched.captures))
    assert sent == {"sku": "sku-1", "quantity": 2, "direction": back, "reason": "an adjustment was rolled back"}
