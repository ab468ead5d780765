import math
import re
import time

import pytest

from gateway.clients.clock import SystemClock


class Machine:
    """A machine's two clocks, moved by hand."""

    def __init__(self) -> None:
        self.wall, self.elapsed = 1_780_000_000.0, 500.0

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall, lambda: self.elapsed)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds


@pytest.mark.parametrize("jump", [-86_400.0, -61.0, 61.0, 3600.0])
def test_time_does_not_follow_a_wall_clock_that_is_set(jump: float) -> None:
    machine = Machine()
    clock = machine.clock()
    began = clock.now()
    machine.wall += jump
    for _ in range(900):
        machine.passes(1.0)
        assert clock.wall_ahead() == pytest.approx(jump)
    assert clock.now() - began == pytest.approx(900.0)


@pytest.mark.parametrize("step", [-20.0, 20.0])
def test_time_follows_a_small_correction_by_half_a_millisecond_a_second(step: float) -> None:
    machine = Machine()
    clock = machine.clock()
    began = clock.now()
    machine.wall += step
    for second in range(1, 1001):
        machine.passes(1.0)
        clock.wall_ahead()
        assert clock.now() - began == pytest.approx(second * (1 + math.copysign(0.0005, step)))
    for _ in range(40_000):
        machine.passes(1.0)
        clock.wall_ahead()
    assert clock.now() == pytest.approx(machine.wall)


def test_time_follows_no_correction_while_no_time_passes() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += 30.0
    before = clock.now()
    for _ in range(1000):
        clock.wall_ahead()
    assert clock.now() == before


def test_time_passes_with_the_clock_that_counts_a_suspended_machine() -> None:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("this system has no CLOCK_BOOTTIME")
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 1.0
    assert abs(clock._elapsed() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1.0


def test_an_id_is_its_prefix_and_a_ulid() -> None:
    assert re.fullmatch(r"run_[0-7][0-9A-HJKMNP-TV-Z]{25}", SystemClock().mint("run"))


def test_ids_ascend_and_do_not_repeat() -> None:
    clock = SystemClock()
    minted = [clock.mint("ap") for _ in range(50_000)]
    assert minted == sorted(set(minted))


def test_ids_ascend_when_the_wall_clock_is_set_back() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.mint("run")
    machine.wall = 0.0
    assert clock.mint("run") > before


def test_an_id_tells_the_time_of_its_making() -> None:
    before = time.time_ns() // 1_000_000
    text = SystemClock().mint("run").removeprefix("run_")
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    millis = 0
    for character in text[:10]:
        millis = millis * 32 + alphabet.index(character)
    assert before - 1 <= millis <= time.time_ns() // 1_000_000 + 1
