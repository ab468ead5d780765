"""A rollback as it is told: how it stands, node by node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.waiting import Wait
from gateway.model.plan import NodeState, Plan
from gateway.model.rollback import Rollback


@dataclass(frozen=True, slots=True)
class Told:
    """A rollback with its plan, node by node. ``marks`` are the newest entries of the nodes that have one; where it runs, ``waits`` says
    for what nodes wait and until when (on the monotonic clock), and ``unseen`` what cannot be looked at in the end.
    """

    rollback: Rollback
    plan: Plan
    states: Mapping[str, NodeState]
    marks: Mapping[str, Mapping[str, Any]]
    waits: Mapping[str, Wait] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
