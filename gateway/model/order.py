"""Containment orders: a scope, a mode, a reason."""

from __future__ import annotations

from msgspec import Struct

from gateway.model.run import Mode


class Scope(Struct, frozen=True, kw_only=True, gc=False):
    """A conjunction: all that is given must match. ``everything`` stands alone."""

    run: str | None = None
    subtree: bool = False
    agent: str | None = None
    tenant: str | None = None
    task_class: str | None = None
    tool: str | None = None
    everything: bool = False


class Order(Struct, frozen=True, kw_only=True, gc=False):
    """One order. Times are Unix seconds; ``epoch`` grows with every change of the set of orders.

    A released order has the epoch of its release, and in ``made`` the one at which it was made.
    """

    order_id: str
    epoch: int
    scope: Scope
    mode: Mode
    reason: str
    by: str
    no_fanout: bool = False
    created_at: float = 0.0
    expires_at: float | None = None
    released_at: float | None = None
    released_by: str | None = None
    made: int | None = None

    @property
    def since(self) -> int:
        """The epoch at which it was made."""
        return self.epoch if self.made is None else self.made
