"""Three orchestrators on a real gateway in front of a real Kinto: killed in the middle, or contained and rolled back, and continued.

What each has done is asked of the ERP, past the gateway.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.refund_case import HELD
from tests.support.between import Between, When
from tests.support.erp import Erp
from tests.support.gateway import CHECKOUT, DEADLINE, Gateway, wait_until

CASE = "case-5512"
EXAMPLES = ("plain_script", "langgraph_graph", "durable_workflow")


@dataclass(frozen=True, slots=True)
class Workflow:
    """One example, each start of it a process, on one folder; ``said`` is what they all wrote."""

    example: str
    gateway: Gateway
    erp: Erp
    folder: Path

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text()

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", f"examples.{self.example}.workflow", CASE, "--folder", str(self.folder)]
        command += [
            "--tenant",
            self.erp.tenant,
            "--task-class",
            "default",
            "--invoices",
            "inv-1",
            "inv-2",
            "--tool",
            f"{self.gateway.data}/erp",
        ]
        environ = {**os.environ, "KILLCORD_URL": self.gateway.control, "KILLCORD_TOKEN": self.gateway.token}
        with (
            open(self.folder / "said", "ab") as said,
            subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=said, stderr=subprocess.STDOUT) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def run(self) -> int:
        """Start it and wait for its end; its exit code."""
        with self.running() as process:
            return process.wait(DEADLINE)

    def run_as_a_supervisor_would(self) -> None:
        """Start it again for as long as it says that it is to be tried later."""
        codes: list[int] = []

        def done() -> bool:
            codes.append(self.run())
            return codes[-1] != HELD

        wait_until(done, f"the workflow to be let through; it said:\n{self.said}")
        assert codes[-1] == 0, self.said


@pytest.fixture(params=EXAMPLES)
def workflow(request: pytest.FixtureRequest, site: Callable[[str], Gateway], relay: Between, erp: Erp, tmp_path: Path) -> Workflow:
    gateway = site(relay.url)
    gateway.start()
    folder = tmp_path / "workflow"
    folder.mkdir()
    return Workflow(request.param, gateway, erp, folder)


def assert_done_once(workflow: Workflow) -> None:
    erp = workflow.erp
    assert [record["amount"] for record in erp.records("refunds").values()] == [80]
    assert (erp.invoice("inv-1")["status"], erp.invoice("inv-2")["status"]) == ("approved", "closed")


@pytest.mark.parametrize(("method", "when"), [("POST", When.AFTER), ("PATCH", When.AFTER), ("PATCH", When.BEFORE)])
def test_a_workflow_that_is_killed_during_a_call_continues_and_doubles_nothing(
    workflow: Workflow, relay: Between, method: str, when: When
) -> None:
    trap = relay.set_trap(method, when)
    with workflow.running() as process:
        trap.caught()
        process.kill()
        process.wait(DEADLINE)
    trap.release()
    workflow.run_as_a_supervisor_would()
    assert_done_once(workflow)
    effects = workflow.gateway.effects(CASE)
    assert [effect["state"] for effect in effects] == ["standing"] * 3, "each call reached the ERP once"
    assert relay.seen["POST"] == 1


def test_a_workflow_that_is_paused_waits_and_completes_once_the_order_is_released(workflow: Workflow, relay: Between) -> None:
    trap = relay.set_trap("PATCH", When.AFTER)
    with workflow.running() as process:
        trap.caught()
        order = workflow.gateway.contain("paused", run=CASE).body["order_id"]
        trap.release()
        assert process.wait(DEADLINE) == HELD, workflow.said
    assert workflow.run() == HELD
    assert workflow.gateway.ask("DELETE", f"/v1/orders/{order}", {"reason": "all clear"}).status == 200
    workflow.run_as_a_supervisor_would()
    assert_done_once(workflow)
    assert [effect["state"] for effect in workflow.gateway.effects(CASE)] == ["standing"] * 3


def test_a_workflow_that_is_contained_and_rolled_back_is_resumed_tighter_and_completes(workflow: Workflow, relay: Between) -> None:
    gateway, erp = workflow.gateway, workflow.erp
    trap = relay.set_trap("PATCH", When.AFTER)
    with workflow.running() as process:
        trap.caught()
        gateway.contain("quarantined", run=CASE)
        trap.release()
        assert process.wait(DEADLINE) == HELD, workflow.said
    assert erp.invoice("inv-1")["status"] == "approved"

    refunded = gateway.ask("GET", f"/v1/runs/{CASE}/checkpoints").body["items"][0]
    assert refunded["label"] == "refund"
    begun = gateway.ask("POST", "/v1/rollbacks", {"scope": {"run": CASE}, "to": refunded["checkpoint_id"], "reason": "wrong invoice"})
    rollback = f"/v1/rollbacks/{begun.body['rollback_id']}"
    wait_until(lambda: gateway.ask("GET", rollback).body["state"] == "clean", "the rollback to end clean")
    assert (erp.invoice("inv-1")["status"], len(erp.records("refunds"))) == ("open", 1)
    assert workflow.run() == HELD, "nobody has resumed it yet"

    tighter = {"scopes": ["erp:invoice.status.*"], "limits": {"writes": 10}, "reason": "the invoice was right after all"}
    assert gateway.ask("POST", f"/v1/runs/{CASE}/resume", tighter).status == 201
    workflow.run_as_a_supervisor_would()
    assert_done_once(workflow)
    effects = [(effect["action"], effect["state"]) for effect in gateway.effects(CASE)]
    assert effects == [
        ("refund.create", "standing"),
        ("invoice.status.update", "compensated"),
        ("invoice.status.update", "standing"),
        ("invoice.status.update", "standing"),
    ]
