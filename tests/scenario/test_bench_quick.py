"""The benchmarks run from end to end and leave well-formed figures. Nothing is said about speed: other tests share the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import CHECKOUT

PATIENCE = 300.0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The JSON of a quick run, and the folder it was kept in."""
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "bench", "--quick", "--out", str(folder)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (kept,) = folder.glob("*.json")
    found: dict[str, Any] = json.loads(kept.read_text())
    return found, folder


def test_every_cell_was_measured_and_answered(run: tuple[dict[str, Any], Path]) -> None:
    samples = run[0]["samples"]
    cells = {(one["connections"], one["subject"], one["call"]) for one in samples}
    assert len(cells) == len(samples)
    for connections in (1, 16):
        assert {(connections, "killcord", call) for call in ("read", "write", "change")} <= cells
        assert {(connections, "aiohttp proxy", call) for call in ("read", "write", "change")} <= cells
        assert {(connections, "tool alone", call) for call in ("read", "write")} <= cells
    for one in samples:
        measured = one["measured"]
        assert measured["calls"] > 0
        assert 0 < measured["p50"] <= measured["p99"]
        assert measured["cpu"] >= 0


def test_who_is_not_there_is_named(run: tuple[dict[str, Any], Path]) -> None:
    found = run[0]
    there = {one["subject"] for one in found["samples"]}
    for name in ("killcord + opa", "envoy", "envoy + ext_authz"):
        assert name in there or any(name in line for line in found["skipped"]), name


def test_growth_memory_and_commands_were_measured(run: tuple[dict[str, Any], Path]) -> None:
    found = run[0]
    assert len(found["growth"]) == 6
    assert all(one["ratio"] > 0 for one in found["growth"])
    assert [one["goal"] for one in found["parts"]] == ["gate", "order", "triggers"]
    assert {"idle", "with 50 open runs"} <= {one["of"] for one in found["memory"]}
    speeds = {one["of"]: one for one in found["speeds"]}
    for command in ("journal export", "journal verify", "journal verify --file"):
        assert speeds[command]["count"] >= 5000
        assert speeds[command]["per_second"] > 0


def test_a_tenant_was_measured_beside_a_crowd_of_another(run: tuple[dict[str, Any], Path]) -> None:
    assert [one["call"] for one in run[0]["beside"]] == ["read", "write"]
    assert all(one["usual"] > 0 and one["crowded"] > 0 for one in run[0]["beside"])


def test_every_goal_is_in_the_table(run: tuple[dict[str, Any], Path]) -> None:
    goals = run[0]["tables"][0]
    assert goals["title"] == "Must reach"
    assert len(goals["rows"]) == 33
    assert {row[3] for row in goals["rows"]} <= {"reached", "MISSED", "not measured"}


def test_nothing_but_the_figures_is_left(run: tuple[dict[str, Any], Path]) -> None:
    assert [one.suffix for one in run[1].iterdir()] == [".json"]
