"""A gateway process that gets too little of the processor: writes are refused, an order holds, and all passes again afterwards."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from killcord_demo import web
from tests.support.erp import Erp
from tests.support.gateway import Gateway, wait_until

Site = Callable[[str], Gateway]
APPROVE = {"data": {"status": "approved"}}
STOPPED, RUNNING = 0.5, 0.02
"""Seconds, in turn: an event loop that starves, which is late at each beat."""


@contextmanager
def starving(gateway: Gateway) -> Iterator[None]:
    """Let the gateway run only a small part of the time."""
    over = threading.Event()

    def stops() -> None:
        while not over.is_set():
            gateway.process.send_signal(signal.SIGSTOP)
            time.sleep(STOPPED)
            gateway.process.send_signal(signal.SIGCONT)
            time.sleep(RUNNING)

    thread = threading.Thread(target=stops)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def shed(gateway: Gateway, effect: str) -> float:
    shown = str(web.send("GET", gateway.control + "/metrics").body)
    found = re.search(rf'killcord_shed_total{{effect="{effect}"}} ([0-9.]+)', shown)
    assert found is not None
    return float(found[1])


@pytest.mark.reliability(
    fault="Too little processor time", case="writes are refused, an order is in force, and calls pass again afterwards"
)
def test_a_starving_gateway_sheds_writes_and_takes_orders(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.start()
    _, lease = gateway.open_run(erp.tenant)
    other, other_lease = gateway.open_run(erp.tenant)
    before = erp.records("invoices")

    def write(lease: str) -> web.Answer:
        return gateway.call("PATCH", erp.path("invoices", "inv-1"), APPROVE, lease=lease)

    with starving(gateway):
        wait_until(lambda: web.send("GET", gateway.control + "/readyz").body["load"]["ok"] is False, "the load to show")
        refused = write(lease)
        ordered = gateway.contain("quarantined", run=other)
    assert (refused.status, refused.body["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")
    assert erp.records("invoices") == before
    assert ordered.status == 201
    assert shed(gateway, "write") == 1.0
    wait_until(lambda: web.send("GET", gateway.control + "/readyz").body["load"]["ok"] is True, "the load to be gone")
    assert write(other_lease).body["code"] == "run-quarantined"
    assert write(lease).status == 200


@pytest.mark.reliability(fault="One stall of the process for 2 s", case="no call is refused")
def test_one_stall_sheds_nothing(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.start()
    _, lease = gateway.open_run(erp.tenant)
    answers: list[web.Answer] = []
    reads = [
        threading.Thread(target=lambda: answers.append(gateway.call("GET", erp.path("invoices", "inv-1"), lease=lease))) for _ in range(20)
    ]
    gateway.process.send_signal(signal.SIGSTOP)
    for one in reads:
        one.start()
    time.sleep(2.0)
    gateway.process.send_signal(signal.SIGCONT)
    for one in reads:
        one.join()
    assert [answer.status for answer in answers] == [200] * 20
    assert shed(gateway, "read") == 0.0
