"""How far a rollback has come, from what the journal holds of it: which node may run next, and what waits for how long. Pure."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

from msgspec.structs import replace

from gateway.core import timestamps
from gateway.core.adapter import versions
from gateway.core.backoff import Backoff
from gateway.model.effect import State, Write
from gateway.model.entries import RollbackEntry
from gateway.model.entry import Verification
from gateway.model.rollback import Node, NodeAction, NodeOutcome, NodeState, Plan, RollbackStatus, States


@dataclass(slots=True)
class Schedule:
    """``states`` are the nodes'; one without a state is pending. :meth:`ready` gives each node once, and again after :meth:`postpone`."""

    plan: Plan
    states: dict[str, NodeState]
    _nodes: dict[str, Node] = field(default_factory=dict)
    _sorter: TopologicalSorter[str] = field(default_factory=TopologicalSorter)
    _ready: deque[Node] = field(default_factory=deque)
    _later: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._nodes = {node.node_id: node for node in self.plan.nodes}
        # What has passed counts, whatever it would have to wait for by now: a new plan may have found more to come before it.
        passed = {name for name in self._nodes if self._state(name).passed}
        for name, after in (*((name, node.after) for name, node in self._nodes.items()), *self.plan.joins.items()):
            if name not in passed:
                self._sorter.add(name, *(one for one in after if one not in passed))
        self._sorter.prepare()
        self._release()

    @property
    def status(self) -> RollbackStatus:
        """``RUNNING`` while a node runs or may run; ``STOPPED`` if one was stopped; ``NEEDS_OPERATOR`` if it waits for an approval or
        an unknown outcome; ``CLEAN`` where all is done or not needed; else ``RESIDUE``.
        """
        found = {self._state(name) for name in self._nodes}
        if NodeState.STOPPED in found and NodeState.RUNNING not in found:
            return RollbackStatus.STOPPED
        if NodeState.RUNNING in found or self._ready:
            return RollbackStatus.RUNNING
        if found & {NodeState.WAITING, NodeState.UNKNOWN}:
            return RollbackStatus.NEEDS_OPERATOR
        return RollbackStatus.CLEAN if found <= {NodeState.DONE, NodeState.NOTHING} else RollbackStatus.RESIDUE

    def ready(self, now: float | None = None) -> Node | None:
        """The next pending node of which all that it comes after has passed; it counts as running from now on.

        If there is none, with ``now``: the node that was postponed for the longest and is due.
        """
        if self._ready:
            node = self._ready.popleft()
        elif now is not None and self._later and self._later[0][0] <= now:
            node = self._nodes[heapq.heappop(self._later)[1]]
        else:
            return None
        self.states[node.node_id] = NodeState.RUNNING
        return node

    def postpone(self, node_id: str, state: NodeState, due: float) -> None:
        """Postpone a running node until ``due``, in this state; what comes after it waits."""
        self.states[node_id] = state
        heapq.heappush(self._later, (due, node_id))

    def due(self) -> float | None:
        """When the next postponed node is due; ``None`` if there is none."""
        return self._later[0][0] if self._later else None

    def settle(self, node_id: str, state: NodeState) -> None:
        """Record the state that a running node came to."""
        self.states[node_id] = state
        if state.passed:
            self._sorter.done(node_id)
            self._release()

    def _release(self) -> None:
        """Nodes of which all that they come after has passed are ready; a join passes with the last that it gathers."""
        while names := self._sorter.get_ready():
            for name in names:
                if name in self.plan.joins:
                    self._sorter.done(name)
                elif self._state(name) is NodeState.PENDING:
                    self._ready.append(self._nodes[name])

    def _state(self, name: str) -> NodeState:
        return self.states.get(name, NodeState.PENDING)


Marks = Mapping[str, RollbackEntry]
"""The newest ``rollback`` entry of each node that has one."""

_GONE: Mapping[str, Any] = {"way": NodeAction.NOTHING, "why": "Another rollback undid it."}
_KEPT = frozenset({NodeState.TASK, NodeState.FAILED, NodeState.NOTHING})
_SHOWN = frozenset({NodeState.WAITING, NodeState.UNKNOWN, NodeState.STOPPED})


def node_states(plan: Plan, compensations: Iterable[Write], marks: Marks, *, continuing: bool) -> dict[str, NodeState]:
    """The state of each node that has one. ``continuing``: for an executor that continues the rollback and tries again what waits.

    An applied and verified compensation is ``DONE``, even if the node's last entry says otherwise. The executor that continues checks
    one that was not verified again: it sends nothing, and opens a task unless there is one already.
    """
    newest = {write.step_id: write for write in compensations}
    found: dict[str, NodeState] = {}
    for node in plan.nodes:
        tried, marked = _tried(newest.get(node.node_id)), _marked(marks.get(node.node_id), continuing=continuing)
        state = marked if continuing and tried is NodeState.FAILED else tried or marked
        if state is not None:
            found[node.node_id] = state
    return found


def _tried(write: Write | None) -> NodeState | None:
    if write is None or write.state is not State.STANDING:
        return None
    return NodeState.FAILED if write.verification is Verification.FAILED else NodeState.DONE


def _marked(mark: RollbackEntry | None, *, continuing: bool) -> NodeState | None:
    if mark is None or mark.state is None:
        return None
    state = NodeState(mark.state)
    return state if state in _KEPT or (state in _SHOWN and not continuing) else None


def wait_starts(marks: Marks) -> dict[str, float]:
    """When each waiting node began to wait (Unix seconds): a process that continues it has only the remaining time."""
    return {name: timestamps.instant(mark.since) for name, mark in marks.items() if mark.since is not None}


def guard(node: Node, on_object: Sequence[Write], followed: Sequence[Write], state: NodeState | None) -> str | None:
    """The version at which a node's object has to be: as our last effect left it, or a compensation of this rollback since then.

    ``on_object`` are the rollback's compensations of the object, oldest first; ``followed`` those of the node it follows, whose state
    is ``state``. ``None`` if the node is bound to no version.

    Raises:
        KeyError: what it follows was not undone, so that the version is unknown.
    """
    version = node.guard
    if node.guard_follows is not None:
        left = [one.after_version for one in followed if one.state is State.STANDING]
        if state is NodeState.DONE and left and left[-1] is not None:
            version = left[-1]
        elif state is not NodeState.NOTHING:
            raise KeyError(node.guard_follows)
    for one in on_object:
        if version is not None and one.state is State.STANDING and versions.same(version, one.before_version):
            version = one.after_version or version
    return version


def undone_elsewhere(effects: Iterable[Write], own: Iterable[Write]) -> frozenset[str]:
    """The wire keys of effects that are undone, and not by this rollback, whose compensations are ``own``."""
    ours = {key for one in own if one.state is State.STANDING for key in one.compensates}
    return frozenset(one.wire_key for one in effects if one.state is State.COMPENSATED and one.wire_key not in ours)


def merge_plans(old: Plan, new: Plan, gone: frozenset[str] = frozenset()) -> Plan:
    """A plan to continue with: the old one, unless it holds a probe, or another rollback undid part of it
    (``gone``, wire keys); then the new one, beside what the old one did.

    If the new plan covers an effect, its old node is dropped; otherwise the effect would be undone twice.
    """
    lost = {node.node_id for node in old.nodes if not gone.isdisjoint(node.effects)}
    if not lost and not any(node.way is NodeAction.PROBE for node in old.nodes):
        return old
    planned = {wire_key for node in new.nodes for wire_key in node.effects}
    kept = tuple(
        replace(node, after=(), **(_GONE if node.node_id in lost else {}))
        for node in old.nodes
        if planned.isdisjoint(node.effects) and node.way is not NodeAction.PROBE
    )
    return Plan(kept + new.nodes, new.joins, old.irreversible or new.irreversible)


def residue(plan: Plan, states: States, marks: Marks) -> list[str]:
    """What was not undone, a sentence each."""
    return [
        f"{node.action} on {node.target.short}: {_why(node, states, marks)}"
        for node in plan.nodes
        if states.get(node.node_id, NodeState.PENDING) not in (NodeState.DONE, NodeState.NOTHING)
    ]


def current_mark(node: Node, states: States, marks: Marks) -> RollbackEntry | None:
    """The mark that explains the present state of a node; none if its state changed since its newest mark."""
    mark = marks.get(node.node_id)
    return mark if mark is not None and mark.state == states.get(node.node_id, NodeState.PENDING).value else None


def _why(node: Node, states: States, marks: Marks) -> str:
    mark = current_mark(node, states, marks)
    return (mark and mark.why) or node.why


GIVEN_UP = "fix it, then run `killcord rollbacks continue`, and it is tried again"
"""What a person has to do about a node once patience with it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A node that waits for a transient condition.

    ``since`` is when it began to wait, ``entered`` when it began to wait in this ``state``, both in Unix seconds; ``due`` is when it is
    tried next, on the monotonic clock. ``tries`` counts those in this state, ``refused`` how often its call was refused for certain.
    ``why`` is a sentence.
    """

    state: NodeState
    why: str
    since: float
    entered: float
    due: float
    tries: int
    refused: int = 0


def next_wait(known: Wait | None, outcome: NodeOutcome, since: float | None, *, now: float, monotonic: float, backoff: Backoff) -> Wait:
    """The wait after one more try without result; a change of state begins with the first pause again.

    ``since`` is when the wait began, if an earlier process began it. A tool may ask for the pause (``outcome.pause``).
    """
    refused = outcome.state is NodeState.FAILED
    state = NodeState.WAITING if refused else outcome.state
    same = known is not None and known.state is state
    tries = known.tries + 1 if known is not None and same else 1
    return Wait(
        state=state,
        why=outcome.why,
        since=known.since if known is not None else now if since is None else min(since, now),
        entered=known.entered if known is not None and same else now,
        due=monotonic + backoff.pause(tries, asked=outcome.pause),
        tries=tries,
        refused=(known.refused if known is not None else 0) + refused,
    )
