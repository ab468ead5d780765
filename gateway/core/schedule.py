"""Which node may run next, kept while a plan is carried out: each step costs what follows on it, not the whole plan. Pure."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.plan import Node, NodeState, Plan


@dataclass(slots=True)
class Schedule:
    """``states`` are the nodes'; one without a state is pending. :meth:`ready` gives each node once, and again after :meth:`later`."""

    plan: Plan
    states: dict[str, NodeState]
    _nodes: dict[str, Node] = field(default_factory=dict)
    _waits: dict[str, int] = field(default_factory=dict)
    _followers: dict[str, list[str]] = field(default_factory=dict)
    _ready: deque[Node] = field(default_factory=deque)
    _later: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._nodes = {node.node_id: node for node in self.plan.nodes}
        before: Mapping[str, tuple[str, ...]] = {**{node.node_id: node.after for node in self.plan.nodes}, **self.plan.joins}
        self._waits = {name: len(after) for name, after in before.items()}
        for name, after in before.items():
            for one in after:
                self._followers.setdefault(one, []).append(name)
        for node in self.plan.nodes:
            if self._waits[node.node_id] == 0 and self._state(node.node_id) is NodeState.PENDING:
                self._ready.append(node)
        # What has passed counts, whatever it would have to wait for by now: a new plan may have found more to come before it.
        passed = [node.node_id for node in self.plan.nodes if self._state(node.node_id).passed]
        self._pass([*passed, *(join for join in self.plan.joins if self._waits[join] == 0)])

    def ready(self, now: float | None = None) -> Node | None:
        """The next pending node of which all that it comes after has passed; it counts as running from now on.

        Where there is none, with ``now`` the one that was put off for the longest and is due.
        """
        if self._ready:
            node = self._ready.popleft()
        elif now is not None and self._later and self._later[0][0] <= now:
            node = self._nodes[heapq.heappop(self._later)[1]]
        else:
            return None
        self.states[node.node_id] = NodeState.RUNNING
        return node

    def later(self, node_id: str, state: NodeState, due: float) -> None:
        """A running node came to nothing yet: it is put off until ``due``, in this state, and what comes after it waits."""
        self.states[node_id] = state
        heapq.heappush(self._later, (due, node_id))

    def due(self) -> float | None:
        """When the next node that was put off is due; ``None`` where none is."""
        return self._later[0][0] if self._later else None

    def settle(self, node_id: str, state: NodeState) -> None:
        """A running node came to this state."""
        self.states[node_id] = state
        if state.passed:
            self._pass([node_id])

    def _pass(self, names: list[str]) -> None:
        """What waited for these may run, or has passed already; joins pass with the last that they gather."""
        while names:
            for follower in self._followers.get(names.pop(), ()):
                self._waits[follower] -= 1
                if self._waits[follower]:
                    continue
                if follower in self.plan.joins:
                    names.append(follower)
                elif self._state(follower) is NodeState.PENDING:
                    self._ready.append(self._nodes[follower])

    def _state(self, name: str) -> NodeState:
        return self.states.get(name, NodeState.PENDING)
