"""A start on a journal that signed heads do not match, because an operator accepts it: every lease dies, and the journal says why."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass

from gateway.app.gateway import Gateway
from gateway.core import timestamps
from gateway.model.entry import StoreEntry


@dataclass(frozen=True, slots=True)
class Acceptance:
    """``reason`` is why the operator accepts an older journal; ``by`` is the user of the operating system."""

    reason: str
    by: str


def by_operator(reason: str) -> Acceptance:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return Acceptance(reason, f"killcord serve, user {name}")


async def accept(gateway: Gateway, acceptance: Acceptance) -> str:
    """Revoke every lease and journal the acceptance, under a head that is signed at once; returns what an operator should know.

    The lease keys of before were retired when the resources were opened, so leases of runs that this journal does not know are dead too.
    The order comes before the entry: where this ends in between, the next start asks again.

    Raises:
        JournalUnavailable: the journal cannot be written.
    """
    resources, containment = gateway.resources, gateway.control.containment
    found = resources.store.mismatches.own
    if not found:
        return "--accept-older-journal: the journal fits every signed head, so nothing was accepted and nothing was revoked"
    end = resources.store.journal.tip.seq
    reason = f"an older journal was accepted: {acceptance.reason}"
    await containment.revoke_all(reason=reason, by=acceptance.by)
    await gateway.control.journal.append(
        StoreEntry(
            ts=timestamps.rfc3339(resources.clock.now()),
            change="accepted",
            end=end,
            by=acceptance.by,
            reason=acceptance.reason,
            heads=len(found),
            first=min(head.seq for head in found),
            until=max(head.ts for head in found),
        )
    )
    await resources.heads.tick()
    return (
        f"accepted a journal that ends at {end}, which {len(found)} signed head(s) do not match, the lowest at seq {found[0].seq}. "
        "Every lease is revoked. Idempotency keys and budgets are those of the older journal, so an effect made since can be made "
        "twice: compare the tools with the journal before agents repeat their work (docs/recovery.md)"
    )
