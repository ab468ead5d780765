"""Plays about uncertainty: of the agent about what it read, or of the gateway about an outcome."""

from __future__ import annotations

from killcord_demo.incidents.faults import loses_answers, merged
from killcord_demo.incidents.play import Edit, Play, agent, reads, sets

_UNSURE = {"Killcord-Confidence": "0.3"}
_MONTH_END = {"Killcord-Parent-Step": "month-end"}

PLAYS = (
    Play(
        trigger="uncertain.low-confidence",
        title="an agent reports that it is not sure, and continues",
        acts=(agent(*(sets(f"inv-100{n}", "disputed", _UNSURE) for n in (1, 2, 3))),),
        action="read_only",
    ),
    Play(
        trigger="uncertain.schema-drift",
        title="an amount that was a number is a text since today",
        acts=(
            agent(reads("invoices/inv-1002")),
            Edit("imports inv-1002 again, in the ERP itself: the amount is '480,00 EUR' now", "inv-1002", {"amount": "480,00 EUR"}),
            agent(reads("invoices/inv-1002")),
        ),
        action="read_only",
    ),
    Play(
        trigger="uncertain.partial-failure",
        title="a step is half done: its second invoice is not there",
        acts=(agent(sets("inv-1001", "closed", _MONTH_END), sets("inv-1999", "closed", _MONTH_END)),),
        action="read_only",
    ),
    Play(
        trigger="uncertain.outcome-unknown",
        title="the connection breaks under every write",
        fault=loses_answers,
        acts=(agent(*(sets(f"inv-100{n}", "approved") for n in (1, 2, 3))),),
        action="read_only",
    ),
    Play(
        trigger="uncertain.identity",
        title="two invoices were merged, and the one's number gives the other",
        fault=merged,
        acts=(agent(sets("inv-1001", "written off")),),
        action="quarantine",
        rollback=True,
    ),
)
