"""A real gateway: ``killcord serve`` as a process of its own, on a configuration in a folder of its own."""

from __future__ import annotations

import os
import resource
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from killcord_demo import web
from tests.support.kinto import AUTHORIZATION
from tests.support.ports import free_port

CHECKOUT = Path(__file__).resolve().parent.parent.parent
DEADLINE = 60.0

Settings = dict[str, Any]


def settings(tool_url: str) -> Settings:
    """The keys of a configuration in front of a Kinto, to be changed as a test needs it."""
    return {
        "listen": {"data": f"127.0.0.1:{free_port()}", "control": f"127.0.0.1:{free_port()}"},
        "data_dir": "./var",
        "policy": {"engine": "embedded", "path": str(CHECKOUT / "policies" / "killcord")},
        "adapters": [str(CHECKOUT / "adapters")],
        "tools": {
            "erp": {
                "adapter": "kinto",
                "base_url": tool_url,
                "credential": {"header": "Authorization", "value": "${ERP_AUTHORIZATION}"},
                "vars": {"collection": "invoices"},
            }
        },
        "task_classes": {"default": {"tenants": ["*"], "scopes": ["*"], "ttl": "1h"}},
        "shutdown_grace": "10s",
    }


@dataclass(slots=True)
class Gateway:
    """One gateway, started and ended at will on the same folder. ``lines`` is all it wrote on both outputs.

    ``open_files`` is the limit on its open files, soft and hard; ``None`` for this process's own.
    """

    folder: Path
    settings: Settings
    environ: Mapping[str, str] = field(default_factory=dict)
    token: str = field(default_factory=lambda: "test-" + secrets.token_urlsafe(24))
    open_files: int | None = None
    lines: list[str] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _reader: threading.Thread | None = None

    @property
    def data(self) -> str:
        return f"http://{self.settings['listen']['data']}"

    @property
    def control(self) -> str:
        return f"http://{self.settings['listen']['control']}"

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the gateway was not started"
        return self._process

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    def configure(self) -> Path:
        """Write its configuration."""
        config = self.folder / "killcord.yaml"
        config.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        return config

    def spawn(self, *options: str) -> None:
        """Start it without waiting for anything."""
        config = self.configure()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--config", str(config), *options],
            stdin=subprocess.DEVNULL,
            # A pipe and no file: tests that forbid it to write files must not forbid it to speak.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env={**os.environ, "ERP_AUTHORIZATION": AUTHORIZATION, "KILLCORD_BOOTSTRAP_TOKEN": self.token, **self.environ},
            preexec_fn=None if self.open_files is None else partial(resource.setrlimit, resource.RLIMIT_NOFILE, (self.open_files,) * 2),
        )
        self._reader = threading.Thread(target=_collect, args=(self._process, self.lines), daemon=True)
        self._reader.start()

    def start(self, *options: str) -> None:
        """Start it and wait until it is ready, and what it prints at its start is in ``lines``."""
        before = self.lines.count("ready")
        self.spawn(*options)
        # It listens before it prints, and another thread reads what it prints.
        try:
            wait_until(lambda: self._ready() and self.lines.count("ready") > before, "the gateway to be ready")
        except AssertionError as late:
            raise AssertionError(f"{late}; it said:\n{self.said}") from late

    def command(self, *words: str, live: bool = False) -> int:
        """The exit code of another command: on its configuration, or ``live``, asking its control API."""
        command = [sys.executable, "-m", "gateway", *words, *(() if live else ("--config", str(self.configure())))]
        environ = {**os.environ, "KILLCORD_URL": self.control, "KILLCORD_TOKEN": self.token, **self.environ}
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=environ, timeout=DEADLINE, check=False)
        self.lines += [*done.stdout.splitlines(), *done.stderr.splitlines()]
        return done.returncode

    def ended(self) -> int:
        """Its exit code, once it ends."""
        code = self.process.wait(DEADLINE)
        assert self._reader is not None
        self._reader.join(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def terminate(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """SIGKILL: no chance to write anything more."""
        self.process.kill()
        self.ended()

    def stop(self) -> None:
        """End it, in whatever state it is."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self.terminate()
        else:
            self.ended()

    def ask(self, method: str, path: str, body: object = None) -> web.Answer:
        """The control API."""
        return web.send(method, self.control + path, body, {"Authorization": f"Bearer {self.token}"})

    def open_run(self, tenant: str, **asked: object) -> tuple[str, str]:
        """A run's id and lease."""
        body = {"tenant": tenant, "agent_id": "agent", "scopes": ["erp:*"], **asked}
        answer = self.ask("POST", "/v1/runs", body)
        assert answer.status == 201, answer
        return answer.body["run"]["run_id"], answer.body["lease"]

    def contain(self, mode: str, *, future: bool = False, **scope: object) -> web.Answer:
        answer = self.ask("POST", "/v1/orders", {"scope": scope, "mode": mode, "reason": "a test says so", "future": future})
        assert answer.status == 201, answer
        return answer

    def journal(self, run_id: str, *, last: str) -> list[dict[str, Any]]:
        """A run's entries, oldest first, once the newest is of this kind: reads, replays and refusals reach the disk after their reply."""
        found: list[dict[str, Any]] = []

        def told() -> bool:
            answer = self.ask("GET", f"/v1/journal?run={run_id}&limit=1000")
            assert answer.status == 200, answer
            found[:] = answer.body["items"]
            return bool(found) and found[-1]["kind"] == last

        wait_until(told, f"a {last} in the journal")
        return found

    def effects(self, run_id: str) -> list[dict[str, Any]]:
        answer = self.ask("GET", f"/v1/runs/{run_id}/effects")
        assert answer.status == 200, answer
        items: list[dict[str, Any]] = answer.body["items"]
        return items

    def call(
        self, method: str, path: str, body: object = None, *, lease: str = "", headers: Mapping[str, str] | None = None, tool: str = "erp"
    ) -> web.Answer:
        """The data API; ``path`` is the tool's own."""
        sent = {**({"Authorization": f"Bearer {lease}"} if lease else {}), **(headers or {})}
        return web.send(method, f"{self.data}/{tool}{path}", body, sent)

    def _ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the gateway ended with exit code {self.process.returncode}")
        return web.send("GET", self.control + "/readyz").status == 200


@contextmanager
def serving(gateway: Gateway) -> Iterator[Gateway]:
    """A gateway that is ready, ended afterwards."""
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()


def wait_until(holds: Callable[[], bool], what: str, *, seconds: float = DEADLINE) -> None:
    """Wait for a condition; a refused connection is a condition that does not hold yet."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def _collect(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
