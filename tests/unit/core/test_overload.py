"""Overload sheds writes first and reads next; one stall of the event loop sheds nothing."""

from __future__ import annotations

import pytest

from gateway.core import overload
from gateway.core.overload import BEATS, INTERVAL, LoopLag
from gateway.model.call import Effect


def lag_after(*lags: float) -> float:
    lag, now = LoopLag(), 100.0
    lag.beat(now)
    for late in lags:
        now += INTERVAL + late
        lag.beat(now)
    return lag.standing


def test_a_loop_that_is_on_time_has_no_lag() -> None:
    assert lag_after(*[0.0] * 50) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("stall", [0.05, 0.5, 30.0])
def test_one_stall_of_any_length_is_no_standing_lag(stall: float) -> None:
    assert lag_after(stall) == 0.0
    assert lag_after(*[0.0] * 50, stall, *[0.0] * 3) == pytest.approx(0.0, abs=1e-9)


def test_stalls_with_a_beat_on_time_between_them_are_no_standing_lag() -> None:
    assert lag_after(*[0.3, 0.3, 0.3, 0.0] * 20) == pytest.approx(0.0, abs=1e-9)


def test_a_lag_that_stands_shows_its_smallest_value() -> None:
    assert lag_after(*[0.4, 0.2, 0.3] * BEATS) == pytest.approx(0.2)
    assert lag_after(*[0.4] * (BEATS - 1)) == 0.0, "not yet for long enough"


def test_the_first_beat_on_time_ends_a_standing_lag() -> None:
    assert lag_after(*[0.4] * 50, 0.0) == pytest.approx(0.0, abs=1e-9)


def shed(*, lag: float = 0.0, queued: int = 0) -> set[Effect]:
    return {effect for effect in Effect if overload.reason(effect, lag=lag, queued=queued) is not None}


def test_nothing_is_shed_without_overload() -> None:
    assert shed(lag=0.099, queued=255) == set()


def test_writes_are_shed_before_reads() -> None:
    assert shed(lag=0.101) == shed(queued=256) == {Effect.WRITE}
    assert shed(lag=0.251) == shed(queued=512) == {Effect.READ, Effect.WRITE}


def test_the_reason_has_the_figure_and_the_bound() -> None:
    assert overload.reason(Effect.WRITE, lag=0.18, queued=0) == "The event loop is 180 ms late; above 100 ms, writes are refused."
    assert overload.reason(Effect.READ, lag=0.0, queued=600) == "600 calls of this tenant wait already; from 512 on, reads are refused."


def test_a_tenant_with_no_call_waiting_is_shed_last() -> None:
    for lag, queued, refused in ((0.29, 0, False), (0.29, 1, True), (0.31, 0, True)):
        assert (overload.reason(Effect.WRITE, lag=lag, queued=queued, shared=True) is not None) is refused
    assert overload.reason(Effect.READ, lag=0.7, queued=0, shared=True) is None
    assert overload.reason(Effect.READ, lag=0.76, queued=0, shared=True) is not None
