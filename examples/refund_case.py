"""The work that the examples' workflows do: one case of a support desk, three calls to an ERP, each with a name of its own."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.sdk import Problem
from gateway.sdk.operations import Opening

HELD = 75
"""The exit code of a workflow that an order contains, or whose gateway is unavailable: start it again later (EX_TEMPFAIL of sysexits.h)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call; ``path`` is the ERP's own. The name makes it one call, however often it is sent."""

    name: str
    method: str
    path: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """``name`` is also the run's id: starting the case again finds its run."""

    name: str
    tenant: str
    task_class: str
    invoices: tuple[str, str]

    @property
    def run(self) -> Opening:
        """The run to open for it, and all that the run may do."""
        return {
            "run_id": self.name,
            "tenant": self.tenant,
            "agent_id": "refunds",
            "task_class": self.task_class,
            "scopes": ["erp:invoice.*", "erp:refund.*"],
        }

    @property
    def steps(self) -> tuple[Step, ...]:
        """In order. The ERP makes two refunds of a refund that is sent twice: it does not detect repetitions."""
        collections = f"/buckets/{quote(self.tenant, safe='')}/collections"
        first, second = (f"{collections}/invoices/records/{quote(invoice, safe='')}" for invoice in self.invoices)
        refund = {"invoice": self.invoices[1], "amount": 80, "reference": self.name}
        return (
            Step("refund", "POST", f"{collections}/refunds/records", {"data": refund}),
            Step("approve", "PATCH", first, {"data": {"status": "approved"}}),
            Step("close", "PATCH", second, {"data": {"status": "closed"}}),
        )


@dataclass(frozen=True, slots=True)
class Started:
    """What a workflow is started with. ``tool`` is the ERP's address at the data API; ``folder`` contains the states."""

    case: Case
    folder: Path
    tool: str
    wait: float

    def time_to_kill(self) -> None:
        """The ERP has applied the call, and the workflow has not recorded it: the worst moment to die."""
        time.sleep(self.wait)


def started(description: str | None) -> Started:
    """The command line. The defaults match ``killcord demo``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("case", help="a name for the case; its run has this id")
    parser.add_argument("--tenant", default="acme")
    parser.add_argument("--task-class", default="billing")
    parser.add_argument("--invoices", nargs=2, default=["inv-1001", "inv-1002"], help="one to approve, and one to close")
    parser.add_argument("--folder", type=Path, default=Path("cases"), help="where states are kept")
    parser.add_argument("--tool", default="http://127.0.0.1:8090/erp", help="the ERP at the data API")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds to stand still after each call: time to kill it")
    given = parser.parse_args()
    case = Case(given.case, given.tenant, given.task_class, tuple(given.invoices))
    given.folder.mkdir(parents=True, exist_ok=True)
    return Started(case, given.folder, given.tool, given.wait)


def stopped(why: Exception) -> int:
    """The exit code of a workflow that could not continue."""
    print(f"stopped: {why}", flush=True)
    return HELD if not isinstance(why, Problem) or why.held or why.retryable else 1
