"""README's way to an API of one's own, step by step: copy the adapter, check, add an operator, serve, open a run, call."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import documents, gateway
from tests.support.gateway import CHECKOUT, Gateway

SECRET = "Bearer the-shop's-own-token"


class Shop(ThreadingHTTPServer):
    """The orders API that adapters/rest describes, with one order; it lets in anyone who has its own token."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Orders)
        self.order: dict[str, Any] = {"id": "4711", "status": "open", "total": 10}
        self.version = 1


class _Orders(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shop

    def do_GET(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        change = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] == SECRET and self.headers["If-Match"] == f'"{self.server.version}"':
            self.server.order |= change
            self.server.version += 1
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def _answer(self) -> None:
        known = self.headers["Authorization"] == SECRET
        body = json.dumps(self.server.order if known else {}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{self.server.version}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_the_readme_leads_to_a_contained_agent_on_an_api_of_ones_own(tmp_path: Path, shop: Shop) -> None:
    site = _site(tmp_path, shop)
    assert _killcord(site, *_shown("check"))[0] == 0
    code, said = _killcord(site, *_shown("operators", "add"))
    assert code == 0, said
    site.token = next(word for word in said.split() if word.startswith("kcop_"))
    with gateway.serving(site):
        code, said = _killcord(site, *_shown("runs", "open"), "--json")
        assert code == 0, said
        opened = json.loads(said)
        assert _set_status(site, opened["lease"], "paid") == 200
        assert shop.order["status"] == "paid"
        for command in (("contain",), ("runs", "effects")):
            code, said = _killcord(site, *(opened["run"]["run_id"] if word == "RUN" else word for word in _shown(*command)))
            assert code == 0, said
        assert _set_status(site, opened["lease"], "open") == 403
        assert shop.order["status"] == "paid"
        assert _killcord(site, "journal", "verify")[0] == 0


def _shown(*command: str) -> list[str]:
    """The arguments of the one command line of the README that begins like this."""
    (found,) = [one for one in documents.commands(documents.ROOT / "README.md") if one[: len(command)] == list(command)]
    return found


def _site(folder: Path, shop: Shop) -> Gateway:
    for name in ("adapters", "policies"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "adapters" / "rest").rename(folder / "adapters" / "shop")
    # As it is written, but for the addresses: the tests have no fixed ports.
    settings = yaml.safe_load(documents.configuration())
    settings["listen"] = gateway.settings("")["listen"]
    settings["tools"]["shop"]["base_url"] = f"http://127.0.0.1:{shop.server_address[1]}"
    made = Gateway(folder, settings, environ={"SHOP_TOKEN": SECRET.removeprefix("Bearer "), "KILLCORD_BOOTSTRAP_TOKEN": ""})
    made.configure()
    return made


def _set_status(site: Gateway, lease: str, status: str) -> int:
    path = "/tenants/acme/orders/4711/status"
    return site.call("PATCH", path, {"status": status}, lease=lease, tool="shop").status


def _killcord(site: Gateway, *arguments: str) -> tuple[int, str]:
    environ: Mapping[str, str] = {**os.environ, **site.environ, "KILLCORD_URL": site.control, "KILLCORD_TOKEN": site.token}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], cwd=site.folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr
