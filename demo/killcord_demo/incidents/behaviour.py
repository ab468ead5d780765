"""Plays in which each call is allowed, and all of them together are not work."""

from __future__ import annotations

from killcord_demo.incidents.play import Call, Play, agent, reads, sets

_MISSING = Call("sets inv-20{n} to 'approved', which is not there", "PATCH", "invoices/inv-20{n}", {"status": "approved"})
_NOTE = Call("writes note {n} on inv-1002", "PATCH", "invoices/inv-1002", {"note": "reminder {n}"})

PLAYS = (
    Play(
        trigger="anomaly.loop",
        title="an agent has two rules that contradict each other",
        acts=(agent(sets("inv-1001", "on hold"), sets("inv-1001", "approved"), times=9), agent(sets("inv-1001", "on hold"))),
        action="read_only",
    ),
    Play(
        trigger="anomaly.retry-spike",
        title="an agent makes up invoice numbers until one fits",
        acts=(agent(_MISSING, times=5),),
        action="pause",
    ),
    Play(
        trigger="anomaly.step-count",
        title="an agent reads on and on, and its task is not getting done",
        limits={"steps": 60},
        acts=(agent(reads("invoices/inv-1001"), times=50),),
        action="read_only",
    ),
    Play(
        trigger="anomaly.mutation-volume",
        title="an agent uses up half of the writes that its whole task may make, within seconds",
        limits={"writes": 40},
        acts=(agent(_NOTE, times=20),),
        action="read_only",
    ),
)
