"""Approvals, as the line and the control API use them."""

from __future__ import annotations

from typing import Protocol

from gateway.model.entry import Sealed
from gateway.model.review import Approval


class Approvals(Protocol):
    """What the line needs. Each change is durable on return; all raise JournalUnavailable if it is not."""

    async def of_call(self, run_id: str, generation: int, action: str, content: str) -> Approval | None:
        """The approval that is in effect for a call (pending, granted or denied); ``None`` if a person has to be asked (again)."""

    async def request(self, draft: Approval, request: Sealed) -> Approval:
        """Ask a person, unless one was asked and it still counts: the approval that counts.

        Of the ``draft``, id, number and times are set here; ``request`` is what would be sent.
        """

    async def use(self, approval: Approval) -> bool:
        """Spend a grant on a call that makes no intent; ``False`` if it is spent already."""

    async def give_back(self, approval: Approval) -> None:
        """A call that used a grant without an intent got nothing for it: the grant is valid again until it expires."""

    async def void(self, approval: Approval, why: str) -> None:
        """The approved state has changed: the next such call makes a new request."""
