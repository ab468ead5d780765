"""Plays in which policy refuses."""

from __future__ import annotations

from killcord_demo.erp import NEIGHBOUR
from killcord_demo.incidents.play import Call, Play, agent, reads, sets

_REFUND = Call("refunds 80 on inv-1002", "POST", "refunds", {"invoice": "inv-1002", "amount": 80, "reference": "case 5512"})
_NOT_OURS = Call(f"sets an invoice of {NEIGHBOUR} to 'paid'", "PATCH", "invoices/inv-1001", {"status": "paid"}, tenant=NEIGHBOUR)

PLAYS = (
    Play(
        trigger="policy.tenant-boundary",
        title="an agent is talked into writing to another tenant's invoice",
        acts=(agent(sets("inv-1001", "approved"), _NOT_OURS),),
        action="revoke",
        rollback=True,
    ),
    Play(
        trigger="policy.out-of-scope",
        title="an agent that was let at invoices makes a refund",
        scopes=("erp:invoice.*",),
        acts=(agent(sets("inv-1001", "approved"), _REFUND),),
        action="read_only",
    ),
    Play(
        trigger="policy.denied",
        title="an agent asks again and again for what it may not see",
        scopes=("erp:invoice.*",),
        acts=(agent(reads("refunds"), times=5),),
        action="pause",
    ),
)
