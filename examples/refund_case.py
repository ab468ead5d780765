"""The work that the examples' workflows do: one case of a support desk, three calls to the ERP of the README, each with its own name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

AGENT = "refunds"
SCOPES = ["erp:invoice.*", "erp:refund.*"]
"""All that a case may do."""

HELD = 75
"""The exit code of a workflow that an order holds, or whose gateway is away: start it again later (EX_TEMPFAIL of sysexits.h)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call; ``path`` is the ERP's own. The name is what makes it one call, however often it is sent."""

    name: str
    method: str
    path: str
    body: dict[str, Any]


def steps(tenant: str) -> tuple[Step, ...]:
    """The case, in order. A refund that is sent twice is two refunds to the ERP: nothing there would stop it."""
    collections = f"/buckets/{quote(tenant, safe='')}/collections"
    return (
        Step("refund", "POST", f"{collections}/refunds/records", {"data": {"invoice": "inv-2", "amount": 80, "reference": "case 5512"}}),
        Step("approve", "PATCH", f"{collections}/invoices/records/inv-1", {"data": {"status": "approved"}}),
        Step("close", "PATCH", f"{collections}/invoices/records/inv-2", {"data": {"status": "closed"}}),
    )
