"""What a resumed run sends again, in whatever order and however often, on a real ERP: done once, answered from then on."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from killcord_demo.web import Answer
from tests.support.erp import Erp
from tests.support.gateway import Gateway, wait_until


@dataclass(frozen=True)
class Call:
    """A call as an agent means it: under a step, under a key of its own, or by its content alone."""

    method: str
    collection: str
    record: str
    data: object
    step: str | None = None
    key: str | None = None

    def send(self, gateway: Gateway, erp: Erp, lease: str) -> Answer:
        headers = {"Killcord-Step": self.step} if self.step else {}
        headers |= {"Idempotency-Key": self.key} if self.key else {}
        return gateway.call(self.method, erp.path(self.collection, self.record), {"data": self.data}, lease=lease, headers=headers)


def refund(reference: str, **more: str) -> Call:
    return Call("POST", "refunds", "", {"invoice": "inv-2", "amount": 80, "reference": reference}, **more)


BEFORE = (
    refund("by step", step="refund-step"),
    refund("by key", key="refund-key"),
    refund("by content"),
    Call("PATCH", "invoices", "inv-1", {"status": "checked"}, step="check"),
    Call("PATCH", "invoices", "inv-1", {"status": "priced"}),
    Call("PATCH", "invoices", "inv-1", {"status": "checked"}, key="check-again"),
)
AFTER = (
    refund("late, by step", step="late-step"),
    refund("late, by key", key="late-key"),
    refund("late, by content"),
    Call("PATCH", "invoices", "inv-2", {"status": "void"}, step="void"),
)


@dataclass(frozen=True)
class Held:
    """A run that was contained, and compensated to where it had made all of ``BEFORE``; ``kept`` are the replies of then."""

    run_id: str
    lease: str
    checkpoint: str
    kept: tuple[Answer, ...]


def taken_back(gateway: Gateway, erp: Erp, **asked: object) -> Held:
    run_id, lease = gateway.open_run(erp.tenant, **asked)
    kept = tuple(call.send(gateway, erp, lease) for call in BEFORE)
    assert {answer.status for answer in kept} <= {200, 201}, kept
    taken = gateway.ask("POST", f"/v1/runs/{run_id}/checkpoints", {"state_ref": "flow@1"})
    assert taken.status == 201, taken
    assert {call.send(gateway, erp, lease).status for call in AFTER} <= {200, 201}
    gateway.contain("quarantined", run=run_id)
    body = {"scope": {"run": run_id}, "to": taken.body["checkpoint_id"], "reason": "wrong"}
    begun = gateway.ask("POST", "/v1/rollbacks", body)
    assert begun.status == 202, begun
    path = f"/v1/rollbacks/{begun.body['rollback_id']}"
    wait_until(lambda: gateway.ask("GET", path).body["state"] != "running", "the rollback to end")
    assert gateway.ask("GET", path).body["state"] == "clean"
    return Held(run_id, lease, taken.body["checkpoint_id"], kept)


def resumed(gateway: Gateway, run_id: str, **asked: object) -> str:
    answer = gateway.ask("POST", f"/v1/runs/{run_id}/resume", {"reason": "mended", **asked})
    assert answer.status == 201, answer
    lease: str = answer.body["lease"]
    return lease


def references(erp: Erp) -> list[str]:
    return sorted(record["reference"] for record in erp.records("refunds").values())


def replayed(answer: Answer) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"


@pytest.mark.parametrize("seed", [1, 2])
def test_calls_from_before_the_checkpoint_answer_and_later_ones_are_made_again_once_in_any_order(
    shared: Gateway, erp: Erp, seed: int
) -> None:
    held = taken_back(shared, erp)
    lease = resumed(shared, held.run_id, checkpoint=held.checkpoint)
    order = list(BEFORE) * 2 + list(AFTER) * 2
    random.Random(seed).shuffle(order)
    answers = [(call, call.send(shared, erp, lease)) for call in order]
    for call, answer in answers:
        if call in BEFORE:
            assert (replayed(answer), answer.body) == (True, held.kept[BEFORE.index(call)].body), call
    for call in AFTER:
        first, second = (answer for one, answer in answers if one == call)
        assert (replayed(first), replayed(second), first.body) == (False, True, second.body), call
    assert references(erp) == sorted(call.data["reference"] for call in (*BEFORE, *AFTER) if call.method == "POST")  # type: ignore[index]
    assert (erp.invoice("inv-1")["status"], erp.invoice("inv-2")["status"]) == ("checked", "void")
    assert shared.call("GET", erp.path("invoices", "inv-1"), lease=held.lease).body["code"] == "lease-revoked"


def test_sent_again_all_at_once_each_is_still_made_once(shared: Gateway, erp: Erp) -> None:
    held = taken_back(shared, erp)
    lease = resumed(shared, held.run_id, checkpoint=held.checkpoint)
    refunds = [call for call in (*BEFORE, *AFTER) if call.method == "POST"]
    with ThreadPoolExecutor(16) as agents:
        answers = list(agents.map(lambda call: call.send(shared, erp, lease), refunds * 3))
    assert {answer.status for answer in answers} <= {201, 409}
    assert {answer.body["code"] for answer in answers if answer.status == 409} <= {"in-flight"}
    assert references(erp) == sorted(call.data["reference"] for call in refunds)  # type: ignore[index]


@pytest.mark.parametrize("call", [BEFORE[0], BEFORE[1], BEFORE[3]], ids=["step", "key", "step on an object"])
def test_other_content_under_a_name_that_stands_is_refused_and_under_one_that_was_compensated_is_made(
    shared: Gateway, erp: Erp, call: Call
) -> None:
    held = taken_back(shared, erp)
    lease = resumed(shared, held.run_id, checkpoint=held.checkpoint)
    other = Call(call.method, call.collection, call.record, {"status": "other"} if call.record else {"amount": 1}, call.step, call.key)
    refused = other.send(shared, erp, lease)
    assert (refused.status, refused.body["code"]) == (422, "key-reused")
    late = AFTER[0]
    made = refund("another content", step=late.step or "").send(shared, erp, lease)
    assert (made.status, replayed(made)) == (201, False)
    assert "another content" in references(erp)
    assert "late, by step" not in references(erp)


def test_a_run_that_its_queue_starts_again_under_the_same_workflow_continues_and_doubles_nothing(
    site: Callable[[str], Gateway], erp: Erp
) -> None:
    gateway = site(erp.url)
    gateway.start()
    workflow = f"wf-{erp.tenant}"
    held = taken_back(gateway, erp, workflow_id=workflow)
    closed = gateway.ask("POST", f"/v1/runs/{held.run_id}/close", {"reason": "the worker died"})
    assert closed.status == 200, closed
    gateway.kill()
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant, workflow_id=workflow)
    assert run_id != held.run_id
    for call, kept in reversed(list(zip(BEFORE, held.kept, strict=True))):
        if call.step or call.key or call.method == "POST":
            again = call.send(gateway, erp, lease)
            assert (replayed(again), again.body) == (True, kept.body), call
    anew = [call.send(gateway, erp, lease) for call in AFTER]
    assert [replayed(answer) for answer in anew] == [False] * len(AFTER)
    assert references(erp) == sorted(call.data["reference"] for call in (*BEFORE, *AFTER) if call.method == "POST")  # type: ignore[index]


@pytest.mark.parametrize(
    "asked",
    [
        {"scopes": ["*"]},
        {"scopes": ["erp:invoice.*", "crm:*"]},
        {"tools": ["erp", "crm"]},
        {"limits": {"writes": 51}},
        {"limits": {"rate": "100/s"}},
        {"limits": {"amount": {"refund": 1001}}},
        {"mode": "active"},
    ],
    ids=str,
)
def test_nothing_can_become_wider_by_a_resume_and_equal_is_no_wider(shared: Gateway, erp: Erp, asked: dict[str, object]) -> None:
    limits = {"writes": 50, "rate": "50/s", "amount": {"refund": 1000}}
    mode = {"mode": "read_only"} if "mode" in asked else {}
    run_id, _ = shared.open_run(erp.tenant, scopes=["erp:invoice.*", "erp:refund.*"], tools=["erp"], limits=limits, **mode)
    shared.contain("quarantined", run=run_id)
    refused = shared.ask("POST", f"/v1/runs/{run_id}/resume", {"reason": "mended", **asked})
    assert (refused.status, refused.body["code"]) == (400, "too-wide")
    equal = {"scopes": ["erp:invoice.*", "erp:refund.*"], "tools": ["erp"], "limits": limits, **mode}
    answer = shared.ask("POST", f"/v1/runs/{run_id}/resume", {"reason": "mended", **equal})
    assert (answer.status, answer.body["run"]["generation"]) == (201, 2)
    again = shared.ask("POST", f"/v1/runs/{run_id}/resume", {"reason": "mended"})
    assert again.status == 409, "it is active: there is nothing to resume"
