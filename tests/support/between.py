"""A relay between gateway and tool that can hold an answer back, or a request, and drop either."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DEADLINE = 60.0
_HOPS = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


class When(Enum):
    """Where a call is held: the tool has not got it yet, or it has applied it and nobody heard."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(slots=True)
class Trap:
    """Holds the next call of a method. ``sprung`` is set once it is held; ``go`` lets it on, dropped where ``drop``."""

    method: str
    when: When
    drop: bool = False
    sprung: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def caught(self) -> None:
        """Wait until a call is held."""
        assert self.sprung.wait(DEADLINE), f"no {self.method} came to the tool"

    def release(self) -> None:
        self.go.set()

    def lose(self) -> None:
        """Let it be lost: what was held goes nowhere."""
        self.drop = True
        self.go.set()


class Between(ThreadingHTTPServer):
    """``seen`` counts the calls that came, by method."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, tool_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.tool_port = tool_port
        self.trap: Trap | None = None
        self.seen: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def set_trap(self, method: str, when: When) -> Trap:
        self.trap = Trap(method, when)
        return self.trap

    def taken(self, method: str) -> Trap | None:
        """Count a call, and take the trap that waits for it."""
        with self._lock:
            self.seen[method] = self.seen.get(method, 0) + 1
            if self.trap is None or self.trap.method != method:
                return None
            trap, self.trap = self.trap, None
            return trap

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that went away is what these tests are about."""


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Between

    def relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        trap = self.server.taken(self.command)
        if self._lost(trap, When.BEFORE):
            return
        answer, raw = self._forwarded(body)
        if self._lost(trap, When.AFTER):
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOPS:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = relay  # noqa: N815 - http.server looks for these names

    def log_message(self, format: str, *args: object) -> None:
        """Silence; failures are told by the tests."""

    def _lost(self, trap: Trap | None, when: When) -> bool:
        if trap is None or trap.when is not when:
            return False
        trap.sprung.set()
        trap.go.wait(DEADLINE)
        if trap.drop:
            self.close_connection = True
        return trap.drop

    def _forwarded(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.tool_port, timeout=DEADLINE)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOPS | {"host"}}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


@contextmanager
def relaying(tool_port: int) -> Iterator[Between]:
    """A relay to a tool on loopback."""
    between = Between(tool_port)
    thread = threading.Thread(target=between.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield between
    finally:
        between.shutdown()
        between.server_close()
        thread.join()
