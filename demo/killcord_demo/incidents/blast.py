"""Plays in which it is about how much an agent reaches."""

from __future__ import annotations

from killcord_demo.incidents.play import Call, Play, agent

_NOTE = Call("writes note {n} on inv-1002", "PATCH", "invoices/inv-1002", {"note": "reminder {n}"})
_NEW = Call(
    "makes invoice {n} out of one order", "POST", "invoices", {"customer": "Dubois", "amount": 15, "reference": "order 7, line {n}"}
)

PLAYS = (
    Play(
        trigger="blast.limit",
        title="an agent that may write three times writes a fourth time",
        limits={"writes": 3},
        acts=(agent(_NOTE, times=4),),
        action="read_only",
    ),
    Play(
        trigger="blast.rate",
        title="an agent touches half of all the records that its task may, within seconds",
        limits={"records": 40},
        acts=(agent(_NEW, times=20),),
        action="quarantine",
        rollback=True,
    ),
)
