"""What leaves a run its rights: a lease that speaks for it, and the containment orders that hold it. Pure; orders and time are arguments.

Scope patterns are ``<tool>:<action>`` with ``*`` for any characters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gateway import errors
from gateway.model.run import Lease, Mode, OpenRun, Order, Run, Scope


@dataclass(frozen=True, slots=True)
class Restriction:
    """What the orders leave of a run, for one tool. ``until`` is when a time-limited order could change it (Unix seconds).

    ``order_id`` names the strictest order, ``None`` if only the run's own mode holds it.
    """

    mode: Mode
    no_fanout: bool
    order_id: str | None
    until: float


def covers(scope: Scope, run: Run) -> bool:
    """Whether a scope matches a run, whatever the tool."""
    if scope.everything:
        return True
    if scope.run is not None and scope.run != run.run_id and not (scope.subtree and scope.run in run.ancestors):
        return False
    return covers_owner(scope, run)


def covers_owner(scope: Scope, run: Run | OpenRun) -> bool:
    """Whether a scope matches whom a run belongs to: its agent, tenant and class."""
    return (
        (scope.agent is None or scope.agent == run.agent_id)
        and (scope.tenant is None or scope.tenant == run.tenant)
        and (scope.task_class is None or scope.task_class == run.task_class)
    )


def matches(order: Order, run: Run) -> bool:
    """Whether an order is about a run: its scope covers it, or the run was opened while the order held its parent."""
    return covers(order.scope, run) or order.order_id in run.inherited


def standing(order: Order, run: Run, *, now: float) -> bool:
    """Whether an order still counts for a run.

    A released quarantine keeps the runs it held (only resume or close ends it for them), and a lease that was cut stays cut:
    released, such orders stop matching runs opened later. What a resume of the run has superseded counts for it no more.
    """
    if superseded(order, run):
        return False
    if order.released_at is not None:
        return order.mode >= Mode.QUARANTINED and run.opened_under < order.epoch
    return order.expires_at is None or now < order.expires_at


def superseded(order: Order, run: Run) -> bool:
    """Whether a resume of the run ended the order's effect on it.

    It also ends orders on the run itself that were made before it, and the effect of those released before it. It does not end an order
    that takes a tool from the run, nor a wider order in force.
    """
    if order.scope.tool is None and order.scope.run == run.run_id and order.since <= run.superseded:
        return True
    let_go = order.released_at is not None and order.epoch <= run.superseded
    return let_go and (order.scope.tool is None or order.mode < Mode.REVOKED)


def condition(order: Order, named: Run | None, *, now: float) -> str:
    """An order's state: ``standing``, ``expired``, ``released``, or ``superseded`` if the run it names was resumed.

    ``named`` is the run that its scope names. What was released, or superseded, can still hold what it held: see ``standing``.
    """
    if order.released_at is not None:
        return "released"
    if order.expires_at is not None and order.expires_at <= now:
        return "expired"
    return "superseded" if named is not None and not order.scope.subtree and superseded(order, named) else "standing"


def hold(orders: Iterable[Order], run: Run, tool: str | None, *, now: float) -> Restriction:
    """The strictest mode of all orders that stand and match. ``tool`` ``None`` asks about the run as a whole."""
    mode, no_fanout, order_id, until = run.mode, False, None, math.inf
    for order in orders:
        if not (matches(order, run) and standing(order, run, now=now)):
            continue
        if order.scope.tool is not None and order.scope.tool != tool:
            continue
        no_fanout = no_fanout or order.no_fanout
        if order.mode > mode:
            mode, order_id = order.mode, order.order_id
        if order.expires_at is not None:
            until = min(until, order.expires_at)
    return Restriction(mode, no_fanout, order_id, until)


def spares_recovery(order: Order, run: Run, *, since: int) -> bool:
    """Whether an order stands aside for a rollback of the run: one that held the run when the rollback began, or the run's own."""
    own = order.scope.run is not None and order.scope.tool is None
    return order.since <= since or own


def authenticate(lease: Lease, run: Run | None, *, now: float) -> Run:
    """The run that a lease authenticates at ``now`` (Unix seconds).

    Raises:
        LeaseInvalid: no such run, another tenant's, a generation that was never given, or not valid yet.
        LeaseRevoked: this generation was cut, or the run was closed.
        LeaseExpired: it expired, or a newer generation replaced it.
    """
    if run is None:
        raise errors.LeaseInvalid("The lease names an unknown run.")
    if lease.tenant != run.tenant or lease.generation > run.generation:
        raise errors.LeaseInvalid("The lease does not match its run.")
    if lease.not_before > now:
        raise errors.LeaseInvalid("The lease is not valid yet.", hint="Check the clocks of the orchestrator and of this machine.")
    if lease.generation <= run.revoked:
        raise errors.LeaseRevoked
    if run.closed_at is not None:
        raise errors.LeaseRevoked("The run was closed.", hint="Open a new run for new work.")
    if lease.generation < run.generation:
        raise errors.LeaseExpired("A newer generation of the run's lease replaced this one.")
    if lease.expires_at <= now:
        raise errors.LeaseExpired
    return run


def ended(run: Run, generation: int) -> bool:
    """Whether the leases of one generation of a run are dead: the run was closed, or has a newer generation."""
    return run.closed_at is not None or run.generation > generation


def within(pattern: str, ceiling: str) -> bool:
    """Whether everything that ``pattern`` matches is matched by ``ceiling`` too.

    The pattern is read as a text in which ``*`` is a letter of its own that only a ``*`` of the ceiling can cover:
    it may say no wrongly, but never yes.
    """
    pieces = ceiling.split("*")
    if len(pieces) == 1:
        return pattern == ceiling
    if not pattern.startswith(pieces[0]):
        return False
    position = len(pieces[0])
    for piece in pieces[1:-1]:
        found = pattern.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return pattern.endswith(pieces[-1]) and len(pattern) - len(pieces[-1]) >= position


def beyond(asked: Iterable[str], ceilings: Iterable[str]) -> list[str]:
    """The asked patterns that no single ceiling covers."""
    allowed = tuple(ceilings)
    return [pattern for pattern in asked if not any(within(pattern, ceiling) for ceiling in allowed)]


def reach(patterns: Iterable[str], tool: str) -> bool:
    """Whether any pattern matches some action of a tool."""
    ours = f"{tool}:"
    return any(_begins(pattern, ours) for pattern in patterns)


def _begins(pattern: str, ours: str) -> bool:
    literal, star, _ = pattern.partition("*")
    # A star may stand for the rest of the tool's name and more: what comes after it is matched by the action.
    return literal.startswith(ours) or (bool(star) and ours.startswith(literal))
