"""Rates and blast radius as arithmetic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core import limits
from gateway.model.call import Cost, Target
from gateway.model.run import Limits, Rate, Run, TaskClass

RUN = Run(run_id="r", workflow_id="w", tenant="acme", agent_id="a", task_class="c", limits=Limits(writes=3, records=10))
INVOICE = Target("erp", "invoice", "1", "acme")


def passed(rate: Rate, times: list[float]) -> int:
    arrival, count = 0.0, 0
    for now in times:
        arrival, _, wait = limits.meter(arrival, rate, now=now)
        count += wait == 0
    return count


def test_a_burst_is_one_seconds_worth() -> None:
    assert passed(Rate(5), [1000.0] * 30) == 5


@given(st.sampled_from([Rate(1), Rate(5), Rate(1_000_000), Rate(90, 60.0), Rate(1_000_000, 60.0)]), st.lists(st.floats(0, 2), max_size=20))
def test_what_is_left_is_never_more_than_the_burst_less_this_call(rate: Rate, pauses: list[float]) -> None:
    arrival, now = 0.0, 1_780_000_000.0
    for pause in pauses:
        now += pause
        arrival, remaining, _ = limits.meter(arrival, rate, now=now)
        assert 0 <= remaining < max(1, int(rate.per_second)) <= rate.count


def test_a_slow_rate_lets_one_call_through_at_a_time() -> None:
    assert passed(Rate(10, 60.0), [1000.0] * 5) == 1
    assert passed(Rate(10, 60.0), [1000.0 + 6.001 * n for n in range(5)]) == 5


def test_a_refused_call_says_how_long_to_wait_and_then_passes() -> None:
    arrival, _, wait = limits.meter(0.0, Rate(2), now=1000.0)
    arrival, _, wait = limits.meter(arrival, Rate(2), now=1000.0)
    refused, _, wait = limits.meter(arrival, Rate(2), now=1000.0)
    assert refused == arrival
    assert 0.49 < wait < 0.51
    assert limits.meter(arrival, Rate(2), now=1000.0 + wait + 1e-6)[2] == 0


@given(count=st.integers(1, 1000), seconds=st.sampled_from([1.0, 60.0]), times=st.lists(st.floats(0, 10), max_size=200))
def test_no_window_of_time_lets_through_more_than_its_rate_and_one_burst(count: int, seconds: float, times: list[float]) -> None:
    rate = Rate(count, seconds)
    moments = sorted(1000.0 + time for time in times)
    if moments:
        longest = moments[-1] - moments[0]
        assert passed(rate, moments) <= rate.per_second * longest + max(1, int(rate.per_second)) + 1e-6


def test_a_write_is_charged_to_the_run_its_ancestors_its_workflow_and_the_declared_totals() -> None:
    parent = Run(run_id="p", workflow_id="w", tenant="acme", agent_id="a", task_class="c")
    task_class = TaskClass(name="c", limits=Limits(writes=100), total=Limits(writes=1000))
    budgets = limits.budgets(RUN, [parent], task_class, Limits(writes=5000))
    assert [scope for scope, _ in budgets] == ["run:r", "run:p", "workflow:acme/w", "class:c", "tenant:acme"]
    charged = limits.charges(budgets, Cost(records=2, amounts={"refund": 5_000_000}), INVOICE)
    assert [(one.scope, one.limit) for one in charged if one.name == "writes"] == [
        ("run:r", 3),
        ("run:p", None),
        ("workflow:acme/w", 100),
        ("class:c", 1000),
        ("tenant:acme", 5000),
    ]
    assert {one.member for one in charged if one.name == "tenants"} == {"acme"}
    assert {one.amount for one in charged if one.name == "records"} == {2}


def test_totals_exist_only_where_they_are_declared() -> None:
    assert len(limits.budgets(RUN, [], TaskClass(name="c"), None)) == 2


def test_a_cost_that_is_limited_must_be_reported() -> None:
    budgets = limits.budgets(RUN, [], TaskClass(name="c", limits=Limits(amount={"refund": 1})), None)
    assert limits.unpriced(budgets, Cost(unpriced=("amount:refund",))) == "amount:refund"
    assert limits.unpriced(budgets, Cost(unpriced=("amount:other",))) is None
    assert limits.unpriced(budgets, Cost(unpriced=("records",))) == "records"


def test_wider_names_every_excess_and_no_limit_is_the_widest() -> None:
    ceiling = Limits(rate=Rate(10), writes=5, amount={"refund": 100})
    assert limits.wider(Limits(rate=Rate(10), writes=5, amount={"refund": 100}), ceiling) == []
    found = limits.wider(Limits(rate=Rate(11), amount={"refund": 101}), ceiling)
    assert [line.split(":")[0] for line in found] == ["limits.rate", "limits.writes", "limits.amount.refund"]
    assert limits.wider(Limits(rate=Rate(600, 60.0), writes=1, amount={"refund": 1, "other": 9}), ceiling) == []
