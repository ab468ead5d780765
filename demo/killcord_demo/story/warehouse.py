"""A warehouse behind an HTTP API of its own: what is on the shelf, what of it is held for somebody, what was booked by hand.

It keeps no versions. A request with an ``Idempotency-Key`` that it answered before gets the same answer again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
Reply = tuple[int, Json]

_NOTHING: Reply = (404, {"error": "there is no such thing"})
_SIGN = {"in": 1, "out": -1}


@dataclass(slots=True)
class Warehouse:
    """``shelf`` is what lies there, by article. Once it serves, ``url`` is where."""

    shelf: dict[str, int]
    url: str = ""
    reservations: dict[str, Json] = field(default_factory=dict)
    adjustments: dict[str, Json] = field(default_factory=dict)
    _answered: dict[tuple[str, str], Reply] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def held(self, sku: str) -> int:
        """What of the shelf is held for somebody."""
        return sum(one["quantity"] for one in self.reservations.values() if one["sku"] == sku and one["state"] == "held")

    def pick(self, reservation: str) -> None:
        """A person takes the goods off the shelf."""
        with self._lock:
            one = self.reservations[reservation]
            self.shelf[one["sku"]] -= one["quantity"]
            one["state"] = "picked"

    def answer(self, method: str, path: str, key: str | None, body: Json) -> Reply:
        with self._lock:
            if key is not None and (path, key) in self._answered:
                return self._answered[path, key]
            reply = self._answer(method, path, body)
            if key is not None and reply[0] < 300:
                self._answered[path, key] = reply
            return reply

    def _answer(self, method: str, path: str, body: Json) -> Reply:
        match method, path.strip("/").split("/")[2:]:
            case "GET", ["reservations", name] if name in self.reservations:
                return 200, dict(self.reservations[name])
            case "GET", ["adjustments", name] if name in self.adjustments:
                return 200, self.adjustments[name]
            case "POST", ["reservations"]:
                return self._reserved(body["sku"], body["quantity"])
            case "POST", ["reservations", name, "release"] if name in self.reservations:
                return self._released(self.reservations[name])
            case "POST", ["adjustments"]:
                return self._adjusted(body)
        return _NOTHING

    def _reserved(self, sku: str, quantity: int) -> Reply:
        if self.shelf.get(sku, 0) - self.held(sku) < quantity:
            return 409, {"error": "there is not enough on the shelf"}
        name = f"res-{len(self.reservations) + 1}"
        self.reservations[name] = {"id": name, "sku": sku, "quantity": quantity, "state": "held"}
        return 201, dict(self.reservations[name])

    def _released(self, one: Json) -> Reply:
        if one["state"] != "held":
            return 410, {"error": f"it is {one['state']}"}
        one["state"] = "released"
        return 200, dict(one)

    def _adjusted(self, body: Json) -> Reply:
        self.shelf[body["sku"]] += _SIGN[body["direction"]] * body["quantity"]
        name = f"adj-{len(self.adjustments) + 1}"
        self.adjustments[name] = {"id": name, **body}
        return 201, self.adjustments[name]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.warehouse = warehouse


class _Asked(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body are one packet
    disable_nagle_algorithm = True
    server: _Server

    def reply(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = self.server.warehouse.answer(
            self.command, self.path, self.headers.get("Idempotency-Key"), json.loads(raw) if raw else {}
        )
        encoded = json.dumps(body).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    do_GET = do_POST = reply  # noqa: N815 - http.server looks for these names

    def log_message(self, format: str, *args: object) -> None:
        """Silence: the screen is for the story."""


@contextmanager
def serving(warehouse: Warehouse) -> Iterator[Warehouse]:
    """The warehouse on a free port of loopback."""
    server = _Server(warehouse)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        warehouse.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield warehouse
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
