"""Containment no wider than the incident: a supervisor without its workers, a tenant without the others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from killcord_demo.web import Answer
from tests.support.erp import Erp
from tests.support.gateway import Gateway, wait_until
from tests.support.onlooker import Agent, at_work, stopped

WORKERS = 20


def test_twenty_workers_continue_when_their_supervisor_goes_bad(gateway: Gateway, erp: Erp) -> None:
    supervisor = at_work(gateway, erp)
    workers = [at_work(gateway, erp, parent_run=supervisor.run_id, agent_id=f"worker-{number}") for number in range(WORKERS)]
    halfway, bad = threading.Barrier(WORKERS + 1, timeout=60), threading.Event()
    with ThreadPoolExecutor(WORKERS) as pool:
        working = [pool.submit(_two_halves, worker, number, halfway, bad) for number, worker in enumerate(workers)]
        halfway.wait()
        for _ in range(10):
            for status in ("on hold", "approved"):
                last = supervisor.sets("inv-1", status)
        bad.set()
        replies = [one.result() for one in working]
    assert [[reply.status for reply in of_one] for of_one in replies] == [[201, 200]] * WORKERS
    assert {reply.headers["killcord-mode"] for of_one in replies for reply in of_one} == {"active"}
    assert {erp.invoice(f"job-{number}")["status"] for number in range(WORKERS)} == {"done"}
    stopped(supervisor, "anomaly.loop", "read_only", last=last)
    assert [(worker.mode, worker.incidents) for worker in workers] == [("active", [])] * WORKERS


def test_a_supervisor_whose_lease_was_cut_starts_no_more_workers(gateway: Gateway, erp: Erp) -> None:
    supervisor = at_work(gateway, erp)
    worker = at_work(gateway, erp, parent_run=supervisor.run_id)
    other = Erp(erp.port, f"{erp.tenant}-neighbour")
    other.seed()
    gateway.call("PATCH", other.path("invoices", "inv-1"), {"data": {"status": "paid"}}, lease=supervisor.lease)
    assert supervisor.mode == "revoked"
    asked = {"tenant": erp.tenant, "agent_id": "late", "scopes": ["erp:*"], "parent_run": supervisor.run_id}
    assert gateway.ask("POST", "/v1/runs", asked).status in (403, 409)
    assert worker.sets("inv-2", "approved").status == 200
    assert erp.invoice("inv-2")["status"] == "approved"
    assert other.invoice("inv-1")["status"] == "open"


def test_an_order_on_the_subtree_holds_the_workers_too(gateway: Gateway, erp: Erp) -> None:
    supervisor = at_work(gateway, erp)
    workers = [at_work(gateway, erp, parent_run=supervisor.run_id) for _ in range(3)]
    before = erp.records("invoices")
    gateway.contain("paused", run=supervisor.run_id, subtree=True)
    late = at_work(gateway, erp)
    assert [worker.sets("inv-1", "approved").body["code"] for worker in workers] == ["run-paused"] * 3
    assert erp.records("invoices") == before
    assert late.sets("inv-1", "approved").status == 200, "who is none of its children continues"


def test_a_paused_tenant_leaves_the_calls_of_another_undisturbed(gateway: Gateway, erp: Erp) -> None:
    other = Erp(erp.port, f"{erp.tenant}-beside")
    other.seed()
    ours, theirs = at_work(gateway, erp), at_work(gateway, other)
    replies: list[Answer] = []
    enough = threading.Event()

    def works() -> None:
        while not enough.is_set():
            replies.append(theirs.notes(len(replies)))

    beside = threading.Thread(target=works)
    beside.start()
    try:
        wait_until(lambda: len(replies) >= 10, "calls before the pause")
        order = gateway.contain("paused", tenant=erp.tenant).body["order_id"]
        held, at = erp.records("invoices"), len(replies)
        assert [ours.notes(number).body["code"] for number in range(5)] == ["run-paused"] * 5
        wait_until(lambda: len(replies) >= at + 20, "calls during the pause")
        assert erp.records("invoices") == held
        assert gateway.ask("DELETE", f"/v1/orders/{order}", {"reason": "looked at it"}).status == 200
        at = len(replies)
        wait_until(lambda: len(replies) >= at + 10, "calls after the pause")
    finally:
        enough.set()
        beside.join()
    assert {(one.status, one.headers["killcord-mode"], one.headers["killcord-verification"]) for one in replies} == {
        (200, "active", "passed")
    }
    assert len({one.body["data"]["last_modified"] for one in replies}) == len(replies), "each was a write of its own"
    assert other.invoice("inv-1") == replies[-1].body["data"]
    assert (theirs.mode, theirs.incidents) == ("active", [])
    assert ours.notes(99).status == 200, "and a pause that was released is over"


def _two_halves(worker: Agent, number: int, halfway: threading.Barrier, bad: threading.Event) -> list[Answer]:
    """A worker's job: begun before its supervisor goes bad, and finished afterwards."""
    begun = worker.call("PUT", f"invoices/job-{number}", {"status": "begun", "amount": number})
    halfway.wait()
    assert bad.wait(60)
    return [begun, worker.sets(f"job-{number}", "done")]
