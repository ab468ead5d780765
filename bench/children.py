"""Processes that take part in a run: started on a core, watched through /proc, and gone when the run is."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120.0
"""Seconds that a process may take to answer; a run on a busy machine must not fail for that."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Broken(RuntimeError):
    """The benchmark cannot continue: what happened, and the last output lines of the process."""


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def rss(self) -> int:
        return rss([self.pid])

    def last_lines(self, count: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:]) or "(it wrote nothing)"

    def until(self, answers: Callable[[], bool]) -> None:
        """Wait until ``answers`` is true.

        Raises:
            Broken: the process ended, or the time limit was reached.
        """
        deadline = time.monotonic() + PATIENCE
        while not answers():
            if self.process.poll() is not None:
                raise Broken(f"{self.name} ended with exit code {self.process.returncode}:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise Broken(f"{self.name} did not answer within {PATIENCE:g} s:\n{self.last_lines()}")
            time.sleep(0.02)


@contextmanager
def running(
    name: str, command: Sequence[str], *, core: int, folder: Path, environ: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Iterator[Child]:
    """A process pinned to a core, its output in a file of ``folder``; ended when the block is left."""

    def settle() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        os.sched_setaffinity(0, {core})

    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(environ or {})},
            preexec_fn=settle,
        )
    try:
        yield Child(name, process, log)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cores() -> tuple[int, int]:
    """The core for what is measured, and the one for load and tool; the same where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes, all threads together; steps of 1/100 s on Linux."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def rss(pids: Iterable[int]) -> int:
    """Resident memory of processes in bytes."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * _PAGE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def listening(port: int) -> Callable[[], bool]:
    """Whether something takes connections on a loopback port."""

    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0):
                return True
        except OSError:
            return False

    return answers
