"""Which compensations a rollback needs, and in which order they may run. Pure.

Only effects that stand are undone; what depends on others goes first; what somebody else changed is never overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.core.catalog import Undo
from gateway.model.effect import Write
from gateway.model.entry import Position
from gateway.model.incident import RollbackState
from gateway.model.plan import Node, NodeState, Plan, Step


def plan(
    effects: Iterable[Write],
    undos: Mapping[tuple[str, str], Undo],
    *,
    parents: Mapping[Step, Step],
    now: float,
    since: Position | None = None,
) -> Plan:
    """The plan that undoes a scope's own effects (compensations among them are left out).

    ``undos`` are the catalogs' by tool and action. ``parents`` leads from steps without effects (reads) to the steps that they named
    as their parents; those of effects are known from them. With ``since`` only what was intended after it counts: by number in its own
    stream; in another stream, what was made at the time of the newest of ``effects`` up to it, or later.
    """
    raise NotImplementedError


def ready(plan: Plan, states: Mapping[str, NodeState]) -> tuple[Node, ...]:
    """The pending nodes that may run now, in the plan's order; a node without a state is pending."""
    raise NotImplementedError


def finished(plan: Plan, states: Mapping[str, NodeState]) -> RollbackState:
    """``RUNNING`` while a node runs or may run; ``STOPPED`` where one was stopped; ``NEEDS_OPERATOR`` where an approval or an
    unknown outcome is waited for; ``CLEAN`` where all is done or not needed; else ``RESIDUE``.
    """
    raise NotImplementedError
