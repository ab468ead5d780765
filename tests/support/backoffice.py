"""A warehouse, a CRM and a mailer behind one port: small, honest, and asked over real HTTP. Each has a path of its own.

The warehouse keeps no versions and honours keys; the CRM's contacts have entity tags; the mailer takes nothing back.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
Reply = tuple[int, Json, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Json

    @property
    def writes(self) -> bool:
        return self.method != "GET"


@dataclass(slots=True)
class Backoffice:
    """What the three hold for all tenants, and all that they were asked. ``next_id`` is given to what is made next."""

    stock: dict[str, int] = field(default_factory=dict)
    reservations: dict[str, Json] = field(default_factory=dict)
    adjustments: dict[str, Json] = field(default_factory=dict)
    contacts: dict[str, Json] = field(default_factory=dict)
    notes: dict[str, Json] = field(default_factory=dict)
    messages: dict[str, Json] = field(default_factory=dict)
    sequences: dict[str, Json] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    next_id: str | None = None
    _answered: dict[tuple[str, str], Reply] = field(default_factory=dict)
    _made: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def writes(self) -> list[Asked]:
        return [one for one in self.asked if one.writes]

    def available(self, sku: str) -> int:
        """What is on the shelf and nobody's."""
        held: int = sum(one["quantity"] for one in self.reservations.values() if one["sku"] == sku and one["state"] == "held")
        return self.stock.get(sku, 0) - held

    def pick(self, reservation: str) -> None:
        """A person in the warehouse takes the goods off the shelf for it."""
        one = self.reservations[reservation]
        self.stock[one["sku"]] -= one["quantity"]
        one["state"] = "picked"

    def edit(self, contact: str, **fields: object) -> None:
        """A person changes a contact in the CRM itself."""
        self.contacts[contact] |= {**fields, "version": self.contacts[contact]["version"] + 1}

    def answer(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            key = asked.headers.get("idempotency-key")
            if key is not None and (asked.path, key) in self._answered:
                return self._answered[asked.path, key]
            reply = self._answer(asked)
            if key is not None and reply[0] < 300:
                self._answered[asked.path, key] = reply
            return reply

    def _answer(self, asked: Asked) -> Reply:
        match asked.method, asked.path.strip("/").split("/"):
            case "GET", ["warehouse", "tenants", _, "reservations", name]:
                return _found(self.reservations, name)
            case "GET", ["warehouse", "tenants", _, "adjustments", name]:
                return _found(self.adjustments, name)
            case "POST", ["warehouse", "tenants", _, "reservations"]:
                return self._reserved(asked.body)
            case "POST", ["warehouse", "tenants", _, "reservations", name, "release"]:
                return self._released(name)
            case "POST", ["warehouse", "tenants", _, "adjustments"]:
                return self._adjusted(asked.body)
            case "GET", ["crm", "tenants", _, "contacts", name]:
                return self._contact(name)
            case "PATCH", ["crm", "tenants", _, "contacts", name, "status"]:
                return self._status(name, asked)
            case "POST", ["crm", "tenants", _, "contacts", name, "notes"]:
                return self._kept(self.notes, "note", {"contact": name, **asked.body})
            case "POST", ["mail", "tenants", _, "messages"]:
                return self._kept(self.messages, "message", asked.body)
            case "POST", ["mail", "tenants", _, "sequences"]:
                return self._kept(self.sequences, "sequence", {**asked.body, "state": "running"})
            case "GET", ["mail", "tenants", _, "sequences", name]:
                return _found(self.sequences, name)
            case "POST", ["mail", "tenants", _, "sequences", name, "stop"] if name in self.sequences:
                self.sequences[name]["state"] = "stopped"
                return 200, self.sequences[name], {}
        return _NOTHING

    def _reserved(self, body: Json) -> Reply:
        if self.available(body["sku"]) < body["quantity"]:
            return 409, {"error": "not enough on the shelf"}, {}
        return self._kept(self.reservations, "reservation", {"sku": body["sku"], "quantity": body["quantity"], "state": "held"})

    def _released(self, name: str) -> Reply:
        one = self.reservations.get(name)
        if one is None:
            return _NOTHING
        if one["state"] != "held":
            return 410, {"error": f"it is {one['state']}"}, {}
        one["state"] = "released"
        return 200, one, {}

    def _adjusted(self, body: Json) -> Reply:
        sign = {"in": 1, "out": -1}[body["direction"]]
        self.stock[body["sku"]] = self.stock.get(body["sku"], 0) + sign * body["quantity"]
        return self._kept(self.adjustments, "adjustment", body)

    def _contact(self, name: str) -> Reply:
        one = self.contacts.get(name)
        if one is None:
            return _NOTHING
        shown = {key: value for key, value in one.items() if key != "version"}
        return 200, {"id": name, **shown}, {"ETag": f'"{one["version"]}"'}

    def _status(self, name: str, asked: Asked) -> Reply:
        if name not in self.contacts:
            return _NOTHING
        if asked.headers.get("if-match") not in (None, f'"{self.contacts[name]["version"]}"'):
            return 412, {"error": "it was changed since"}, {}
        self.edit(name, status=asked.body["status"])
        return self._contact(name)

    def _kept(self, things: dict[str, Json], kind: str, body: Json) -> Reply:
        self._made += 1
        name, self.next_id = self.next_id or f"{kind}-{self._made}", None
        things[name] = {"id": name, **body}
        return 201, things[name], {}


_NOTHING: Reply = (404, {"error": "there is no such thing"}, {})


def _found(things: dict[str, Json], name: str) -> Reply:
    return (200, things[name], {}) if name in things else _NOTHING


@contextmanager
def serving(office: Backoffice) -> Iterator[int]:
    """The three on a free port of loopback; gives the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(office.answer))
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(answer: Callable[[Asked], Reply]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet
        disable_nagle_algorithm = True

        def reply(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body, more = answer(Asked(self.command, self.path, headers, json.loads(raw) if raw else {}))
            told = json.dumps(body).encode()
            self.send_response_only(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(told)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = reply  # noqa: N815 - http.server looks for these names

        def log_message(self, format: str, *args: object) -> None:
            """Silence: what was asked is kept."""

    return Handler
