import re
import time

import pytest

from gateway.clients.clock import SystemClock


def test_time_does_not_run_backwards_when_the_wall_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert clock.now() == 1000.0
    monkeypatch.setattr(time, "time", lambda: 400.0)
    assert clock.now() == 1000.0
    monkeypatch.setattr(time, "time", lambda: 1000.5)
    assert clock.now() == 1000.5


def test_an_id_is_its_prefix_and_a_ulid() -> None:
    assert re.fullmatch(r"run_[0-7][0-9A-HJKMNP-TV-Z]{25}", SystemClock().mint("run"))


def test_ids_ascend_and_do_not_repeat() -> None:
    clock = SystemClock()
    minted = [clock.mint("ap") for _ in range(50_000)]
    assert minted == sorted(set(minted))


def test_ids_ascend_when_the_wall_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    before = clock.mint("run")
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert clock.mint("run") > before


def test_an_id_tells_the_time_of_its_making() -> None:
    before = time.time_ns() // 1_000_000
    text = SystemClock().mint("run").removeprefix("run_")
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    millis = 0
    for character in text[:10]:
        millis = millis * 32 + alphabet.index(character)
    assert before <= millis <= time.time_ns() // 1_000_000
