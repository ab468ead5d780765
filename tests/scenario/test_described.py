"""Every answer that /openapi.json declares comes from a running gateway as it is declared there."""

from __future__ import annotations

from pathlib import Path

from tests.support import described, rig
from tests.support.rig import ADAPTER
from tests.support.site import INVOICE, Site, site, worked

ASKING = ADAPTER.replace("by: refund.delete, auto: true", "by: refund.delete, auto: false")


async def test_every_success_is_answered_as_declared(tmp_path: Path) -> None:
    async with site(tmp_path, ASKING) as at:
        await opened_and_held(at)
        run_id = await worked(at)
        at.rig.ledger.put("acme", "invoices", "inv_2", status="void", number=2, edited_by="a person")
        await rolled_back(at, run_id)
        await recovered(at)
        await read(at, run_id)
        at.rig.gateway.calls.endpoint.draining = True
        await done(at, "GET", "/readyz", status=503)
        assert described.successes() - at.answered == set()


async def done(at: Site, method: str, path: str, body: object = None, *, status: int = 200) -> dict[str, object]:
    answered, answer = await at.ask(method, path, body)
    assert answered == status, (method, path, answer)
    return answer


async def opened_and_held(at: Site) -> None:
    run = {"run_id": "r1", "tenant": "acme", "agent_id": "billing", "scopes": ["ledger:*"], "limits": {"amount": {"refund": 12.5}}}
    await done(at, "POST", "/v1/runs", run, status=201)
    await done(at, "POST", "/v1/runs", run)
    await done(at, "POST", "/v1/runs/r1/lease", {"ttl": "5m"})
    await done(at, "POST", "/v1/runs/r1/checkpoints", {"state_ref": "s3://state/1", "label": "begun"}, status=201)
    order = {"scope": {"run": "r1"}, "mode": "paused", "reason": "looks odd", "ttl": "5m"}
    assert (await done(at, "POST", "/v1/orders", {**order, "dry_run": True}))["runs_held"] == 1
    made = await done(at, "POST", "/v1/orders", order, status=201)
    assert "orders" in await done(at, "GET", "/v1/status")
    assert (await done(at, "POST", "/v1/admission", {"tenant": "acme", "task_class": "default", "run_id": "r1"}))["retry_after"]
    await done(at, "DELETE", f"/v1/orders/{made['order_id']}", {"reason": "it was right"})
    await done(at, "POST", "/v1/runs/r1/close")


async def rolled_back(at: Site, run_id: str) -> None:
    """A rollback that hands one effect to a person and waits for an approval of another; then the run continues."""
    order = {"scope": {"run": run_id}, "mode": "quarantined", "reason": "wrong prices"}
    await done(at, "POST", "/v1/orders", order, status=201)
    await done(at, "POST", "/v1/rollbacks", {"scope": {"run": run_id}, "dry_run": True})
    name = (await done(at, "POST", "/v1/rollbacks", {"scope": {"run": run_id}, "reason": "wrong prices"}, status=202))["rollback_id"]
    waiting = await at.at_rest(str(name))
    assert waiting["state"] == "needs_operator"
    await done(at, "POST", f"/v1/rollbacks/{name}/stop", {"reason": "wait"})
    await done(at, "POST", f"/v1/rollbacks/{name}/continue", {"reason": "continue"})
    await at.at_rest(str(name))
    (approval,) = (await at.get(f"/v1/approvals?run={run_id}&status=pending"))["items"]
    await done(at, "GET", f"/v1/approvals/{approval['approval_id']}")
    await done(at, "POST", f"/v1/approvals/{approval['approval_id']}", {"decision": "deny", "reason": "the customer keeps it"})

    async def ended() -> bool:
        return bool((await at.get(f"/v1/rollbacks/{name}?nodes=false"))["state"] == "residue")

    await rig.until_async(ended, 30.0)
    for task in (await at.get(f"/v1/tasks?run={run_id}&status=open"))["items"]:
        await done(at, "GET", f"/v1/tasks/{task['task_id']}")
        await done(at, "POST", f"/v1/tasks/{task['task_id']}/resolve", {"resolution": "accepted", "note": "it is right"})
    await done(at, "POST", f"/v1/runs/{run_id}/resume", {"checkpoint": "start", "reason": "prices are right now"}, status=201)
    await done(at, "GET", f"/v1/runs/{run_id}/checkpoints")


async def recovered(at: Site) -> None:
    """A finding contains a run; its incident is recovered."""
    run = await at.rig.open()
    assert (await at.rig.call(run.lease, "PATCH", INVOICE.format(1), {"status": "lost"})).status == 200
    finding = {"kind": "ledger.sum", "severity": "critical", "evidence": {"object": "invoice:inv_1"}}
    incident = (await done(at, "POST", f"/v1/runs/{run.run.run_id}/findings", finding, status=201))["incident_id"]
    await done(at, "POST", f"/v1/incidents/{incident}/recover", {"reason": "repaired", "checkpoint": "start"}, status=202)
    assert (await done(at, "GET", f"/v1/incidents/{incident}"))["timeline"]


async def read(at: Site, run_id: str) -> None:
    """All that is only read, with rows in every list."""
    await done(at, "POST", "/v1/journal/heads")
    await done(at, "POST", "/v1/journal/inspection")
    for path in ("runs", "orders", "journal", "journal/heads", "incidents", "rollbacks", "tasks", "approvals", f"runs/{run_id}/effects"):
        assert (await done(at, "GET", f"/v1/{path}"))["items"], path
    tail = (await at.get("/v1/journal/heads"))["tail"]
    for path in (f"/v1/runs/{run_id}", f"/v1/journal/{tail['stream']}/{tail['seq']}", "/healthz", "/readyz", "/.well-known/jwks.json"):
        await done(at, "GET", path)
    await done(at, "GET", "/openapi.json")
