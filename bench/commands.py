"""Commands that go through a whole journal, timed from start to end on the core that is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import children
from bench.children import Broken
from bench.figures import Found, Speed
from bench.killcord import POLICIES, Gateway

VERIFY = "journal verify --file"
VERIFY_LIVE = "journal verify"
EXPORT = "journal export"
REPLAY = "policy replay"

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Done:
    seconds: float
    code: int
    value: dict[str, Any] | None
    said: str


def run(gateway: Gateway, folder: Path, found: Found, note: Note) -> None:
    """Export, verify and replay the journal of a gateway into ``found``."""
    export = folder / "journal.ndjson"
    exported = _timed(gateway, "journal", "export", "--out", str(export))
    _keep(EXPORT, exported, "entries", found, note)
    _keep(VERIFY, _timed(gateway, "journal", "verify", "--file", str(export)), "entries", found, note)
    _keep(VERIFY_LIVE, _timed(gateway, "journal", "verify"), "entries", found, note)


def replay(gateway: Gateway, found: Found, note: Note) -> None:
    """Decide every call in a gateway's journal again, on the same policies."""
    again = _timed(gateway, "policy", "replay", "--bundle", str(POLICIES), "--config", str(gateway.config))
    if again.value is not None and again.value.get("lost"):
        raise Broken(f"killcord {REPLAY} lost calls: {again.value['lost']}")
    _keep(REPLAY, again, "decided", found, note)


def _timed(gateway: Gateway, *command: str) -> _Done:
    began = time.perf_counter()
    done = _killcord(gateway, "--json", *command)
    seconds = time.perf_counter() - began
    try:
        value = json.loads(done.stdout)
    except ValueError:
        value = None
    return _Done(seconds, done.returncode, value, (done.stdout + done.stderr).strip())


def _killcord(gateway: Gateway, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *command],
        capture_output=True,
        text=True,
        cwd=children.ROOT,
        env={**os.environ, **gateway.environ},
        preexec_fn=lambda: os.sched_setaffinity(0, {children.cores()[0]}),
        check=False,
    )


def _keep(of: str, done: _Done, counted: str, found: Found, note: Note) -> None:
    if done.code or done.value is None:
        raise Broken(f"killcord {of} ended with exit code {done.code}:\n{done.said[-1500:]}")
    speed = Speed(of=of, count=int(done.value[counted]), per_second=int(done.value[counted]) / done.seconds)
    found.speeds.append(speed)
    note(f"{of}: {speed.count:,} in {done.seconds:.1f} s, {speed.per_second:,.0f}/s")
