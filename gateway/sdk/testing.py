"""What to test orchestrators and adapters against: a real gateway, a tool that can be made to fail, and a clock set by hand.

The gateway is ``killcord serve`` as a process of its own, so that a test may kill it. There is no fake one: what a gateway refuses and
remembers is what such tests are about.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DEADLINE = 60.0
"""Seconds that a gateway may take to start or to stop."""

Document = dict[str, Any]


@dataclass(slots=True)
class Hours:
    """A clock that stands still until a test moves it forward."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@dataclass(slots=True)
class Gateway:
    """A gateway on a folder; ``control`` and ``data`` are the URLs of its APIs, ``token`` is an admin's."""

    folder: Path
    settings: Mapping[str, Any]
    environ: Mapping[str, str] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    control: str = ""
    data: str = ""
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        listen = {name: f"127.0.0.1:{_free_port()}" for name in ("data", "control")}
        self.data, self.control = (f"http://{address}" for address in listen.values())
        # JSON is YAML.
        self._config.write_text(json.dumps({"data_dir": "./var", **self.settings, "listen": listen}))

    @property
    def said(self) -> str:
        """Everything that it printed since its first start."""
        return (self.folder / "gateway.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it and wait until it is ready for calls.

        Raises:
            RuntimeError: it did not start; the message contains what it printed.
        """
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(self._config)]
        environ = {**os.environ, "KILLCORD_BOOTSTRAP_TOKEN": self.token, **self.environ}
        with open(self.folder / "gateway.log", "ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, on our own package
                command, cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until = time.monotonic() + DEADLINE
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise RuntimeError(f"the gateway did not start:\n{self.said}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it like a crash. What was durable is there at the next start."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE)

    def stop(self) -> None:
        """End it like an operator, with SIGTERM."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(DEADLINE)

    @property
    def _config(self) -> Path:
        return self.folder / "killcord.yaml"

    def _is_ready(self) -> bool:
        with closing(http.client.HTTPConnection(urlsplit(self.control).netloc, timeout=DEADLINE)) as connection:
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            except OSError:
                return False


@contextmanager
def serving(folder: Path, settings: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Iterator[Gateway]:
    """A gateway that is ready; it ends with the context.

    ``settings`` are the keys of a ``killcord.yaml``, without ``listen``; relative paths are relative to ``folder``.
    """
    gateway = Gateway(folder, settings, environ or {})
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()


class Tool(ThreadingHTTPServer):
    """A REST tool: JSON documents by path, with entity tags. Tests count effects in ``documents``.

    POST to a collection creates a document with an ``id``; PATCH merges, also into the document above if the path names a part of it;
    PUT replaces. ``If-Match`` is honoured, and the same ``Idempotency-Key`` gets the same answer.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.documents: dict[str, Document] = {}
        self.calls: list[tuple[str, str]] = []
        """Method and path of every request, in order."""
        self._tags: dict[str, int] = {}
        self._answers: dict[str, tuple[int, str, Document]] = {}
        self._losing = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def lose_replies(self, count: int = 1) -> None:
        """Apply the next ``count`` writes, and close the connection instead of answering."""
        self._losing = count

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: Document) -> tuple[int, str, Document] | None:
        """Status, entity tag and body; ``None`` if the reply is lost. ``headers`` have lower-case names."""
        with self._lock:
            self.calls.append((method, path))
            if method == "GET":
                return self._read(path)
            key = headers.get("idempotency-key", "")
            answer = self._answers.get(key) or self._write(method, path, headers.get("if-match"), body)
            if key and answer[0] < 400:
                self._answers[key] = answer
            self._losing, lost = max(0, self._losing - 1), self._losing > 0
            return None if lost else answer

    def _read(self, path: str) -> tuple[int, str, Document]:
        if path in self.documents:
            return 200, self._tag(path), self.documents[path]
        items = [document for name, document in self.documents.items() if name.rpartition("/")[0] == path]
        return 200 if items else 404, "", {"items": items}

    def _write(self, method: str, path: str, expected: str | None, body: Document) -> tuple[int, str, Document]:
        if method == "POST":
            number = str(len(self._tags) + 1)
            return 201, *self._put(f"{path}/{number}", body | {"id": number})
        path = path if path in self.documents or method == "PUT" else path.rpartition("/")[0]
        before = self.documents.get(path)
        if before is None and method != "PUT":
            return 404, "", {}
        if expected is not None and expected != self._tag(path):
            return 412, "", {}
        if method == "DELETE":
            del self.documents[path]
            return 200, "", {}
        return 200, *self._put(path, body if method == "PUT" else (before or {}) | body)

    def _put(self, path: str, document: Document) -> tuple[str, Document]:
        self.documents[path] = document
        self._tags[path] = self._tags.get(path, 0) + 1
        return self._tag(path), document

    def _tag(self, path: str) -> str:
        return f'"{self._tags.get(path, 0)}"'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Tool

    def answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        named = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.answer(self.command, urlsplit(self.path).path, named, json.loads(raw) if raw else {})
        if answer is None:
            self.close_connection = True
            return
        status, tag, document = answer
        sent = json.dumps(document).encode()
        self.send_response(status)
        if tag:
            self.send_header("ETag", tag)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server looks for these names

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: ``Tool.calls`` records the requests."""


@contextmanager
def tooling() -> Iterator[Tool]:
    """A tool that answers; it ends with the context."""
    with Tool() as tool:
        thread = threading.Thread(target=tool.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield tool
        finally:
            tool.shutdown()
            thread.join()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
