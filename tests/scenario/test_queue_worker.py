"""The queue worker of the examples, on a real gateway in front of a real Kinto."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from examples.queue_worker import worker
from examples.queue_worker.jobs import Job, Queue
from examples.queue_worker.worker import Call, Killcord, Worker
from tests.support import gateway as gateways
from tests.support.erp import Erp
from tests.support.gateway import CHECKOUT, Gateway, wait_until


@pytest.fixture
def gateway(site: Callable[[str], Gateway], erp: Erp) -> Iterator[Gateway]:
    """Two task classes: billing and support."""
    made = site(erp.url)
    one = {"tenants": ["*"], "scopes": ["*"], "ttl": "1h"}
    made.settings["task_classes"] = {"billing": one, "support": one}
    with gateways.serving(made):
        yield made


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    made = Queue(tmp_path / "jobs.db")
    yield made
    made.close()


@contextmanager
def working(gateway: Gateway, queue: Queue) -> Iterator[None]:
    """The worker as a process of its own."""
    command = [sys.executable, "-m", "examples.queue_worker.worker", str(queue.path)]
    addresses = ["--control", gateway.control, "--tool", f"{gateway.data}/erp"]
    process = subprocess.Popen(command + addresses, cwd=CHECKOUT, env={**os.environ, "KILLCORD_TOKEN": gateway.token})
    try:
        yield
        assert process.poll() is None, "the worker ended by itself"
    finally:
        process.terminate()
        process.wait(30)


def pay(queue: Queue, erp: Erp, task_class: str, invoice: str) -> int:
    return queue.add(erp.tenant, task_class, {"invoice": invoice})


def test_jobs_of_a_paused_class_stay_in_the_queue_while_others_continue(gateway: Gateway, erp: Erp, queue: Queue) -> None:
    held, others = pay(queue, erp, "billing", "inv-1"), [pay(queue, erp, "support", "inv-2") for _ in range(3)]
    order = gateway.contain("paused", task_class="billing").body["order_id"]
    with working(gateway, queue):
        wait_until(lambda: queue.left() == 1, "the jobs of the other class to be done")
        assert queue.ended() == {held: None, **dict.fromkeys(others, "done")}
        assert [erp.invoice(name)["status"] for name in ("inv-1", "inv-2")] == ["open", "paid"]
        assert gateway.ask("GET", f"/v1/runs/job-{held}").status == 404, "nobody took it"
        released = gateway.ask("DELETE", f"/v1/orders/{order}", {"reason": "all clear"})
        assert released.status == 200
        wait_until(lambda: queue.left() == 0, "the held job to be done")
    assert queue.ended()[held] == "done"
    assert erp.invoice("inv-1")["status"] == "paid"


def test_a_job_whose_gateway_restarts_is_done_in_the_end(gateway: Gateway, erp: Erp, queue: Queue) -> None:
    gateway.stop()
    job = pay(queue, erp, "billing", "inv-1")
    with working(gateway, queue):
        gateway.start()
        wait_until(lambda: queue.left() == 0, "the job to be done")
    assert queue.ended() == {job: "done"}


class Hands:
    """Pays invoices, and lets something happen between looking and paying: once."""

    def __init__(self, between: Callable[[Job], object]) -> None:
        self._between: Callable[[Job], object] | None = between

    async def __call__(self, job: Job, call: Call) -> None:
        async def interrupted(step: str, *more: Any) -> Any:
            if step == "pay" and self._between is not None:
                between, self._between = self._between, None
                between(job)
            return await call(step, *more)

        await worker.pay(job, interrupted)


async def once(gateway: Gateway, queue: Queue, hands: worker.Work = worker.pay) -> None:
    """One turn of a worker that remembers nothing of earlier turns."""
    async with aiohttp.ClientSession() as session:
        killcord = Killcord(session, gateway.control, f"{gateway.data}/erp", gateway.token)
        await Worker(queue, killcord, hands, ["erp:invoice.*"]).once()


class Hours:
    """A queue's clock that can be put forward."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_job_stopped_by_an_order_in_its_middle_is_given_back_and_finished_later(gateway: Gateway, erp: Erp, queue: Queue) -> None:
    queue.clock = hours = Hours()
    job = pay(queue, erp, "billing", "inv-1")
    orders: list[str] = []
    await once(gateway, queue, Hands(lambda taken: orders.append(gateway.contain("paused", run=taken.run_id).body["order_id"])))
    assert (queue.ended(), erp.invoice("inv-1")["status"]) == ({job: None}, "open")
    hours.now += 61
    await once(gateway, queue)
    assert queue.left() == 1, "the order still stands"
    assert gateway.ask("DELETE", f"/v1/orders/{orders[0]}", {"reason": "all clear"}).status == 200
    hours.now += 61
    await once(gateway, queue)
    assert (queue.ended(), erp.invoice("inv-1")["status"]) == ({job: "done"}, "paid")
    assert [effect["action"] for effect in gateway.effects(f"job-{job}")] == ["invoice.status.update"]


async def test_a_quarantined_job_keeps_no_other_job_of_its_lane_waiting(gateway: Gateway, erp: Erp, queue: Queue) -> None:
    queue.clock = hours = Hours()
    bad, good = pay(queue, erp, "billing", "inv-1"), pay(queue, erp, "billing", "inv-2")
    await once(gateway, queue, Hands(lambda taken: gateway.contain("quarantined", run=taken.run_id)))
    await once(gateway, queue)
    assert queue.ended() == {bad: None, good: "done"}
    hours.now += 61
    await once(gateway, queue)
    assert queue.ended() == {bad: None, good: "done"}
    assert [erp.invoice(name)["status"] for name in ("inv-1", "inv-2")] == ["open", "paid"]


async def test_a_job_that_was_done_but_not_struck_off_is_not_done_twice(gateway: Gateway, erp: Erp, queue: Queue) -> None:
    queue.clock = hours = Hours()
    job = pay(queue, erp, "billing", "inv-1")

    async def dies(taken: Job, call: Call) -> None:
        await worker.pay(taken, call)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await once(gateway, queue, dies)
    version = erp.invoice("inv-1")["last_modified"]
    hours.now += 301
    await once(gateway, queue)
    assert (queue.ended(), erp.invoice("inv-1")["last_modified"]) == ({job: "done"}, version)
    assert len(gateway.effects(f"job-{job}")) == 1


async def test_a_job_that_policy_refuses_has_failed(gateway: Gateway, erp: Erp, queue: Queue) -> None:
    job = queue.add("somebody-else", "billing", {"invoice": "inv-1"})

    async def strays(_: Job, call: Call) -> None:
        await call("pay", "PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "paid"}})

    await once(gateway, queue, strays)
    assert queue.ended() == {job: "failed: tenant-boundary"}
    assert erp.invoice("inv-1")["status"] == "open"
