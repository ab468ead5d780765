"""The gateway as a process: how it ends, that it is alone on its data, and what it does when it cannot write."""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Callable

from killcord_demo import web
from tests.support.between import Between, When
from tests.support.erp import Erp
from tests.support.gateway import Gateway, wait_until

Site = Callable[[str], Gateway]
APPROVE = {"data": {"status": "approved"}}


def test_sigterm_lets_the_write_on_the_wire_end_and_journals_it(site: Site, relay: Between, erp: Erp) -> None:
    gateway = site(relay.url)
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant)
    trap = relay.set_trap("PATCH", When.AFTER)
    said: list[web.Answer] = []
    client = threading.Thread(target=lambda: said.append(gateway.call("PATCH", erp.path("invoices", "inv-1"), APPROVE, lease=lease)))
    client.start()
    trap.caught()
    gateway.process.send_signal(signal.SIGTERM)
    wait_until(lambda: _turned_away(gateway, erp, lease), "new calls to be turned away")
    trap.release()
    client.join()
    assert gateway.ended() == 0, gateway.said
    assert [answer.status for answer in said] == [200]
    gateway.start()
    assert [effect["state"] for effect in gateway.effects(run_id)] == ["standing"]
    assert erp.invoice("inv-1")["status"] == "approved"
    assert relay.seen["PATCH"] == 1


def test_a_second_gateway_on_the_same_data_ends_at_once_and_says_why(site: Site, erp: Erp) -> None:
    first, second = site(erp.url), site(erp.url)
    first.start()
    second.settings["data_dir"] = str(first.folder / "var")
    second.spawn()
    assert second.ended() == 2
    assert str(first.folder / "var") in second.said


def test_a_journal_that_cannot_be_written_stops_writes_and_reports_it(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.start()
    _, lease = gateway.open_run(erp.tenant)
    gateway.call("PATCH", erp.path("invoices", "inv-1"), APPROVE, lease=lease)
    before = erp.records("invoices")
    # From here on the system refuses every write that makes a file longer than this.
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    refused = gateway.call("PATCH", erp.path("invoices", "inv-2"), APPROVE, lease=lease)
    assert (refused.status, refused.body["code"]) == (503, "journal-unavailable")
    assert "retry-after" in refused.headers
    assert erp.records("invoices") == before
    ready = web.send("GET", gateway.control + "/readyz")
    assert ready.status == 503
    assert "journal" in str(ready.body)


def _turned_away(gateway: Gateway, erp: Erp, lease: str) -> bool:
    """Whether a new call gets ``draining``, or no connection at all."""
    try:
        answer = gateway.call("GET", erp.path("invoices", "inv-1"), lease=lease)
    except ConnectionError:
        return True
    return answer.status == 503 and answer.body["code"] == "draining"


def test_a_command_that_asks_the_data_api_is_told_so(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.start()
    gateway.environ = {"KILLCORD_URL": gateway.data}
    for command in (("status",), ("contain", "--all", "--mode", "paused", "--reason", "x")):
        gateway.lines.clear()
        assert gateway.command(*command, live=True) == 1
        assert "is a gateway's data API, for agents." in " ".join(gateway.said.split())
