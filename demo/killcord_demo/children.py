"""Child processes that never outlive the demo, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from killcord_demo.surprise import Surprise

_ENDS = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_LAST_LINES = 15


@contextmanager
def running(
    name: str, command: Sequence[str], *, log: Path, environ: Mapping[str, str], folder: Path, grace: float = 15.0
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in ``log``; ended (SIGTERM, after ``grace`` seconds SIGKILL) when the block is left."""
    with log.open("wb") as output, undisturbed():
        process = subprocess.Popen(  # noqa: S603 - our own command lines
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environ),
            # Ctrl-C at the terminal is for the demo alone: it ends its children in order.
            start_new_session=True,
            preexec_fn=end_with_parent(),
        )
    try:
        yield process
    finally:
        end(process, grace)


def end(process: subprocess.Popen[Any], grace: float = 15.0) -> None:
    """End a process and take its exit status; one that has ended already is left as it is."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that end the demo wait while a process is made: what their handler raises in the middle of a fork, Python only prints."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> Callable[[], None]:
    """What a child made ``undisturbed`` does before it becomes its program: it is killed when the demo is gone, even by SIGKILL."""
    parent = os.getpid()

    def bind() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        # No milder signal: between here and the program's start, the demo's own handler would swallow it.
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # gone already: no signal comes any more
            os._exit(1)

    return bind


def until_it_answers(
    name: str, process: subprocess.Popen[bytes], log: Path, answers: Callable[[], bool], *, seconds: float = 60.0
) -> float:
    """Wait until ``answers`` is true; how long it took, in seconds.

    Raises:
        Surprise: the process ended, or the time limit was reached; with the last lines it wrote.
    """
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if process.poll() is not None:
            raise Surprise(f"{name} to start", f"it ended with exit code {process.returncode}:\n{last_lines(log)}")
        try:
            if answers():
                return time.monotonic() - began
        except OSError:
            pass  # Not listening yet.
        time.sleep(0.03)
    raise Surprise(f"{name} to answer within {seconds:g} s", f"no answer; its last lines:\n{last_lines(log)}")


def last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-_LAST_LINES:]) or "(it wrote nothing)"


def port(preferred: int) -> int:
    """A loopback port that is free now: the preferred one, else one the system chooses."""
    for wanted in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise Surprise("a free port on 127.0.0.1", "none")
