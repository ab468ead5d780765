"""``killcord demo --incident``: every trigger there is has a play, and each goes as it is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gateway.core.triggers.window import NAMES
from killcord_demo.incidents.repertoire import PLAYS

DEADLINE = 180.0


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", "demo", "--exit", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)


def test_every_trigger_has_a_play() -> None:
    assert tuple(PLAYS) == NAMES


def test_the_plays_can_be_listed() -> None:
    told = demo("--incident", "list")
    assert told.returncode == 0
    assert [line.split()[0] for line in told.stdout.splitlines()] == list(NAMES)


def test_a_play_that_there_is_not_is_wrong_use() -> None:
    told = demo("--incident", "anomaly.lop")
    assert told.returncode == 2
    assert "--incident list" in " ".join((told.stdout + told.stderr).replace("│", " ").split())


def test_all_plays_go_as_expected_on_one_erp() -> None:
    told = demo("--incident", "all")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "All as expected." in told.stdout
    assert [name for name in NAMES if f"saw {name}, " not in told.stdout] == []


def test_one_play_ends_with_its_story_and_its_report(tmp_path: Path) -> None:
    told = demo("--incident", "uncertain.identity", "--keep", str(tmp_path / "kept"))
    assert told.returncode == 0, told.stdout + told.stderr
    assert "What happened" in told.stdout
    assert "# Post-mortem of incident" in told.stdout
    assert (tmp_path / "kept" / "gateway.log").exists()
