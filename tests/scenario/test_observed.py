"""One incident from the first trigger to the resume, as the log and the metrics of a real process show it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.journal import events
from killcord_demo import web
from tests.support import undone
from tests.support.erp import Erp
from tests.support.gateway import CHECKOUT, Gateway, wait_until

Site = Callable[[str], Gateway]

RULE = """package killcord.authz

approvals contains "Cancelling is looked at." if input.args.data.status == "cancelled"
"""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(gateway: Gateway) -> Samples:
    answer = web.send("GET", gateway.control + "/metrics")
    assert answer.status == 200
    families = text_string_to_metric_families(answer.body)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def total(samples: Samples, name: str, **labels: str) -> float:
    return sum(value for (found, has), value in samples.items() if found == name and set(labels.items()) <= set(has))


def logged(gateway: Gateway) -> list[dict[str, Any]]:
    return [line for text in gateway.lines if text.startswith("{") and (line := json.loads(text))["event"] in events.NAMES]


@pytest.mark.reliability(fault="An incident", case="each step of it is one log line and one count, without a secret")
def test_each_step_of_an_incident_is_logged_and_counted_once(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    shutil.copytree(CHECKOUT / "policies" / "killcord", gateway.folder / "policies")
    (gateway.folder / "policies" / "authz" / "cancelling.rego").write_text(RULE)
    gateway.settings |= {"policy": {"engine": "embedded", "path": "./policies"}}
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant)

    def sets(invoice: str, status: str) -> web.Answer:
        return gateway.call("PATCH", erp.path("invoices", invoice), {"data": {"status": status}}, lease=lease)

    approval_id = sets("inv-2", "cancelled").body["approval_id"]
    assert total(scrape(gateway), "killcord_pending_approvals") == 1
    assert gateway.ask("POST", f"/v1/approvals/{approval_id}", {"decision": "approve", "reason": "the customer asked"}).status == 200
    assert sets("inv-2", "cancelled").status == 200
    assert sets("inv-1", "approved").status == 200
    erp.edit("inv-1", status="disputed")
    finding = {"kind": "ledger.imbalance", "severity": "critical", "evidence": {"canary": "payload-canary"}}
    reported = gateway.ask("POST", f"/v1/runs/{run_id}/findings", finding)
    assert reported.status == 201
    done = undone.of_run(gateway, run_id)
    assert done.status == "residue"
    (task,) = done.tasks
    before = scrape(gateway)
    assert (total(before, "killcord_open_tasks"), total(before, "killcord_open_incidents")) == (1, 1)
    assert gateway.ask("POST", f"/v1/tasks/{task['task_id']}/resolve", {"resolution": "accepted", "note": "it stays"}).status == 200
    assert gateway.ask("POST", f"/v1/runs/{run_id}/resume", {"reason": "mended", "checkpoint": "start"}).status == 201
    incident_id = reported.body["incident_id"]
    wait_until(lambda: gateway.ask("GET", f"/v1/incidents/{incident_id}").body["state"] == "closed", "the incident to be closed")
    wait_until(lambda: any(line["event"] == "incident-closed" for line in logged(gateway)), "the log")

    lines = logged(gateway)
    counted = Counter(line["event"] for line in lines)
    for name in (
        "approval-requested",
        "approval-granted",
        "approval-used",
        "finding-reported",
        "trigger-fired",
        "response-made",
        "order-made",
        "incident-opened",
        "rollback-started",
        "task-opened",
        "task-resolved",
        "run-resumed",
        "incident-closed",
    ):
        assert counted[name] == 1, (name, counted)
    order = next(line for line in lines if line["event"] == "order-made")
    assert (order["level"], order["scope"]["run"], order["by"]) == ("warning", run_id, "trigger:verify.finding")
    for secret in (lease, gateway.token, "payload-canary", "Basic "):
        assert secret not in gateway.said

    after = scrape(gateway)
    for name, label in (
        ("killcord_triggers_total", {"trigger": "verify.finding"}),
        ("killcord_responses_total", {}),
        ("killcord_orders_total", {"change": "made"}),
        ("killcord_incidents_total", {"change": "opened", "trigger": "verify.finding"}),
        ("killcord_incidents_total", {"change": "closed"}),
        ("killcord_approvals_total", {"decision": "granted"}),
        ("killcord_approvals_total", {"decision": "used"}),
        ("killcord_tasks_total", {"change": "opened"}),
        ("killcord_tasks_total", {"change": "resolved"}),
        ("killcord_rollbacks_total", {"state": "residue"}),
        ("killcord_runs_total", {"change": "resumed"}),
        ("killcord_findings_total", {"severity": "critical"}),
    ):
        assert total(after, name, **label) == 1, name
    assert total(after, "killcord_tool_replies_total", tool="erp", status="2xx") > 0
    assert total(after, "killcord_call_seconds_count", effect="write") >= 3
    gauges = ("killcord_open_tasks", "killcord_open_incidents", "killcord_pending_approvals", "killcord_orders_in_force")
    assert [total(after, name) for name in gauges] == [0, 0, 0, 0], "a resume supersedes the order on its run"


@pytest.mark.reliability(fault="A restart", case="gauges of what is in force and what waits are as before")
def test_gauges_are_right_after_a_restart(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.start()
    for name in ("r1", "r2", "r3"):
        gateway.open_run(erp.tenant, run_id=name)
    gateway.contain("read_only", run="r1")
    gateway.contain("paused", run="r2")
    gateway.contain("revoked", run="r3")

    def counted() -> tuple[float, ...]:
        samples = scrape(gateway)
        modes = ("active", "read_only", "paused", "quarantined", "revoked")
        return tuple(total(samples, name, mode=mode) for name in ("killcord_orders_in_force", "killcord_open_runs") for mode in modes)

    expected = (0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0)
    wait_until(lambda: counted() == expected, "the runs to be counted")
    wait_until(
        lambda: any(line["event"] == "run-revoked" and line["run_id"] == "r3" for line in logged(gateway)), "the log of the revoked run"
    )
    gateway.kill()
    gateway.start()
    wait_until(lambda: counted() == expected, "the runs to be counted again")
    samples = scrape(gateway)
    assert total(samples, "killcord_build_info") == total(samples, "killcord_nodes") == 1
    assert total(samples, "process_resident_memory_bytes") > 0


def test_an_order_that_expires_is_logged_once(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.start()
    gateway.open_run(erp.tenant, run_id="r1")
    body = {"scope": {"run": "r1"}, "mode": "paused", "reason": "a moment", "ttl": "1s"}
    order = gateway.ask("POST", "/v1/orders", body).body["order_id"]
    wait_until(lambda: any(line["event"] == "order-expired" for line in logged(gateway)), "the order to expire")
    (line,) = [line for line in logged(gateway) if line["event"] == "order-expired"]
    assert (line["order_id"], line["reason"], line["level"]) == (order, "a moment", "info")
    assert total(scrape(gateway), "killcord_orders_total", change="expired", mode="paused") == 1
