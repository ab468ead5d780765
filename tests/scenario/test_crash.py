"""What a gateway owes the ERP when it, or the way to the tool, breaks in the middle of a write."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from killcord_demo.web import Answer
from tests.support.between import Between, When
from tests.support.erp import Erp
from tests.support.gateway import CHECKOUT, Gateway, wait_until

REFUND = {"data": {"invoice": "inv-2", "amount": 80, "reference": "case 5512"}}
APPROVE = {"data": {"status": "approved"}}

Site = Callable[[str], Gateway]


def test_killed_after_the_erp_applied_a_status_it_is_found_out_and_not_sent_again(site: Site, relay: Between, erp: Erp) -> None:
    gateway = _started(site, relay)
    run_id, lease = gateway.open_run(erp.tenant)
    trap = relay.set_trap("PATCH", When.AFTER)
    with _in_background(lambda: gateway.call("PATCH", erp.path("invoices", "inv-1"), APPROVE, lease=lease)):
        trap.caught()
        applied = erp.invoice("inv-1")
        gateway.kill()
        trap.lose()
    assert applied["status"] == "approved"

    gateway.start()
    _wait_for_state(gateway, run_id, "standing")
    again = gateway.call("PATCH", erp.path("invoices", "inv-1"), APPROVE, lease=lease)
    assert (again.status, again.body["code"]) == (409, "reply-not-kept")
    assert erp.invoice("inv-1") == applied
    assert relay.seen["PATCH"] == 1
    kinds = [entry["kind"] for entry in gateway.journal(run_id, last="refusal")]
    assert kinds == ["run", "intent", "reconciliation", "reconciliation", "refusal"]


def test_killed_after_the_erp_made_a_refund_it_is_found_by_its_reference_and_not_made_again(site: Site, relay: Between, erp: Erp) -> None:
    gateway = _started(site, relay)
    run_id, lease = gateway.open_run(erp.tenant)
    trap = relay.set_trap("POST", When.AFTER)
    with _in_background(lambda: gateway.call("POST", erp.path("refunds"), REFUND, lease=lease)):
        trap.caught()
        gateway.kill()
        trap.lose()
    gateway.start()
    _wait_for_state(gateway, run_id, "standing")
    gateway.call("POST", erp.path("refunds"), REFUND, lease=lease)
    assert len(erp.records("refunds")) == 1
    assert relay.seen["POST"] == 1


def test_killed_before_the_erp_got_the_refund_it_is_made_once_when_asked_again(site: Site, relay: Between, erp: Erp) -> None:
    gateway = _started(site, relay)
    run_id, lease = gateway.open_run(erp.tenant)
    trap = relay.set_trap("POST", When.BEFORE)
    with _in_background(lambda: gateway.call("POST", erp.path("refunds"), REFUND, lease=lease)):
        trap.caught()
        gateway.kill()
        trap.lose()
    assert erp.records("refunds") == {}
    gateway.start()
    _wait_for_state(gateway, run_id, "failed")
    made = gateway.call("POST", erp.path("refunds"), REFUND, lease=lease)
    assert list(erp.records("refunds")) == [made.body["data"]["id"]]


def test_an_answer_lost_on_its_way_is_unknown_to_the_agent_and_the_probe_decides(site: Site, relay: Between, erp: Erp) -> None:
    gateway = _started(site, relay)
    run_id, lease = gateway.open_run(erp.tenant)
    trap = relay.set_trap("PATCH", When.AFTER)
    said: list[Answer] = []
    with _in_background(lambda: said.append(gateway.call("PATCH", erp.path("invoices", "inv-1"), APPROVE, lease=lease))):
        trap.caught()
        trap.lose()
    (lost,) = said
    assert (lost.status, lost.body["outcome"], lost.body["retryable"]) == (502, "unknown", False)
    _wait_for_state(gateway, run_id, "standing")
    gateway.call("PATCH", erp.path("invoices", "inv-1"), APPROVE, lease=lease)
    assert relay.seen["PATCH"] == 1


def test_an_unknown_write_that_someone_wrote_over_goes_to_a_person_and_is_not_sent_again(site: Site, relay: Between, erp: Erp) -> None:
    gateway = _started(site, relay)
    run_id, lease = gateway.open_run(erp.tenant)
    trap = relay.set_trap("PATCH", When.AFTER)
    with _in_background(lambda: gateway.call("PATCH", erp.path("invoices", "inv-1"), APPROVE, lease=lease)):
        trap.caught()
        gateway.kill()
        erp.edit("inv-1", status="disputed")
        trap.lose()
    gateway.start()
    wait_until(lambda: gateway.ask("GET", f"/v1/tasks?run={run_id}").body["items"] != [], "a task for a person")
    again = gateway.call("PATCH", erp.path("invoices", "inv-1"), APPROVE, lease=lease)
    assert (again.status, again.body["code"]) == (409, "outcome-unknown")
    assert erp.invoice("inv-1")["status"] == "disputed"
    assert relay.seen["PATCH"] == 1


@contextmanager
def _in_background(call: Callable[[], object]) -> Iterator[None]:
    """Make a call while the test continues; joined at the end of the block. A gateway that dies under the call is no failure."""

    def run() -> None:
        with suppress(OSError):
            call()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()


def _started(site: Site, relay: Between) -> Gateway:
    """A gateway behind the relay, on the shipped adapter with a probe that need not wait half a minute."""
    gateway = site(relay.url)
    adapters = gateway.folder / "adapters"
    shutil.copytree(CHECKOUT / "adapters" / "kinto", adapters / "kinto", ignore=shutil.ignore_patterns("*.py"))
    _quicken(adapters / "kinto" / "adapter.yaml")
    gateway.settings["adapters"] = [str(adapters)]
    gateway.start()
    return gateway


def _quicken(adapter: Path) -> None:
    text = adapter.read_text()
    assert "settle: 30s" in text
    adapter.write_text(text.replace("settle: 30s", "settle: 1s"))


def _wait_for_state(gateway: Gateway, run_id: str, state: str) -> None:
    wait_until(lambda: [effect["state"] for effect in gateway.effects(run_id)] == [state], f"the write to be {state}")
