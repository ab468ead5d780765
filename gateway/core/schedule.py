"""Which node may run next, kept while a plan is carried out: each step costs what follows on it, not the whole plan. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.plan import Node, NodeState, Plan


@dataclass(slots=True)
class Schedule:
    """``states`` are the nodes'; one without a state is pending. :meth:`ready` gives each node once."""

    plan: Plan
    states: dict[str, NodeState]
    _nodes: dict[str, Node] = field(default_factory=dict)
    _waits: dict[str, int] = field(default_factory=dict)
    _followers: dict[str, list[str]] = field(default_factory=dict)
    _ready: deque[Node] = field(default_factory=deque)

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

    def ready(self) -> Node | None:
        """The next pending node of which all that it comes after has passed; it counts as running from now on."""
        if not self._ready:
            return None
        node = self._ready.popleft()
        self.states[node.node_id] = NodeState.RUNNING
        return node

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
