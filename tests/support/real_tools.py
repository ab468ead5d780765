"""Real tools that nobody here wrote, each on a free port, and an adapter for each: a payment API, a database API, a calendar server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import gateway
from tests.support.gateway import CHECKOUT, Gateway, wait_until
from tests.support.ports import free_port

TOOLS = CHECKOUT / ".tools"
SECRET = "Bearer sk_test_killcord"

PAYMENTS = """\
system: payments
tenant: run.tenant
objects:
  customer:
    path: /v1/customers/{id}
    version: {digest_of: reply.body}
    state: "{name: reply.body.name, email: reply.body.email, description: reply.body.description}"
    id: reply.body.id
actions:
  - {name: customer.read, match: {method: GET, path: "/v1/customers/{id}"}, object: customer, effect: read}
  - name: customer.create
    match: {method: POST, path: /v1/customers}
    creates: {object: customer, id: reply.body.id}
    effect: write
    class: reversible
    idempotency: {header: Idempotency-Key, own: together}
    verify: {expect: object.body.name == request.body.name, within: 2s}
    compensation: {type: delete_created, by: customer.delete, auto: true}
  - name: customer.update
    match: {method: POST, path: "/v1/customers/{id}"}
    object: customer
    effect: write
    class: reversible
    guard: compare
    idempotency: {header: Idempotency-Key, own: together}
    compensation: {type: revert_status, by: customer.update, body: snapshot, auto: true}
  - name: customer.delete
    match: {method: DELETE, path: "/v1/customers/{id}"}
    object: customer
    effect: write
    class: irreversible
    guard: compare
    compensation: {type: manual_review}
"""

RECORDS = """\
system: records
tenant: run.tenant
objects:
  task:
    path: /api/collections/tasks/records/{id}
    version: reply.body.updated
    state: "{title: reply.body.title, done: reply.body.done}"
    id: reply.body.id
actions:
  - {name: task.read, match: {method: GET, path: "/api/collections/tasks/records/{id}"}, object: task, effect: read}
  - name: task.create
    match: {method: POST, path: /api/collections/tasks/records}
    creates: {object: task, id: reply.body.id}
    effect: write
    class: reversible
    verify: {expect: object.body.title == request.body.title, within: 2s}
    compensation: {type: delete_created, by: task.delete, auto: true}
  - name: task.update
    match: {method: PATCH, path: "/api/collections/tasks/records/{id}"}
    object: task
    effect: write
    class: reversible
    guard: compare
    compensation: {type: restore_previous_version, by: task.update, auto: true}
  - name: task.delete
    match: {method: DELETE, path: "/api/collections/tasks/records/{id}"}
    object: task
    effect: write
    class: irreversible
    guard: compare
    compensation: {type: manual_review}
"""

CALENDAR = """\
system: calendar
tenant: request.path.tenant
objects:
  event: {path: "/{tenant}/calendar/{id}", version: reply.headers.etag, state: reply.body}
actions:
  - {name: event.read, match: {method: GET, path: "/{tenant}/calendar/{id}"}, object: event, effect: read}
  - name: event.put
    match: {method: PUT, path: "/{tenant}/calendar/{id}"}
    object: event
    effect: write
    class: reversible
    body: opaque
    guard: if_match
    compensation: {type: restore_previous_version, by: event.put, delete_created: event.delete, auto: true}
  - name: event.delete
    match: {method: DELETE, path: "/{tenant}/calendar/{id}"}
    object: event
    effect: write
    class: reversible
    guard: if_match
    compensation: {type: restore_previous_version, by: event.put, auto: true}
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as its owner sees it, past any gateway."""

    port: int
    authorization: str

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": self.authorization, **more.pop("headers", {})} if self.authorization else more.pop("headers", {})
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=30.0, **more)

    def answers(self) -> bool:
        try:
            return self.send("GET", "/").status_code > 0
        except httpx.TransportError:
            return False


@contextmanager
def payments(folder: Path) -> Iterator[Tool]:
    """localstripe, with nothing in it."""
    # Its state is one file in /tmp, whoever started it; here it is written beside.
    run = "import localstripe.resources as r; r.Store.dump_to_disk = lambda self: None; from localstripe.server import start; start()"
    made = Tool(free_port(), SECRET)
    command = [_installed("python/bin/python"), "-c", f"import sys; sys.argv[1:] = ['--port', '{made.port}', '--from-scratch']; {run}"]
    _importable("localstripe")
    with _running(made, command, folder):
        yield made


@contextmanager
def calendar(folder: Path) -> Iterator[Tool]:
    """Radicale with one calendar of the tenant acme; anyone may write."""
    made = Tool(free_port(), "")
    _importable("radicale")
    options = {"server-hosts": f"127.0.0.1:{made.port}", "auth-type": "none", "storage-filesystem-folder": str(folder / "collections")}
    given = [each for name, value in options.items() for each in (f"--{name}", value)]
    with _running(made, [_installed("python/bin/python"), "-m", "radicale", "--config", "", *given], folder):
        assert [made.send(*each).status_code for each in (("MKCOL", "/acme/"), ("MKCALENDAR", "/acme/calendar/"))] == [201, 201]
        yield made


@contextmanager
def records(folder: Path) -> Iterator[Tool]:
    """PocketBase with a collection of tasks that only its superuser may touch."""
    binary = _installed("pocketbase")
    account, data = ("admin@example.com", "a-long-password"), f"--dir={folder / 'pb'}"
    subprocess.run([binary, "superuser", "upsert", *account, data], check=True, capture_output=True, timeout=60)
    port = free_port()
    with _running(Tool(port, ""), [binary, "serve", f"--http=127.0.0.1:{port}", data], folder):
        made = Tool(port, "Bearer " + _token(port, account))
        fields = [
            {"name": "title", "type": "text"},
            {"name": "done", "type": "bool"},
            {"name": "updated", "type": "autodate", "onCreate": True, "onUpdate": True},
        ]
        answer = made.send("POST", "/api/collections", json={"name": "tasks", "type": "base", "fields": fields})
        assert answer.status_code == 200, answer.text
        yield made


def _token(port: int, account: tuple[str, str]) -> str:
    asked = {"identity": account[0], "password": account[1]}
    answer = Tool(port, "").send("POST", "/api/collections/_superusers/auth-with-password", json=asked)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def _missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"CI requires {what}: make tools")
    pytest.skip(f"NOT CHECKED AGAINST A REAL TOOL: there is no {what}; install it by make tools")


def program(name: str) -> str:
    """The path of a command of requirements/tools.txt; a test is skipped where it is not installed."""
    return shutil.which(name) or _installed(f"python/bin/{name}")


def _installed(name: str) -> str:
    if not (TOOLS / name).exists():
        _missing(name)
    return str(TOOLS / name)


def _importable(module: str) -> None:
    if not list(TOOLS.glob(f"python/lib/python3*/site-packages/{module}")):
        _missing(module)


@contextmanager
def _running(tool: Tool, command: list[str], folder: Path) -> Iterator[None]:
    with open(folder / "tool.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        wait_until(tool.answers, "the tool to answer")
        yield
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def behind(tool: Tool, adapter: str, folder: Path) -> Iterator[Gateway]:
    """A gateway before a tool, which it calls ``tool``."""
    (folder / "adapters" / "tool").mkdir(parents=True)
    (folder / "adapters" / "tool" / "adapter.yaml").write_text(adapter)
    settings = gateway.settings(f"http://127.0.0.1:{tool.port}")
    settings["adapters"] = [str(folder / "adapters")]
    entry: dict[str, Any] = {"adapter": "tool", "base_url": f"http://127.0.0.1:{tool.port}"}
    if tool.authorization:
        entry["credential"] = {"header": "Authorization", "value": "${TOOL_AUTHORIZATION}"}
    settings["tools"] = {"tool": entry}
    made = Gateway(folder, settings, environ={"TOOL_AUTHORIZATION": tool.authorization})
    with gateway.serving(made):
        yield made


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent's run, which sends what its tool's own clients would."""

    gateway: Gateway
    run_id: str
    lease: str

    def send(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        sent = {"Killcord-Lease": self.lease, **(headers or {})}
        return httpx.request(method, f"{self.gateway.data}/tool{path}", headers=sent, timeout=30.0, **more)


def agent(gateway: Gateway) -> Agent:
    return Agent(gateway, *gateway.open_run("acme", scopes=["tool:*"]))
