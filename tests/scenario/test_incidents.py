"""A verifier finds a run unsafe: it is contained before the verifier hears back, and the incident can be told and proved afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from killcord_demo import web
from tests.support.erp import Erp
from tests.support.gateway import Gateway

Json = dict[str, Any]
SECRET = "canary-4711"
PROOF = {"kind": "ledger.imbalance", "severity": "critical", "evidence": {"account": SECRET, "off_by": 12.5}}


def killcord(gateway: Gateway, *words: str) -> str:
    environ = {**os.environ, "KILLCORD_URL": gateway.control, "KILLCORD_TOKEN": gateway.token}
    done = subprocess.run([sys.executable, "-m", "gateway", *words], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout


def at_work(gateway: Gateway, erp: Erp) -> tuple[str, str]:
    """A run that has approved an invoice and made a refund."""
    run_id, lease = gateway.open_run(erp.tenant)
    gateway.call("GET", erp.path("invoices", "inv-1"), lease=lease)
    assert approve(gateway, erp, lease, "inv-1").status == 200
    refund = {"data": {"invoice": "inv-2", "amount": 80, "reference": SECRET}}
    assert gateway.call("POST", erp.path("refunds"), refund, lease=lease).status == 201
    return run_id, lease


def approve(gateway: Gateway, erp: Erp, lease: str, invoice: str) -> web.Answer:
    return gateway.call("PATCH", erp.path("invoices", invoice), {"data": {"status": "approved"}}, lease=lease)


def found_unsafe(gateway: Gateway, run_id: str, **changed: object) -> Json:
    answer = gateway.ask("POST", f"/v1/runs/{run_id}/findings", {**PROOF, **changed})
    assert answer.status == 201, answer
    body: Json = answer.body
    return body


def test_a_critical_finding_holds_the_run_before_the_verifier_hears_back(shared: Gateway, erp: Erp) -> None:
    run_id, lease = at_work(shared, erp)
    _, twin = shared.open_run(erp.tenant)
    reported = found_unsafe(shared, run_id)
    refused = approve(shared, erp, lease, "inv-2")
    assert (refused.status, refused.body["code"]) == (403, "run-quarantined")
    assert erp.invoice("inv-2")["status"] == "open"
    assert approve(shared, erp, twin, "inv-2").status == 200, "the run beside it is not held"
    story = shared.ask("GET", f"/v1/incidents/{reported['incident_id']}").body
    assert (story["run_id"], story["cause"], story["action"], story["rollback"] != "none") == (run_id, "verify.finding", "quarantine", True)
    assert [one["kind"] for one in story["timeline"][:4]] == ["finding", "trigger", "order", "response"]
    assert story["timeline"][0]["entry"] == reported["entry"]
    assert {one["object"]["type"] for one in story["affected"]} == {"invoice", "refund"}
    assert {one["state"] for one in story["affected"]} <= {"standing", "compensated"}, "its rollback begins by itself"
    assert "order" in {one["what"] for one in story["open"]}


def test_a_lesser_finding_leaves_the_run_its_reads_and_joins_one_incident(shared: Gateway, erp: Erp) -> None:
    run_id, lease = at_work(shared, erp)
    first = found_unsafe(shared, run_id, severity="medium")
    assert approve(shared, erp, lease, "inv-2").body["code"] == "run-read-only"
    assert shared.call("GET", erp.path("invoices", "inv-2"), lease=lease).status == 200
    assert found_unsafe(shared, run_id, severity="medium")["incident_id"] == first["incident_id"]
    assert found_unsafe(shared, run_id)["incident_id"] == first["incident_id"], "and it may get worse"
    assert shared.call("GET", erp.path("invoices", "inv-2"), lease=lease).body["code"] == "run-quarantined"
    listed = shared.ask("GET", f"/v1/incidents?run={run_id}").body["items"]
    assert [(one["incident_id"], one["action"]) for one in listed] == [(first["incident_id"], "quarantine")]


def test_a_closed_run_that_is_found_unsafe_makes_an_incident(shared: Gateway, erp: Erp) -> None:
    run_id, _ = at_work(shared, erp)
    shared.ask("POST", f"/v1/runs/{run_id}/close", {})
    assert found_unsafe(shared, run_id)["incident_id"]


def test_a_report_is_the_same_again_tells_no_secret_and_proves_what_it_says(shared: Gateway, erp: Erp, tmp_path: Path) -> None:
    run_id, _ = at_work(shared, erp)
    incident = found_unsafe(shared, run_id)["incident_id"]
    assert incident in killcord(shared, "incidents", "--run", run_id)
    assert run_id in killcord(shared, "incidents", incident)
    text = killcord(shared, "report", incident)
    assert killcord(shared, "report", incident) == text
    assert SECRET not in text
    assert re.search(r"was made \d+\.\d{3} ms after the first trigger", text)
    (script,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    keep, _, verify = script.rstrip("\n").rpartition("\n")
    subprocess.run(["sh", "-c", keep], cwd=tmp_path, check=True)
    words = verify.replace("'", "").replace(f"{incident}.heads", str(tmp_path / f"{incident}.heads")).split()[1:]
    assert json.loads(killcord(shared, *words, "--json"))["intact"] is True
    for position, known in re.findall(r"^\| `(\S+/\d+)` \| `([0-9a-f]{64})` \|$", text, re.MULTILINE):
        assert shared.ask("GET", f"/v1/journal/{position}").body["hash"] == known
