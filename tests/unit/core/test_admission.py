"""A run is never wider than its class or its parent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.authorization import admission, gate
from gateway.core.authorization.admission import RunRequest
from gateway.model.run import Limits, Mode, Rate, Run, TaskClass

CLASS = TaskClass(name="billing", tenants=("acme", "g*"), scopes=("erp:*",), ttl=3600.0, limits=Limits(rate=Rate(50), writes=10))
ASK = RunRequest(tenant="acme", agent_id="a", task_class="billing", scopes=("erp:invoice.*",))


def opened(request: RunRequest = ASK, parent: Run | None = None, task_class: TaskClass = CLASS) -> Run:
    return admission.opened(request, task_class, parent, run_id="r", now=1000.0, epoch=0)


def excess(request: RunRequest, parent: Run | None = None) -> list[str]:
    with pytest.raises(admission.TooWide) as wide:
        opened(request, parent)
    return wide.value.excess


def test_limits_that_are_not_asked_are_the_class_s() -> None:
    run = opened(replace(ASK, limits={"writes": 3}))
    assert run.limits == Limits(rate=Rate(50), writes=3)
    assert run.workflow_id == "r"


def test_only_the_time_to_live_is_clamped() -> None:
    assert opened(replace(ASK, ttl=99_999.0)).expires_at == 4600.0
    assert opened(replace(ASK, ttl=60.0)).expires_at == 1060.0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"tenant": "other"}, "tenant"),
        ({"scopes": ("crm:*",)}, "scopes"),
        ({"scopes": ("*",)}, "scopes"),
        ({"limits": {"writes": 11}}, "limits.writes"),
        ({"limits": {"writes": None}}, "limits.writes"),
        ({"limits": {"rate": Rate(51)}}, "limits.rate"),
    ],
)
def test_what_is_wider_than_the_class_is_named(change: dict[str, object], named: str) -> None:
    assert [line.split(":")[0] for line in excess(replace(ASK, **change))] == [named]


def test_a_child_only_narrows() -> None:
    parent = opened(replace(ASK, ttl=100.0, tools=("erp",), mode=Mode.READ_ONLY, limits={"writes": 5}))
    child = opened(replace(ASK, parent_run="r", scopes=("erp:invoice.read",)), parent)
    assert (child.expires_at, child.limits.writes, child.tools, child.mode) == (1100.0, 5, ("erp",), Mode.READ_ONLY)
    assert (child.ancestors, child.workflow_id) == (("r",), "r")
    found = excess(replace(ASK, parent_run="r", tenant="globex", scopes=("erp:*",), tools=("crm",), limits={"writes": 6}), parent)
    assert [line.split(":")[0] for line in found] == ["scopes", "tenant", "tools", "limits.writes"]


def test_opening_the_same_run_again_is_the_same_and_other_content_is_not() -> None:
    assert admission.is_same(opened(replace(ASK, ttl=5.0)), opened())
    assert not admission.is_same(opened(replace(ASK, scopes=("erp:invoice.read",))), opened())


PATTERN = st.text(alphabet="ab*.", max_size=6)
WORD = st.text(alphabet="ab.", max_size=6)


def matches(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(matches(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and text[0] == pattern[0] and matches(pattern[1:], text[1:])


@given(PATTERN, PATTERN, WORD)
def test_a_pattern_within_another_never_matches_more(pattern: str, ceiling: str, text: str) -> None:
    if gate.within(pattern, ceiling) and matches(pattern, text):
        assert matches(ceiling, text)


@given(WORD, PATTERN)
def test_a_literal_is_within_a_pattern_exactly_when_it_matches(text: str, ceiling: str) -> None:
    assert gate.within(text, ceiling) == matches(ceiling, text)
