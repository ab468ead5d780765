"""The demo's story, asked of the ERP itself: what is in Kinto is what counts, not what a gateway said."""

from __future__ import annotations

import asyncio
import threading

import aiohttp

from tests.support.erp import Erp
from tests.support.gateway import Gateway, wait_until

REFUND = {"data": {"invoice": "inv-2", "amount": 80, "reference": "case 5512"}}


def test_honest_work_is_in_the_erp_and_in_the_journal(shared: Gateway, erp: Erp) -> None:
    run_id, lease = shared.open_run(erp.tenant)
    seen = shared.call("GET", erp.path("invoices", "inv-1"), lease=lease)
    done = shared.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "approved"}}, lease=lease)
    record = erp.invoice("inv-1")
    assert seen.body["data"]["status"] == "open"
    assert record["status"] == "approved"
    assert done.body["data"] == record
    assert done.headers["killcord-verification"] == "passed"
    (effect,) = shared.effects(run_id)
    assert effect["after_ref"].endswith(f":{record['last_modified']}")
    assert effect["before_ref"].endswith(f":{seen.body['data']['last_modified']}")
    assert [entry["kind"] for entry in shared.journal(run_id, last="outcome")] == ["run", "read", "intent", "outcome"]


def test_a_refund_that_its_client_repeats_is_one_refund(shared: Gateway, erp: Erp) -> None:
    run_id, lease = shared.open_run(erp.tenant)
    first = shared.call("POST", erp.path("refunds"), REFUND, lease=lease)
    again = shared.call("POST", erp.path("refunds"), REFUND, lease=lease)
    assert list(erp.records("refunds")) == [first.body["data"]["id"]]
    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"
    assert [entry["kind"] for entry in shared.journal(run_id, last="replay")] == ["run", "intent", "outcome", "replay"]


async def test_two_hundred_identical_refunds_at_once_are_one_refund(shared: Gateway, erp: Erp) -> None:
    _, lease = await asyncio.to_thread(shared.open_run, erp.tenant)
    url, headers = f"{shared.data}/erp{erp.path('refunds')}", {"Authorization": f"Bearer {lease}"}

    async def refund(session: aiohttp.ClientSession) -> tuple[int, str]:
        async with session.post(url, json=REFUND, headers=headers) as answer:
            body = await answer.json(content_type=None)
            return answer.status, body.get("code", "")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        said = await asyncio.gather(*(refund(session) for _ in range(200)))
    assert len(erp.records("refunds")) == 1
    # The spike that two hundred repeats are may pause the run before the last of them has come.
    assert set(said) <= {(201, ""), (409, "in-flight"), (503, "run-paused")}
    assert (201, "") in said


def test_a_write_on_what_a_person_changed_meanwhile_does_not_reach_the_erp(shared: Gateway, erp: Erp) -> None:
    _, lease = shared.open_run(erp.tenant)
    shared.call("GET", erp.path("invoices", "inv-1"), lease=lease)
    erp.edit("inv-1", status="disputed")
    edited = erp.invoice("inv-1")
    stale = shared.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "approved"}}, lease=lease)
    assert erp.invoice("inv-1") == edited
    assert (stale.status, stale.body["code"]) == (412, "precondition-changed")


def test_after_reading_again_the_same_write_is_taken(shared: Gateway, erp: Erp) -> None:
    _, lease = shared.open_run(erp.tenant)
    shared.call("GET", erp.path("invoices", "inv-1"), lease=lease)
    erp.edit("inv-1", status="disputed")
    shared.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "approved"}}, lease=lease)
    shared.call("GET", erp.path("invoices", "inv-1"), lease=lease)
    shared.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "approved"}}, lease=lease)
    assert erp.invoice("inv-1")["status"] == "approved"


def test_flipping_a_status_forth_and_back_is_a_write_each_time(shared: Gateway, erp: Erp) -> None:
    _, lease = shared.open_run(erp.tenant)
    versions = []
    for status in ("approved", "open", "approved", "open"):
        shared.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": status}}, lease=lease)
        assert erp.invoice("inv-1")["status"] == status
        versions.append(erp.invoice("inv-1")["last_modified"])
    assert len(set(versions)) == 4


def test_a_read_only_order_under_a_running_loop_leaves_the_erp_as_it_was_when_it_held(shared: Gateway, erp: Erp) -> None:
    run_id, lease = shared.open_run(erp.tenant)
    codes: list[str] = []
    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            for status in ("approved", "open"):
                done = shared.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": status}}, lease=lease)
                codes.append(done.body.get("code", "done"))

    agent = threading.Thread(target=loop)
    agent.start()
    try:
        wait_until(lambda: codes.count("done") >= 6, "six writes of the loop")
        shared.contain("read_only", run=run_id)
        wait_until(lambda: "run-read-only" in codes, "a refused write")
        held = erp.records("invoices")
        wait_until(lambda: codes.count("run-read-only") >= 20, "twenty refused writes")
    finally:
        stop.set()
        agent.join()
    assert erp.records("invoices") == held
    assert "done" not in codes[codes.index("run-read-only") :]
    assert shared.call("GET", erp.path("invoices", "inv-1"), lease=lease).status == 200


def test_a_released_order_lets_writes_through_again(shared: Gateway, erp: Erp) -> None:
    run_id, lease = shared.open_run(erp.tenant)
    order = shared.contain("read_only", run=run_id).body["order_id"]
    shared.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "approved"}}, lease=lease)
    assert erp.invoice("inv-1")["status"] == "open"
    shared.ask("DELETE", f"/v1/orders/{order}", {"reason": "looked at it"})
    shared.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "approved"}}, lease=lease)
    assert erp.invoice("inv-1")["status"] == "approved"


def test_a_cut_lease_neither_reads_nor_writes_nor_comes_back(shared: Gateway, erp: Erp) -> None:
    run_id, lease = shared.open_run(erp.tenant)
    before = erp.records("invoices")
    order = shared.contain("revoked", run=run_id).body["order_id"]
    shared.ask("DELETE", f"/v1/orders/{order}", {"reason": "released, and yet"})
    read = shared.call("GET", erp.path("invoices", "inv-1"), lease=lease)
    write = shared.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "approved"}}, lease=lease)
    assert (read.status, read.body["code"]) == (403, "lease-revoked")
    assert (write.status, write.body["code"]) == (403, "lease-revoked")
    assert shared.ask("POST", f"/v1/runs/{run_id}/lease", {}).status == 403
    assert erp.records("invoices") == before


def test_an_agent_cannot_touch_another_tenant(shared: Gateway, erp: Erp) -> None:
    other = Erp(erp.port, f"{erp.tenant}-other")
    other.seed()
    before = other.records("invoices")
    _, lease = shared.open_run(erp.tenant)
    crossed = shared.call("PATCH", other.path("invoices", "inv-1"), {"data": {"status": "approved"}}, lease=lease)
    assert (crossed.status, crossed.body["code"]) == (403, "tenant-boundary")
    assert other.records("invoices") == before


def test_a_lease_opens_nothing_at_the_erp_itself(shared: Gateway, erp: Erp) -> None:
    _, lease = shared.open_run(erp.tenant)
    past = Erp(erp.port, erp.tenant, authorization=f"Bearer {lease}")
    assert past._send("GET", past.path("invoices"))["status"] in (401, 403)
