"""A contained run rolled back as operators do it: through their server, against a real tool, judged by the tool's state."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import orjson

from tests.support import rig
from tests.support.rig import ADAPTER
from tests.support.site import INVOICE, REFUNDS, site, worked


async def test_what_a_run_did_is_gone_from_the_tool(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        run_id = await worked(at)
        told = await at.at_rest(await at.roll_back(run_id))
        assert (told["state"], told["residue"], told["progress"]["done"]) == ("clean", [], 4)
        assert ([at.status(number) for number in (1, 2, 3)], at.rig.ledger.count("refunds")) == (["open"] * 3, 0)
        assert all(len(node["entries"]) == 2 for node in told["nodes"])
        effects = (await at.get(f"/v1/runs/{run_id}/effects"))["items"]
        assert {effect["state"] for effect in effects} == {"compensated"}


async def test_a_persons_edit_survives_and_is_handed_over_with_its_evidence(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        run_id = await worked(at)
        at.rig.ledger.put("acme", "invoices", "inv_2", status="void", number=2, edited_by="a person")
        told = await at.at_rest(await at.roll_back(run_id))
        assert (told["state"], told["progress"]["task"], told["progress"]["done"]) == ("residue", 1, 3)
        assert at.rig.ledger.get("acme", "invoices", "inv_2")["edited_by"] == "a person"
        assert [at.status(number) for number in (1, 3)] == ["open", "open"]
        (task,) = (await at.get(f"/v1/tasks?run={run_id}&status=open"))["items"]
        evidence = task["evidence"]
        assert (task["kind"], task["target"]["id"], task["rollback_id"]) == ("correction", "inv_2", told["rollback_id"])
        assert (evidence["before"], evidence["after"], evidence["now"]) == ('"v1"', '"v2"', '"v3"')
        status, closed = await at.ask("POST", f"/v1/tasks/{task['task_id']}/resolve", {"resolution": "accepted", "note": "it is right"})
        assert (status, closed["resolution"]) == (200, "accepted")


async def test_a_second_start_finds_the_rollback_that_waits(tmp_path: Path) -> None:
    asking = ADAPTER.replace("by: refund.delete, auto: true", "by: refund.delete, auto: false")
    async with site(tmp_path, asking) as at:
        run_id = await worked(at)
        name = await at.roll_back(run_id)
        told = await at.at_rest(name)
        assert (told["state"], told["progress"]["waiting"], told["progress"]["done"]) == ("needs_operator", 1, 3)
        status, again = await at.ask("POST", "/v1/rollbacks", {"scope": {"run": run_id}, "reason": "again"})
        assert (status, again["rollback_id"]) == (202, name)


async def test_what_was_not_approved_before_waits_for_an_approver_and_then_continues(tmp_path: Path) -> None:
    asking = ADAPTER.replace("by: refund.delete, auto: true", "by: refund.delete, auto: false")
    async with site(tmp_path, asking) as at:
        name = await at.roll_back(await worked(at))
        waiting = next(node for node in (await at.at_rest(name))["nodes"] if node["state"] == "waiting")
        assert at.rig.ledger.count("refunds") == 1
        decision = {"decision": "approve", "reason": "it was wrong"}
        status, _ = await at.ask("POST", f"/v1/approvals/{waiting['approval_id']}", decision, as_="approver")
        assert status == 200

        async def clean() -> bool:
            return bool((await at.get(f"/v1/rollbacks/{name}?nodes=false"))["state"] == "clean")

        await rig.until_async(clean, 30.0)
        assert at.rig.ledger.count("refunds") == 0


async def test_a_no_is_handed_on_with_the_words_it_was_said_in(tmp_path: Path) -> None:
    asking = ADAPTER.replace("by: refund.delete, auto: true", "by: refund.delete, auto: false")
    async with site(tmp_path, asking) as at:
        run_id = await worked(at)
        told = await at.at_rest(await at.roll_back(run_id))
        (waiting,) = (node for node in told["nodes"] if node["state"] == "waiting")
        decision = {"decision": "deny", "reason": "the customer keeps it"}
        assert (await at.ask("POST", f"/v1/approvals/{waiting['approval_id']}", decision, as_="approver"))[0] == 200

        async def ended() -> bool:
            return bool((await at.get(f"/v1/rollbacks/{told['rollback_id']}?nodes=false"))["state"] == "residue")

        await rig.until_async(ended, 30.0)
        (task,) = (await at.get(f"/v1/tasks?run={run_id}"))["items"]
        assert "approver denied it: the customer keeps it" in task["evidence"]["why"]
        assert at.rig.ledger.count("refunds") == 1


async def test_a_yes_that_comes_too_late_is_not_acted_on_whatever_policy_says(tmp_path: Path) -> None:
    policies = Path(shutil.copytree(rig.ROOT / "policies", tmp_path / "policies"))
    (policies / "killcord" / "recovery" / "decision.rego").write_text('package killcord.recovery\n\ndecision := {"proceed": true}\n')
    for name in ("tasks", "tasks_test", "decision_test", "nodes_test"):
        (policies / "killcord" / "recovery" / f"{name}.rego").unlink()
    brief = ADAPTER.replace("by: refund.delete, auto: true", "by: refund.delete, auto: false, within: 3s")
    async with site(tmp_path, brief, policy=f"{{path: {policies / 'killcord'}}}") as at:
        run_id = await worked(at)
        told = await at.at_rest(await at.roll_back(run_id))
        (waiting,) = (node for node in told["nodes"] if node["action"] == "refund.create")

        async def over() -> bool:
            effects = (await at.get(f"/v1/runs/{run_id}/effects"))["items"]
            return any("its deadline was" in effect.get("why_not", "") for effect in effects)

        await rig.until_async(over, 30.0)
        if waiting["state"] == "waiting":  # else it took so long to be planned that it was too late by then
            decision = {"decision": "approve", "reason": "it was wrong"}
            assert (await at.ask("POST", f"/v1/approvals/{waiting['approval_id']}", decision, as_="approver"))[0] == 200

        async def ended() -> bool:
            return bool((await at.get(f"/v1/rollbacks/{told['rollback_id']}?nodes=false"))["state"] == "residue")

        await rig.until_async(ended, 30.0)
        assert at.rig.ledger.count("refunds") == 1
        (task,) = (await at.get(f"/v1/tasks?run={run_id}"))["items"]
        assert "its deadline was" in task["evidence"]["why"]


async def test_a_stopped_rollback_sends_nothing_until_it_is_continued(tmp_path: Path) -> None:
    asking = ADAPTER.replace("by: refund.delete, auto: true", "by: refund.delete, auto: false")
    async with site(tmp_path, asking) as at:
        name = await at.roll_back(await worked(at))
        await at.at_rest(name)
        status, stopped = await at.ask("POST", f"/v1/rollbacks/{name}/stop", {"reason": "enough"}, as_="operator")
        assert (status, stopped["state"]) == (200, "stopped")
        status, _ = await at.ask("POST", f"/v1/rollbacks/{name}/continue", {"reason": "continue"}, as_="operator")
        assert (status, (await at.at_rest(name))["state"]) == (200, "needs_operator")
        assert at.rig.ledger.count("refunds") == 1


async def test_a_coordinator_whose_worker_is_rolled_back_automatically_is_reported_to_wait(tmp_path: Path) -> None:
    asking = ADAPTER.replace("by: refund.delete, auto: true", "by: refund.delete, auto: false")
    async with site(tmp_path, asking) as at:
        run_id = await worked(at)
        worker = await at.rig.open(parent_run=run_id)
        assert (await at.rig.call(worker.lease, "POST", REFUNDS, {"amount": 5})).status == 201
        name = await at.roll_back(worker.run.run_id)
        assert (await at.at_rest(name))["state"] == "needs_operator"
        scope = {"run": run_id, "subtree": True}
        assert (await at.ask("POST", "/v1/orders", {"scope": scope, "mode": "quarantined", "reason": "x"}))[0] == 201
        status, answer = await at.ask("POST", "/v1/rollbacks", {"scope": scope, "reason": "wrong prices"})
        assert (status, answer["code"], name in answer["detail"]) == (409, "conflict", True)


async def test_anyone_who_is_asked_for_a_compensation_sees_the_request_and_who_watches_sees_which_it_is(tmp_path: Path) -> None:
    asking = ADAPTER.replace("by: invoice.replace, auto: true, within: 1h", "by: invoice.replace, auto: false")
    async with site(tmp_path, asking) as at:
        run = await at.rig.open()
        assert (await at.rig.call(run.lease, "PATCH", INVOICE.format(1), {"status": "void"})).status == 200
        name = await at.roll_back(run.run.run_id)
        (node,) = (await at.at_rest(name))["nodes"]
        body = {"status": "open", "number": 1}
        digest = f"sha256:{hashlib.sha256(orjson.dumps(body)).hexdigest()}"
        assert node["request"] == {"method": "PUT", "path": INVOICE.format(1), "body_digest": digest}
        for path in (f"/v1/approvals/{node['approval_id']}", f"/v1/approvals?run={run.run.run_id}"):
            _, answer = await at.ask("GET", path, as_="approver")
            asked = answer["items"][0] if "items" in answer else answer
            assert (asked["kind"], asked["version"]) == ("compensation", '"v2"')
            assert asked["request"] == {
                "method": "PUT",
                "path": INVOICE.format(1),
                "headers": {"content-type": "application/json; charset=utf-8", "if-match": '"v2"'},
                "withheld": [],
                "body": body,
            }
        _, seen = await at.ask("GET", f"/v1/approvals/{node['approval_id']}", as_="viewer")
        assert (seen["request"], seen["request_state"]) == (None, "withheld")
        yes = {"decision": "approve", "reason": "looked"}
        assert (await at.ask("POST", f"/v1/approvals/{node['approval_id']}", yes, as_="approver"))[0] == 200

        async def clean() -> bool:
            return bool((await at.get(f"/v1/rollbacks/{name}?nodes=false"))["state"] == "clean")

        await rig.until_async(clean, 30.0)
        sent = at.rig.ledger.writes[-1]
        assert (sent.method, sent.path, orjson.loads(sent.body), sent.headers["if-match"]) == ("PUT", INVOICE.format(1), body, '"v2"')
        (node,) = (await at.get(f"/v1/rollbacks/{name}"))["nodes"]
        assert (node["state"], "request" in node, node["why"] == "it needs a person's approval") == ("done", False, False)


async def test_where_a_tool_is_unavailable_each_node_says_why_it_waits_and_when_it_is_tried_next(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        run_id = await worked(at)
        at.rig.ledger.down = True
        name = await at.roll_back(run_id)

        async def waits() -> bool:
            found = await at.get(f"/v1/rollbacks/{name}")
            return all("retry_at" in node for node in found["nodes"])

        await rig.until_async(waits, 30.0)
        found = await at.get(f"/v1/rollbacks/{name}")
        assert (found["state"], found["residue"]) == ("running", [])
        for node in found["nodes"]:
            assert node["state"] == "waiting"
            assert node["waits_since"] < node["retry_at"]
        assert any("503" in node["why"] for node in found["nodes"])
        assert (await at.get(f"/v1/tasks?run={run_id}"))["items"] == []
        status, stopped = await at.ask("POST", f"/v1/rollbacks/{name}/stop", {"reason": "enough"}, as_="operator")
        assert (status, stopped["state"]) == (200, "stopped")
        at.rig.ledger.down = False
        await at.ask("POST", f"/v1/rollbacks/{name}/continue", {"reason": "it is back"}, as_="operator")
        told = await at.at_rest(name)
        assert (told["state"], told["progress"]["done"]) == ("clean", 4), told
        assert [at.status(number) for number in (1, 2, 3)] == ["open"] * 3
