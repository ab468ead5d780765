"""The gateway's site: a killcord.yaml, the gateway as a process of its own, and the control API."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from gateway.sdk import shipped
from gateway.sdk.sync import Killcord, Run
from killcord_demo import children, erp, web
from killcord_demo.surprise import expect

Json = dict[str, Any]

_CONFIG = """\
# Written by `killcord demo`. The same keys as in a site of your own; README.md goes through them.
listen: {{data: 127.0.0.1:{data}, control: 127.0.0.1:{control}}}
data_dir: ./var
policy: {{engine: embedded, path: {policies}}}
adapters: [{adapters}]
tools:
  erp:
    adapter: kinto
    base_url: {erp}
    credential: {{header: Authorization, value: "Basic ${{ERP_BASIC}}"}}
    vars: {{collection: invoices}}
{more}task_classes:
  billing:
    tenants: [{tenant}]
    scopes: {scopes}
    ttl: 1h
    limits: {{rate: 200/s, steps: 20000, writes: 10000, amount: {{refund: 1000}}}}
anchor: {{file: ./heads}}
shutdown_grace: 5s
"""

_WAREHOUSE = """\
  warehouse:
    adapter: warehouse
    base_url: {warehouse}
"""

_SOON = 10.0
"""Seconds until an entry that was taken must be readable."""


@dataclass(frozen=True, slots=True)
class Site:
    """``data`` and ``control`` are the APIs' URLs; ``token`` is the operator's and not shown by ``repr``.

    Every request to the control API raises ``Problem`` (it was refused) or ``Lost`` (there was no answer).
    """

    folder: Path
    data: str
    control: str
    started_in: float
    token: str = field(repr=False)

    @property
    def environ(self) -> dict[str, str]:
        """What the ``killcord`` command needs to speak to this gateway."""
        return {**os.environ, "KILLCORD_URL": self.control, "KILLCORD_TOKEN": self.token}

    @property
    def operator(self) -> Killcord:
        return Killcord(self.control, self.token)

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Json:
        return self.operator.ask(method, path, body)

    def open_run(self, scopes: Sequence[str] = ("erp:*",), limits: Mapping[str, object] | None = None) -> Run:
        """A run for the agent."""
        return self.operator.open(
            tenant=erp.TENANT, agent_id="billing-agent", task_class="billing", scopes=list(scopes), limits=limits or {}
        )

    def contain(self, run_id: str, mode: str, reason: str) -> tuple[Json, float, float]:
        """Order a run into a mode: the order, the milliseconds until it held everywhere, and the moment it did (``time.monotonic``)."""
        began = time.monotonic()
        order = self.ask("POST", "/v1/orders", {"scope": {"run": run_id}, "mode": mode, "reason": reason})
        held = time.monotonic()
        return order, (held - began) * 1000, held

    def entries(self, run_id: str, **last: str) -> list[Json]:
        """The journal's entries of a run, oldest first, once one with these members is among them.

        Raises:
            Surprise: it does not come. (What needs no disk before its reply is on disk a moment after it.)
        """
        until = time.monotonic() + _SOON
        while True:
            found = self._listed("/v1/journal", run=run_id)
            if any(last.items() <= entry.items() for entry in found):
                return found
            expect(time.monotonic() < until, f"a journal entry with {last} within {_SOON:g} s", [entry["kind"] for entry in found])
            time.sleep(0.02)

    def effects(self, run_id: str) -> list[Json]:
        return self._listed(f"/v1/runs/{quote(run_id)}/effects")

    def rollback_of(self, run_id: str) -> Json:
        """The newest rollback of a run, node by node, once it runs no more.

        Raises:
            Surprise: there is none, or it does not end.
        """
        until = time.monotonic() + _SOON
        while True:
            found = self._listed("/v1/rollbacks", run=run_id)
            if found and found[-1]["state"] != "running":
                return self.ask("GET", f"/v1/rollbacks/{found[-1]['rollback_id']}")
            expect(time.monotonic() < until, f"a rollback of {run_id} to end within {_SOON:g} s", found)
            time.sleep(0.02)

    def killcord(self, *arguments: str) -> tuple[int, str]:
        """The ``killcord`` command as an operator runs it: its exit code and what it said."""
        command = [sys.executable, "-m", "gateway", *arguments]
        done = subprocess.run(  # noqa: S603 - our own command
            command, env=self.environ, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, (done.stdout + done.stderr).strip()

    def _listed(self, path: str, **query: str) -> list[Json]:
        found: list[Json] = []
        after: dict[str, str] = {}
        while True:
            page = self.ask("GET", f"{path}?{urlencode({**query, **after, 'limit': '1000'})}")
            found += page["items"]
            if page.get("next") is None:
                return found
            after = {"after": page["next"]}


@contextmanager
def serving(
    folder: Path, erp_url: str, *, data: int, control: int, adapters: Path | None = None, warehouse: str | None = None
) -> Iterator[Site]:
    """The gateway in front of the ERP, its two APIs on these ports of loopback; its configuration, data and log are in ``folder``.

    ``adapters`` is a folder of them in the place of the shipped ones; ``warehouse`` the URL of a second tool.
    """
    config, log = folder / "killcord.yaml", folder / "gateway.log"
    config.write_text(_text(data, control, erp_url, adapters or shipped.adapters(), warehouse))
    token = "demo-" + secrets.token_urlsafe(24)
    environ = {**os.environ, "ERP_BASIC": erp.BASIC, "KILLCORD_BOOTSTRAP_TOKEN": token}
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
    url = f"http://127.0.0.1:{control}"
    with children.running("the gateway", command, log=log, environ=environ, folder=folder) as process:
        took = children.until_it_answers("the gateway", process, log, lambda: web.send("GET", url + "/readyz").status == 200)
        yield Site(folder, f"http://127.0.0.1:{data}", url, took, token)


def _text(data: int, control: int, erp_url: str, adapters: Path, warehouse: str | None) -> str:
    # A path as JSON text is YAML as well, whatever is in it.
    return _CONFIG.format(
        data=data,
        control=control,
        erp=erp_url,
        tenant=erp.TENANT,
        policies=json.dumps(str(shipped.policies())),
        adapters=json.dumps(str(adapters)),
        more="" if warehouse is None else _WAREHOUSE.format(warehouse=warehouse),
        scopes=json.dumps(["erp:*"] if warehouse is None else ["erp:*", "warehouse:*"]),
    )
