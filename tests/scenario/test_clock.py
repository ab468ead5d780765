"""A wall clock that is set while the gateway runs: no order ends, no honest call is refused, no lease lasts longer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from killcord_demo import web
from tests.support import gateway as gateways
from tests.support.erp import Erp
from tests.support.faketime import WallClock
from tests.support.gateway import Gateway, wait_until

HOUR = 3600.0
FORWARD = pytest.mark.reliability(
    fault="The wall clock jumps forward", case="a timed order holds, and leases expire after the time for which they were issued"
)
BACK = pytest.mark.reliability(fault="The wall clock is set back", case="rates are metered as before, and no call is refused for it")


@pytest.fixture
def wall(tmp_path: Path) -> WallClock:
    made = WallClock(tmp_path / "wall")
    made.set(0)
    return made


@pytest.fixture
def timed(kinto_port: int, tmp_path: Path, wall: WallClock) -> Iterator[Gateway]:
    """A gateway whose wall clock the test sets."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    made = Gateway(folder, gateways.settings(f"http://127.0.0.1:{kinto_port}/v1"), environ=wall.environ)
    with gateways.serving(made):
        yield made


@FORWARD
def test_a_pause_outlives_a_clock_that_was_an_hour_ahead_for_a_while(timed: Gateway, wall: WallClock, erp: Erp) -> None:
    run_id, lease = timed.open_run(erp.tenant)
    order = {"scope": {"run": run_id}, "mode": "paused", "ttl": "30m", "reason": "a test says so"}
    assert timed.ask("POST", "/v1/orders", order).status == 201
    assert _code(_read(timed, erp, lease)) == "run-paused"
    for ahead in (HOUR, 0.0):
        _set(timed, wall, ahead)
        assert _code(_read(timed, erp, lease)) == "run-paused"
    assert timed.terminate() == 0, timed.said


@FORWARD
def test_a_live_lease_works_and_a_new_one_lasts_its_ttl(timed: Gateway, wall: WallClock, erp: Erp) -> None:
    _, lease = timed.open_run(erp.tenant, ttl="30m")
    _set(timed, wall, HOUR)
    assert _read(timed, erp, lease).status == 200
    during = _opened(timed, erp, ttl="15m")
    _set(timed, wall, 0.0)
    assert _read(timed, erp, lease).status == 200
    assert during["lasts"] == pytest.approx(900, abs=60), "the new lease does not end with the hour that the clock was ahead"
    assert _read(timed, erp, during["lease"]).status == 200


@BACK
def test_a_rate_is_metered_right_after_the_clock_was_set_back(timed: Gateway, wall: WallClock, erp: Erp) -> None:
    _, lease = timed.open_run(erp.tenant, limits={"rate": "5/s"})
    assert _read(timed, erp, lease).status == 200
    _set(timed, wall, -90.0)
    time.sleep(1.1)
    began, passed = time.monotonic(), 0
    while passed < 15:
        passed += _read(timed, erp, lease).status == 200
        assert time.monotonic() - began < 30, f"{passed} calls of 5/s passed in 30 s"
    took = time.monotonic() - began
    assert took > 1.8, f"15 calls of 5/s, of which 5 at once, passed in {took:.1f} s"


@FORWARD
def test_a_jump_is_logged_once_and_shown_until_it_is_gone(timed: Gateway, wall: WallClock) -> None:
    _set(timed, wall, HOUR)
    time.sleep(2.2)  # two more comparisons
    assert _events(timed) == ["clock-jumped"]
    _set(timed, wall, 0.0)
    wait_until(lambda: len(_events(timed)) > 1, "the log to say more")
    assert _events(timed) == ["clock-jumped", "clock-corrected"]


@pytest.mark.reliability(fault="The wall clock is set back", case="a start before the journal's newest entry is reported")
def test_a_start_with_a_clock_behind_the_journal_is_logged(timed: Gateway, wall: WallClock, erp: Erp) -> None:
    timed.open_run(erp.tenant)
    assert timed.terminate() == 0
    wall.set(-HOUR)
    timed.start()
    wait_until(lambda: "clock-behind-journal" in timed.said, "the warning")


def _set(gateway: Gateway, wall: WallClock, ahead: float) -> None:
    """Set the clock, and wait until the gateway says so: it stays ready."""
    wall.set(ahead)

    def seen() -> bool:
        ready = web.send("GET", f"{gateway.control}/readyz")
        assert (ready.status, ready.body["status"]) == (200, "ready")
        return bool(ready.body["clock"]["ok"] is (ahead == 0.0))

    wait_until(seen, "the gateway to notice its clock")


def _read(gateway: Gateway, erp: Erp, lease: str) -> web.Answer:
    return gateway.call("GET", erp.path("invoices", "inv-1"), lease=lease)


def _code(answer: web.Answer) -> str:
    return str(answer.body.get("code"))


def _opened(gateway: Gateway, erp: Erp, **asked: Any) -> dict[str, Any]:
    answer = gateway.ask("POST", "/v1/runs", {"tenant": erp.tenant, "agent_id": "agent", "scopes": ["erp:*"], **asked})
    assert answer.status == 201, answer
    ends = datetime.fromisoformat(answer.body["expires_at"]).timestamp()
    return {"lease": answer.body["lease"], "lasts": ends - time.time()}


def _events(gateway: Gateway) -> list[str]:
    return [name for line in gateway.lines for name in ("clock-jumped", "clock-corrected") if name in line]
