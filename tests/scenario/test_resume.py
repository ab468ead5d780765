"""A run that went wrong on a real ERP continues from its checkpoint, and the gateway is killed wherever that could hurt."""

from __future__ import annotations

from collections.abc import Callable

from killcord_demo.web import Answer
from tests.support.erp import Erp
from tests.support.gateway import Gateway, wait_until

REFUND = {"data": {"invoice": "inv-2", "amount": 80, "reference": "case 5512"}}
STEPS: dict[str, tuple[str, str, str, object]] = {
    "refund": ("POST", "refunds", "", REFUND),
    "approve": ("PATCH", "invoices", "inv-1", {"data": {"status": "approved"}}),
    "close": ("PATCH", "invoices", "inv-2", {"data": {"status": "closed"}}),
}


def step(gateway: Gateway, erp: Erp, lease: str, name: str) -> Answer:
    method, collection, record, body = STEPS[name]
    return gateway.call(method, erp.path(collection, record), body, lease=lease, headers={"Killcord-Step": name})


def test_killed_after_the_rollback_and_after_the_resume_the_run_completes_and_nothing_is_doubled(
    site: Callable[[str], Gateway], erp: Erp
) -> None:
    gateway = site(erp.url)
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant)
    refunded = step(gateway, erp, lease, "refund")
    taken = gateway.ask("POST", f"/v1/runs/{run_id}/checkpoints", {"state_ref": "flow@1", "label": "refunded"})
    assert (refunded.status, taken.status) == (201, 201)
    checkpoint = taken.body["checkpoint_id"]
    assert {step(gateway, erp, lease, name).status for name in ("approve", "close")} == {200}

    gateway.contain("quarantined", run=run_id)
    begun = gateway.ask("POST", "/v1/rollbacks", {"scope": {"run": run_id}, "to": checkpoint, "reason": "wrong invoices"})
    rollback = f"/v1/rollbacks/{begun.body['rollback_id']}"
    wait_until(lambda: gateway.ask("GET", rollback).body["state"] != "running", "the rollback to end")
    assert gateway.ask("GET", rollback).body["state"] == "clean"
    assert {erp.invoice(name)["status"] for name in ("inv-1", "inv-2")} == {"open"}

    gateway.kill()
    gateway.start()
    resumed = gateway.ask("POST", f"/v1/runs/{run_id}/resume", {"reason": "mended"})
    assert (resumed.status, resumed.body["checkpoint"]["automatic"], resumed.body["state_ref"]) == (201, True, "flow@1")
    fresh = resumed.body["lease"]
    again = step(gateway, erp, fresh, "refund")
    assert (again.body, again.headers["idempotent-replayed"]) == (refunded.body, "true")

    gateway.kill()
    gateway.start()
    done = [step(gateway, erp, fresh, name) for name in ("close", "refund", "approve", "close")]
    assert [answer.status for answer in done] == [200, 201, 200, 200]
    assert [answer.headers.get("idempotent-replayed") for answer in done] == [None, "true", None, "true"]
    assert step(gateway, erp, lease, "close").body["code"] == "lease-revoked"
    assert gateway.ask("POST", f"/v1/runs/{run_id}/resume", {"reason": "again"}).status == 409
    assert list(erp.records("refunds")) == [refunded.body["data"]["id"]]
    assert (erp.invoice("inv-1")["status"], erp.invoice("inv-2")["status"]) == ("approved", "closed")
    states = [effect["state"] for effect in gateway.effects(run_id)]
    assert states == ["standing", "compensated", "compensated", "standing", "standing"]


def test_a_revoked_run_that_is_resumed_makes_its_first_call_at_once(shared: Gateway, erp: Erp) -> None:
    run_id, lease = shared.open_run(erp.tenant)
    assert step(shared, erp, lease, "refund").status == 201
    shared.contain("revoked", run=run_id)
    resumed = shared.ask("POST", f"/v1/runs/{run_id}/resume", {"reason": "mended"})
    first = step(shared, erp, resumed.body["lease"], "approve")
    assert (resumed.status, first.status) == (201, 200)
