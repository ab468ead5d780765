"""``killcord demo`` as CI runs it: it goes as expected, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateway import wait_until

DEADLINE = 120.0


def test_the_demo_goes_as_expected_and_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    done = subprocess.run(_demo(folder), capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All as expected." in done.stdout
    assert "\x1b" not in done.stdout, "colours are for terminals"
    assert _processes_about(folder) == []
    assert {path.name for path in folder.iterdir()} >= {"killcord.yaml", "journal.ndjson", "forged.ndjson", "gateway.log"}


def test_the_whole_story_goes_as_expected_and_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    done = subprocess.run([*_demo(folder), "--story"], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All as expected." in done.stdout
    assert _processes_about(folder) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_demo_that_is_ended_in_the_middle_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "kept"
    with subprocess.Popen(_demo(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as demo:
        wait_until(lambda: (folder / "gateway.log").exists() or demo.poll() is not None, "the demo's gateway to be started")
        demo.send_signal(number)
        assert demo.wait(DEADLINE) != 0
    wait_until(lambda: _processes_about(folder) == [], "the demo's processes to be gone")


def test_the_demo_does_not_write_into_a_folder_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    done = subprocess.run(_demo(tmp_path), capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 2
    assert "not an empty folder" in " ".join((done.stdout + done.stderr).split())


def _demo(folder: Path) -> list[str]:
    return [sys.executable, "-m", "gateway", "demo", "--exit", "--keep", str(folder)]


def _processes_about(folder: Path) -> list[str]:
    """Command lines of living processes that run in the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd") == str(folder):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # Gone, or another user's.
    return found
