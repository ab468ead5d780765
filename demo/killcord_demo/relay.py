"""A way to the ERP that can go wrong: passes every call on, until a fault says otherwise. It stands between gateway and ERP."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

DEADLINE = 30.0
_HOPS = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive", "host"})

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as the gateway sent it; ``path`` is the ERP's own, with its query."""

    method: str
    path: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Relayed:
    """An answer, as the ERP gave it or a fault made it."""

    status: int
    headers: Headers
    body: bytes


Ask = Callable[[Asked], Relayed]
Fault = Callable[[Asked, Ask], Relayed | None]
"""Given a call and the way on to the ERP, what is answered; ``None`` is no answer: the connection is closed."""


class Relay(ThreadingHTTPServer):
    """``fault`` may be changed at any time; ``None`` is honest passing on."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, erp_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.erp = urlsplit(erp_url)
        self.fault: Fault | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{self.erp.path}"

    @contextmanager
    def going_wrong(self, fault: Fault | None) -> Iterator[None]:
        """With this fault for as long as the block lasts."""
        self.fault = fault
        try:
            yield
        finally:
            self.fault = None

    def answer(self, asked: Asked) -> Relayed | None:
        fault = self.fault
        return self.ask(asked) if fault is None else fault(asked, self.ask)

    def ask(self, asked: Asked) -> Relayed:
        """The ERP's own answer."""
        connection = http.client.HTTPConnection(self.erp.hostname or "", self.erp.port, timeout=DEADLINE)
        try:
            connection.request(asked.method, asked.path, asked.body or None, dict(asked.headers))
            answer = connection.getresponse()
            return Relayed(answer.status, _passed(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A gateway that goes away takes its calls with it; that is no news here."""


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is one packet: head and body apart would wait for each other's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Relay

    def relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        relayed = self.server.answer(Asked(self.command, self.path, _passed(self.headers.items()), body))
        if relayed is None:
            self.close_connection = True
            return
        self.send_response_only(relayed.status)
        for name, value in (*relayed.headers, ("Content-Length", str(len(relayed.body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(relayed.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = relay  # noqa: N815 - http.server looks for these names

    def log_message(self, format: str, *args: object) -> None:
        """Silence: the screen is for the story."""


@contextmanager
def relaying(erp_url: str) -> Iterator[Relay]:
    """A relay on a free port of loopback, in front of the ERP at this URL."""
    relay = Relay(erp_url)
    thread = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.shutdown()
        relay.server_close()
        thread.join()


def _passed(headers: Sequence[tuple[str, str]]) -> Headers:
    return tuple((name, value) for name, value in headers if name.lower() not in _HOPS)
