"""A call that a person has to say yes to, from its refusal to its effect: by the command line, across a crash, on a real ERP."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.support.erp import Erp
from tests.support.gateway import CHECKOUT, Gateway

Site = Callable[[str], Gateway]

RULE = """package killcord.authz

approvals contains "Cancelling is looked at." if input.args.data.status == "cancelled"
"""


def killcord(gateway: Gateway, token: str, *arguments: str) -> Any:
    """What the command prints for programs."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--json", *arguments],
        cwd=gateway.folder,
        env={**os.environ, "KILLCORD_URL": gateway.control, "KILLCORD_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def test_a_yes_lets_one_call_through_also_after_a_crash(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    shutil.copytree(CHECKOUT / "policies" / "killcord", gateway.folder / "policies")
    (gateway.folder / "policies" / "authz" / "cancelling.rego").write_text(RULE)
    gateway.settings |= {"policy": {"engine": "embedded", "path": "./policies"}, "operators": {"tokens_file": "./operators.yaml"}}
    made = killcord(gateway, "", "operators", "add", "ann", "--role", "approver", "--file", "operators.yaml")
    ann = made["token"]
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant)
    path, body = erp.path("invoices", "inv-1"), {"data": {"status": "cancelled"}}

    asked = gateway.call("PATCH", path, body, lease=lease)
    assert (asked.status, asked.body["code"]) == (403, "approval-required")
    (pending,) = killcord(gateway, ann, "approvals")
    assert pending["approval_id"] == asked.body["approval_id"]
    shown = killcord(gateway, ann, "approvals", "show", pending["approval_id"])
    assert shown["request"]["body"] == body
    assert shown["summary"] == "Cancelling is looked at."
    assert gateway.call("PATCH", path, body, lease=lease).body["approval_id"] == pending["approval_id"]

    killcord(gateway, ann, "approvals", "approve", pending["approval_id"], "--reason", "the customer asked for it")
    gateway.kill()
    gateway.start()
    other = gateway.call("PATCH", erp.path("invoices", "inv-2"), body, lease=lease, headers={"Killcord-Approval": pending["approval_id"]})
    assert (other.status, other.body["code"]) == (403, "approval-required")
    done = gateway.call("PATCH", path, body, lease=lease)
    assert (done.status, erp.invoice("inv-1")["status"], erp.invoice("inv-2")["status"]) == (200, "cancelled", "open"), done
    assert killcord(gateway, ann, "approvals", "show", pending["approval_id"])["status"] == "used"
    again = gateway.call("PATCH", path, body, lease=lease, headers={"Idempotency-Key": "once-more"})
    assert (again.status, again.body["code"]) == (403, "approval-required")
    assert again.body["approval_id"] != pending["approval_id"]
    told = [one["change"] for one in gateway.journal(run_id, last="refusal") if one["kind"] == "approval"]
    assert told == ["requested", "granted", "requested", "requested"]
