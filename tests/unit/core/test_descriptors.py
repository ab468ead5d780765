"""The arithmetic of open files: the control API's part comes first, and pools and agents share the rest."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.descriptors import CONTROL, LEAST_AGENTS, MOST_AGENTS, OWN, divide
from gateway.errors import Misconfigured

POOLS = st.dictionaries(st.text(max_size=3), st.integers(1, 4_096), max_size=20)


def test_a_usual_limit_gives_each_pool_what_it_asks_for_and_agents_the_rest() -> None:
    divided = divide(4_096, {"erp": 64, "mail": 32}, webhooks=2)
    assert divided.pools == {"erp": 64, "mail": 32}
    assert divided.control == CONTROL
    assert divided.agents == 4_096 - OWN - CONTROL - 4 - 96


def test_a_small_limit_shrinks_the_reserve_and_still_serves_agents() -> None:
    divided = divide(256, {"erp": 64})
    assert divided.control == 32
    assert divided.pools == {"erp": 64}
    assert divided.agents >= LEAST_AGENTS


def test_a_large_limit_is_not_given_away_to_agents_without_bound() -> None:
    assert divide(1 << 20, {"erp": 64}).agents == MOST_AGENTS


def test_pools_that_ask_for_too_much_share_half_of_what_is_left_in_proportion() -> None:
    divided = divide(256, {"erp": 300, "mail": 100})
    assert divided.pools == {"erp": 66, "mail": 22}
    assert divided.agents == 88


@given(st.integers(0, 100_000), POOLS, st.integers(0, 50))
def test_all_parts_together_fit_in_the_limit_or_the_gateway_does_not_start(limit: int, pools: dict[str, int], webhooks: int) -> None:
    try:
        divided = divide(limit, pools, webhooks=webhooks)
    except Misconfigured as refused:
        (problem,) = refused.problems
        asked = re.search(r"allow (\d+)", problem)
        assert asked is not None
        assert divide(int(asked[1]), pools, webhooks=webhooks).agents >= LEAST_AGENTS
        return
    assert OWN + divided.control + 2 * webhooks + sum(divided.pools.values()) + divided.agents <= limit
    assert divided.agents >= LEAST_AGENTS
    assert all(1 <= divided.pools[name] <= asked for name, asked in pools.items())


def test_a_limit_that_leaves_too_few_says_what_to_set() -> None:
    with pytest.raises(Misconfigured, match=r"limit of 64 leaves 4 connections .* allow [0-9]+ or more: ulimit -n"):
        divide(64, {"erp": 64})
