"""A new policy on its way in: watched beside the old one, replayed over the journal, then waived for one tool."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.erp import Erp
from tests.support.gateway import CHECKOUT, Gateway

Site = Callable[[str], Gateway]

NO_REFUNDS = """package killcord.authz

denials contains {"code": "no-refunds", "message": "Refunds are made by people."} if input.action.name == "refund.create"
"""


def killcord(gateway: Gateway, *arguments: str) -> tuple[int, Any]:
    environ = {**os.environ, **gateway.environ, "KILLCORD_URL": gateway.control, "KILLCORD_TOKEN": gateway.token, "ERP_AUTHORIZATION": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments, "--json"],
        cwd=gateway.folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def without_refunds(folder: Path) -> Path:
    shutil.copytree(CHECKOUT / "policies" / "killcord", folder)
    (folder / "authz" / "refunds.rego").write_text(NO_REFUNDS)
    return folder


def test_a_new_policy_is_watched_then_replayed_then_enforced(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    stricter = without_refunds(gateway.folder / "next")
    gateway.settings["candidate"] = {"path": str(stricter)}
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant)
    refund = {"data": {"invoice": "inv-1", "amount": 5, "reference": "r-1"}}
    assert gateway.call("POST", erp.path("refunds"), refund, lease=lease).status == 201
    assert gateway.call("GET", erp.path("invoices", "inv-1"), lease=lease).status == 200
    gateway.journal(run_id, last="read")
    code, spared = killcord(gateway, "policy", "would-deny")
    assert (code, [(one["why"], one["action"], one["code"], one["count"]) for one in spared]) == (
        0,
        [("candidate", "refund.create", "no-refunds", 1)],
    )
    code, replayed = killcord(gateway, "policy", "replay", "--bundle", str(stricter))
    assert (code, replayed["changes"], replayed["decided"]) == (1, {"ALLOW->DENY": 1}, 2)
    code, same = killcord(gateway, "policy", "replay", "--bundle", str(CHECKOUT / "policies" / "killcord"))
    assert (code, same["changes"]) == (0, {})
    assert len(erp.records("refunds")) == 1, "none of it sent anything"
    gateway.terminate()
    gateway.settings["policy"]["path"] = str(stricter)
    gateway.start()
    refund["data"]["reference"] = "r-2"
    denied = gateway.call("POST", erp.path("refunds"), refund, lease=lease)
    assert (denied.status, denied.body["reasons"]) == (403, [{"code": "no-refunds", "message": "Refunds are made by people."}])
