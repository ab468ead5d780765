"""Runs, leases and limits, and the containment orders that bear on runs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from msgspec import Struct, field


class Mode(IntEnum):
    """How much a run may still do, from all to nothing; a higher value is stricter."""

    ACTIVE = 0
    READ_ONLY = 1
    PAUSED = 2
    QUARANTINED = 3
    REVOKED = 4

    @property
    def label(self) -> str:
        """The mode as users write it: ``read_only``."""
        return self.name.lower()

    @classmethod
    def of(cls, label: str) -> Mode:
        """The mode of this label.

        Raises:
            KeyError: there is no such mode.
        """
        return _MODES[label]


_MODES = {mode.label: mode for mode in Mode}


class Rate(Struct, frozen=True, gc=False):
    """``count`` calls per ``seconds``; the burst is one second's worth, at least one call."""

    count: int
    seconds: float = 1.0

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    def __str__(self) -> str:
        unit = {1.0: "s", 60.0: "m", 3600.0: "h"}.get(self.seconds, f"{self.seconds:g}s")
        return f"{self.count}/{unit}"


class RaisedLimit(Struct, frozen=True, gc=False):
    """A limit that an admin raised as a run was resumed; amounts in units, as the API writes them."""

    name: str
    was: str
    now: str


class SpentLimit(Struct, frozen=True, gc=False):
    """A limit that is used up; of an amount both numbers are in millionths."""

    scope: str
    name: str
    limit: int
    used: int


class Limits(Struct, frozen=True, kw_only=True, gc=False):
    """Ceilings of a run, a workflow, a class or a tenant. ``None`` is no limit.

    ``amount`` maps a name to millionths of its unit, so that sums are exact and the journal holds no floats.
    """

    rate: Rate | None = None
    steps: int | None = None
    writes: int | None = None
    records: int | None = None
    tenants: int | None = None
    systems: int | None = None
    amount: Mapping[str, int] = field(default_factory=dict)


class Run(Struct, frozen=True, kw_only=True, gc=False):
    """One execution of an agent's task. Times are Unix seconds.

    ``revoked`` is the highest lease generation that is permanently invalid; a lease of generation g lives only while
    ``revoked < g <= generation``. ``ancestors`` runs from the parent to the root. ``inherited`` names the orders that contained the
    parent when the run was opened and do not match the run: they contain it as long as they are in force.
    ``opened_under`` is the epoch of the orders then: clocks can be set back, epochs only grow.

    A resume sets the last three. ``superseded`` is the epoch up to which orders on the run itself have ended for it; the effects of
    steps up to the entry ``resumed_from`` answer their keys permanently; ``require_approval`` are patterns, like scopes, of writes that
    need a person's approval.
    """

    run_id: str
    workflow_id: str
    tenant: str
    agent_id: str
    task_class: str
    parent_run: str | None = None
    ancestors: tuple[str, ...] = ()
    inherited: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None
    mode: Mode = Mode.ACTIVE
    generation: int = 1
    revoked: int = 0
    limits: Limits = field(default_factory=Limits)
    opened_at: float = 0.0
    opened_under: int = 0
    expires_at: float = 0.0
    closed_at: float | None = None
    superseded: int = 0
    resumed_from: int = 0
    require_approval: tuple[str, ...] = ()


class OpenRun(Struct, frozen=True, gc=False):
    """A run that is neither closed nor expired, by what the scope of an order can name. ``expires_at`` is in microseconds, as it is
    stored. ``run`` is the whole, if it was asked for.
    """

    expires_at: int
    run_id: str
    tenant: str
    agent_id: str
    task_class: str
    run: Run | None = None


class Lease(Struct, frozen=True, kw_only=True, gc=False):
    """What a signed lease claims. Times are Unix seconds."""

    run_id: str
    tenant: str
    generation: int
    not_before: float
    expires_at: float


class TaskClass(Struct, frozen=True, kw_only=True):
    """A ceiling declared before production: a run opens under one and can only be narrower."""

    name: str
    tenants: tuple[str, ...] = ("*",)
    scopes: tuple[str, ...] = ("*",)
    ttl: float = 28_800.0
    limits: Limits = field(default_factory=Limits)
    total: Limits | None = None


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
