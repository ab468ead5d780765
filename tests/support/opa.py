"""A real OPA as a process: on a port or a Unix socket, with policies or without, paused, killed and started again at will."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.gateway import wait_until
from tests.support.policies import POLICIES, ROOT
from tests.support.ports import free_port

VERSION = "v1.22.2"


def binary() -> str:
    """The real OPA, of PATH or of ``.tools``; without one the test is skipped, and fails where CI asks for it."""
    local = ROOT / ".tools" / "opa"
    found = shutil.which("opa") or (str(local) if local.exists() else None)
    if found is None:
        install = f"GOBIN={local.parent} go install github.com/open-policy-agent/opa@{VERSION}"
        if os.environ.get("CI"):
            pytest.fail(f"CI requires a real OPA: {install}")
        pytest.skip(f"NOT CHECKED AGAINST A REAL OPA: install it by {install}")
    return found


@dataclass(slots=True)
class Opa:
    """One OPA. ``options`` are those of ``opa run --server``; ``url`` stays the same over a restart; ``log`` is what it writes to."""

    port: int = 0
    socket: Path | None = None
    options: tuple[str, ...] = (str(POLICIES),)
    bundles_active: bool = True
    log: Path | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}" if self.socket else f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "OPA was not started"
        return self._process

    def start(self) -> None:
        """Start it and wait until it answers."""
        address = f"unix://{self.socket}" if self.socket else f"127.0.0.1:{self.port}"
        command = [binary(), "run", "--server", "--addr", address, "--log-level", "error", *self.options]
        with (self.log or Path(os.devnull)).open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._healthy, f"{' '.join(command)} to answer")

    def pause(self) -> None:
        """It stands still, its connections open; on return every one of its threads does."""
        self.process.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.process.pid}/task")
        wait_until(lambda: all(_state(one) == "T" for one in threads.iterdir()), "OPA to stand still")

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, also where it is paused."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(60)

    def unread(self) -> int:
        """Bytes of questions that have arrived and were not taken in."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(int(row[4].partition(":")[2], 16) for row in rows if row[1].endswith(f":{self.port:04X}") and row[3] == "01")

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of one request, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port or 80, timeout=10)
        try:
            if self.socket is not None:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.connect(str(self.socket))
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _healthy(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"OPA ended with exit code {self.process.returncode}")
        return self.ask("GET", "/health?bundles" if self.bundles_active else "/health")[0] == 200


def _state(thread: Path) -> str:
    return (thread / "stat").read_text().rpartition(") ")[2][0]


@contextmanager
def serving(
    options: tuple[str, ...] = (str(POLICIES),), *, socket: Path | None = None, bundles_active: bool = True, log: Path | None = None
) -> Iterator[Opa]:
    """An OPA that answers, killed afterwards; unless told otherwise it has this project's policies."""
    opa = Opa(port=0 if socket else free_port(), socket=socket, options=options, bundles_active=bundles_active, log=log)
    try:
        opa.start()
        yield opa
    finally:
        opa.kill()
