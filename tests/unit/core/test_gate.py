"""What orders leave of a run."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from gateway.core.authorization import gate
from gateway.model.run import Mode, Order, Run, Scope

WORKER = Run(
    run_id="worker", workflow_id="w", tenant="acme", agent_id="billing", task_class="refunds", ancestors=("boss", "root"), opened_at=100.0
)


def order(mode: Mode, *, ends: float | None = None, released: float | None = None, no_fanout: bool = False, **scope: object) -> Order:
    return Order(
        order_id=f"ord-{mode.label}",
        epoch=5,
        scope=Scope(**scope),  # type: ignore[arg-type]
        mode=mode,
        reason="test",
        by="someone",
        no_fanout=no_fanout,
        expires_at=ends,
        released_at=released,
    )


@pytest.mark.parametrize(
    "scope",
    [
        {"run": "worker"},
        {"run": "boss", "subtree": True},
        {"run": "root", "subtree": True},
        {"agent": "billing"},
        {"tenant": "acme"},
        {"task_class": "refunds"},
        {"everything": True},
        {"tenant": "acme", "agent": "billing", "task_class": "refunds"},
    ],
)
def test_a_scope_covers_the_runs_it_names(scope: dict[str, object]) -> None:
    assert gate.covers(Scope(**scope), WORKER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "scope",
    [
        {"run": "boss"},
        {"run": "other", "subtree": True},
        {"tenant": "globex"},
        {"tenant": "acme", "agent": "support"},
        {"run": "boss", "subtree": True, "tenant": "globex"},
    ],
)
def test_all_parts_of_a_scope_must_match(scope: dict[str, object]) -> None:
    assert not gate.covers(Scope(**scope), WORKER)  # type: ignore[arg-type]


def test_the_strictest_of_all_matching_orders_holds() -> None:
    held = gate.hold([order(Mode.READ_ONLY, tenant="acme"), order(Mode.PAUSED, run="worker")], WORKER, "erp", now=200.0)
    assert (held.mode, held.order_id) == (Mode.PAUSED, "ord-paused")


def test_a_run_opened_read_only_stays_so_without_any_order() -> None:

    assert gate.hold([], replace(WORKER, mode=Mode.READ_ONLY), "erp", now=200.0).mode is Mode.READ_ONLY


def test_an_order_on_one_tool_leaves_the_others() -> None:
    orders = [order(Mode.READ_ONLY, run="worker", tool="erp")]
    assert gate.hold(orders, WORKER, "erp", now=200.0).mode is Mode.READ_ONLY
    assert gate.hold(orders, WORKER, "crm", now=200.0).mode is Mode.ACTIVE
    assert gate.hold(orders, WORKER, None, now=200.0).mode is Mode.ACTIVE


def test_a_time_limited_order_ends_automatically_and_says_when() -> None:
    orders = [order(Mode.PAUSED, run="worker", ends=300.0)]
    held = gate.hold(orders, WORKER, "erp", now=299.9)
    assert (held.mode, held.until) == (Mode.PAUSED, 300.0)
    after = gate.hold(orders, WORKER, "erp", now=300.0)
    assert (after.mode, after.until) == (Mode.ACTIVE, math.inf)


def test_a_released_order_no_longer_counts() -> None:
    assert gate.hold([order(Mode.READ_ONLY, run="worker", released=150.0)], WORKER, "erp", now=200.0).mode is Mode.ACTIVE


@pytest.mark.parametrize("mode", [Mode.QUARANTINED, Mode.REVOKED])
def test_what_quarantine_or_revocation_held_stays_held_and_later_runs_are_free(mode: Mode) -> None:
    orders = [order(mode, agent="billing", released=150.0)]
    assert gate.hold(orders, replace(WORKER, opened_under=4), "erp", now=200.0).mode is mode
    assert gate.hold(orders, replace(WORKER, opened_under=5), "erp", now=200.0).mode is Mode.ACTIVE


@pytest.mark.parametrize("mode", [Mode.QUARANTINED, Mode.REVOKED])
def test_a_clock_that_was_set_back_frees_nobody(mode: Mode) -> None:
    orders = [order(mode, agent="billing", released=150.0)]
    before_it_was_set_back = replace(WORKER, opened_at=3700.0, opened_under=4)
    assert gate.hold(orders, before_it_was_set_back, "erp", now=200.0).mode is mode


def test_no_fanout_is_a_flag_beside_the_mode() -> None:
    held = gate.hold([order(Mode.ACTIVE, run="worker", no_fanout=True)], WORKER, "erp", now=200.0)
    assert (held.mode, held.no_fanout) == (Mode.ACTIVE, True)
