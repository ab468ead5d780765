"""Plays in which somebody looks, and finds that it is not so."""

from __future__ import annotations

from killcord_demo.incidents.faults import does_nothing
from killcord_demo.incidents.play import Play, VerifierReport, agent, sets

PLAYS = (
    Play(
        trigger="verify.postcondition-failed",
        title="the ERP says that it changed an invoice, and did not",
        fault=does_nothing,
        acts=(agent(sets("inv-1001", "approved")),),
        action="quarantine",
        rollback=True,
    ),
    Play(
        trigger="verify.finding",
        title="a verifier proves that the books do not balance any more",
        acts=(
            agent(sets("inv-1001", "paid"), sets("inv-1002", "paid")),
            VerifierReport(
                "reports: 600 were booked as paid, and no payment came in", "ledger.imbalance", "critical", {"booked": 600, "received": 0}
            ),
        ),
        action="quarantine",
        rollback=True,
    ),
)
