"""Scope patterns."""

from __future__ import annotations

import pytest

from gateway.core.authorization import gate


@pytest.mark.parametrize("pattern", ["*", "erp:*", "erp:invoice.read", "e*", "erp*", "*.read", "erp:*.read", "er*voice.read", "*p:x"])
def test_a_pattern_reaches_the_tools_that_have_an_action_it_could_match(pattern: str) -> None:
    assert gate.reach(["crm:*", pattern], "erp")


@pytest.mark.parametrize("pattern", ["crm:*", "erp", "er:*", "erp2:*", "erps*", "c*", ""])
def test_a_pattern_reaches_no_tool_of_another_name(pattern: str) -> None:
    assert not gate.reach([pattern], "erp")
