"""Which compensations a rollback needs, and in which order they may run. Pure.

Only effects that stand are undone; what depends on others goes first; what somebody else changed is never overwritten.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise

from msgspec.structs import replace

from gateway.core.rollback import effects as reasons
from gateway.core.rollback import plan_objects
from gateway.core.rollback.plan_objects import Draft, Undos
from gateway.model.effect import State, Write
from gateway.model.entry import Position
from gateway.model.rollback import NodeAction, Plan, Step

_NAMED = 3
"""Nodes that a sentence names before it only counts the rest."""


def plan(effects: Iterable[Write], undos: Undos, *, parents: Mapping[Step, Step], now: float, since: Position | None = None) -> Plan:
    """The plan that undoes a scope's own effects.

    Compensations among them are not undone, they only tell which version they left, and (by their step, which is the node's id) which
    effects are not to be compensated again: so a plan made in the middle of a rollback, or after one that was stopped, continues from
    there. Once a probe is decided, a new plan is due.

    ``undos`` are the catalogs' by tool and action. ``parents`` leads from steps without effects (reads) to the steps that they named
    as their parents; those of effects are known from them. With ``since`` only what was intended after it counts: by number in its own
    stream; in another stream, what was made after the newest of ``effects`` up to it.
    """
    given = list(effects)
    everything = sorted(given, key=_age(given))
    scope = _after(everything, since)
    carried = {write.step_id for write in scope if write.rollback_id is not None and write.state is State.STANDING}
    drafts: list[Draft] = []
    starts: list[int] = []
    for history in _by_object(scope):
        starts.append(len(drafts))
        drafts += plan_objects.draft_nodes(history, undos, carried, now)
    ages = {write.wire_key: age for age, write in enumerate(scope)}
    order = DependencyGraph([ages[draft.effects[-1].wire_key] for draft in drafts])
    _on_objects(order, drafts, starts)
    _on_compensations(order, drafts)
    order_causally(order, drafts, everything, parents)
    order_as_declared(order, drafts, undos)
    order.break_cycles()
    return _written(order, drafts)


def _age(effects: Sequence[Write]) -> Callable[[Write], tuple[float, str, int]]:
    """By number within one stream, whose clock may have been set back; by time across streams."""
    if len({write.intent.stream for write in effects}) <= 1:
        return lambda write: (0.0, "", write.intent.seq)
    return lambda write: (write.at, write.intent.stream, write.intent.seq)


def _after(effects: Sequence[Write], since: Position | None) -> Sequence[Write]:
    if since is None:
        return effects
    until = max((write.at for write in effects if write.intent.stream == since.stream and write.intent.seq <= since.seq), default=0.0)
    return [write for write in effects if (write.intent.seq > since.seq if write.intent.stream == since.stream else write.at > until)]


def _by_object(effects: Sequence[Write]) -> Iterable[list[Write]]:
    """What names no object is one for itself."""
    found: dict[str, list[Write]] = {}
    for write in effects:
        if write.state is not State.FAILED:
            found.setdefault(write.target.object if write.target.id else f"\0{write.wire_key}", []).append(write)
    return found.values()


def _on_objects(order: DependencyGraph, drafts: Sequence[Draft], starts: Sequence[int]) -> None:
    """On one object, unknown outcomes are probed first; then the newest effect is undone before the older."""
    for start, stop in pairwise([*starts, len(drafts)]):
        first = next((point for point in range(start, stop) if drafts[point].node.way is not NodeAction.PROBE), stop)
        if first < stop:
            order.wait_all([first], range(start, first))
        for point in range(first + 1, stop):
            order.wait(point, point - 1)


def _on_compensations(order: DependencyGraph, drafts: Sequence[Draft]) -> None:
    """A compensation of unknown outcome, which may be on another object, is probed before another one is sent."""
    points = {draft.node.node_id: point for point, draft in enumerate(drafts)}
    for point, draft in enumerate(drafts):
        compensation = draft.effects[0]
        if compensation.rollback_id is not None and (waiting := points.get(compensation.step_id)) is not None:
            order.wait(waiting, point)


def _written(order: DependencyGraph, drafts: Sequence[Draft]) -> Plan:
    ids = [draft.node.node_id for draft in drafts]
    names = [*ids, *(f"join:{number}" for number in range(len(order.before) - len(ids)))]
    nodes = []
    for point in order.sorted():
        node = drafts[point].node
        dropped = [ids[one] for one in order.dropped.get(point, ()) if one < len(ids)]
        if order.before[point] or dropped:
            why = node.why + (_dropped(dropped) if dropped else "")
            node = replace(node, after=tuple([names[one] for one in order.before[point]]), why=why)
        nodes.append(node)
    joins = {names[point]: tuple([names[one] for one in order.before[point]]) for point in range(len(ids), len(names))}
    irreversible = any(reasons.irreversible(write) for draft in drafts for write in draft.effects if write.rollback_id is None)
    return Plan(tuple(nodes), joins, irreversible)


def _dropped(others: Sequence[str]) -> str:
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return f" It should also follow {', '.join(others[:_NAMED])}{more}, which waits for it: the newer one is compensated first."


_PAIRS = 64
"""Many that wait for many do so through a join, past this number of pairs."""

_NONE = -1


class DependencyGraph:
    """A graph of points: the nodes by their number, then the joins. ``before[p]`` are the points that ``p`` comes after.

    ``age`` grows with the newest effect of a point. ``dropped[p]`` are those that ``p`` should come after as well, but they wait for it.
    """

    def __init__(self, age: list[int]) -> None:
        self.age, self.nodes = age, len(age)
        self.before: list[dict[int, None]] = [{} for _ in age]
        self.dropped: dict[int, list[int]] = {}

    def wait(self, point: int, other: int) -> None:
        """``point`` comes after ``other``."""
        if point != other:
            self.before[point][other] = None

    def wait_all(self, points: Sequence[int], others: Sequence[int]) -> None:
        """Each of the ``points`` comes after each of the ``others``."""
        if len(points) * len(others) > _PAIRS and len(points) > 1 and len(others) > 1:
            join = self._join(points)
            self.wait_all([join], others)
            others = [join]
        for point in points:
            for other in others:
                self.wait(point, other)

    def break_cycles(self) -> None:
        """Leave no cycle: within one, the newest goes first, and what would make it wait for an older one is dropped."""
        part = _parts(self.before)
        for point, others in enumerate(self.before):
            if against := [one for one in others if part[one] == part[point] and (self.age[one], one) < (self.age[point], point)]:
                self.dropped[point] = against
                for one in against:
                    del others[one]

    def sorted(self) -> list[int]:
        """The nodes, each after all it comes after, else the newest first."""
        sorter: TopologicalSorter[int] = TopologicalSorter({point: others.keys() for point, others in enumerate(self.before)})
        sorter.prepare()
        # The newest first: numbers that hold age and point are compared faster than pairs.
        size = len(self.before)
        free: list[int] = []
        found: list[int] = []
        while sorter.is_active():
            for point in sorter.get_ready():
                heapq.heappush(free, point - self.age[point] * size)
            found.append(heapq.heappop(free) % size)
            sorter.done(found[-1])
        return [point for point in found if point < self.nodes]

    def _join(self, points: Sequence[int]) -> int:
        self.before.append({})
        self.age.append(max(self.age[point] for point in points))
        return len(self.before) - 1


def order_causally(order: DependencyGraph, drafts: Sequence[Draft], effects: Sequence[Write], parents: Mapping[Step, Step]) -> None:
    """A step's effects are undone before those of the steps that it follows from; ``effects`` are all, also those without a node."""
    steps = _Steps(drafts, effects, parents)
    children: dict[int, list[int]] = {}
    for step, points in enumerate(steps.points):
        if points and (above := steps.above(step)) != _NONE:
            children.setdefault(above, []).extend(points)
    for step, found in children.items():
        order.wait_all(steps.undone(step), list(dict.fromkeys(found)))


def order_as_declared(order: DependencyGraph, drafts: Sequence[Draft], undos: Undos) -> None:
    """What an adapter says with ``after``: each compensation of the action runs only once all those of the actions named are finished."""
    of_action: dict[tuple[str, str], dict[int, None]] = {}
    for point, draft in enumerate(drafts):
        for write in draft.effects:
            of_action.setdefault((write.tool, write.action), {})[point] = None
    for (tool, action), points in of_action.items():
        undo = undos.get((tool, action))
        waiting = [point for point in points if drafts[point].node.way is not NodeAction.PROBE]
        names = [name for name in (undo.after if undo is not None else ()) if name != action]
        others = dict.fromkeys(point for name in names for point in of_action.get((tool, name), ()))
        order.wait_all(waiting, list(others))


class _Steps:
    """Where the effects of each step are undone, and which step that has any it follows from. Steps go by numbers here.

    A probe undoes nothing and waits for nothing: what follows from its step follows from the step above as well.
    """

    def __init__(self, drafts: Sequence[Draft], effects: Sequence[Write], parents: Mapping[Step, Step]) -> None:
        numbers: dict[Step, int] = {}
        for step in (*((write.run_id, write.step_id) for write in effects), *parents):
            numbers.setdefault(step, len(numbers))
        self.points: list[list[int]] = [[] for _ in numbers]
        for point, draft in enumerate(drafts):
            for write in draft.effects:
                self.points[numbers[write.run_id, write.step_id]].append(point)
        self._probing = [draft.node.way is NodeAction.PROBE for draft in drafts]
        self._undoing = [not all(self._probing[point] for point in points) for points in self.points]
        self._parent = _parents(numbers, effects, parents)
        self._above: dict[int, int] = {}

    def undone(self, step: int) -> list[int]:
        """Where its effects are undone, probes aside."""
        return [point for point in dict.fromkeys(self.points[step]) if not self._probing[point]]

    def above(self, step: int) -> int:
        """The nearest step with something to undo that it follows from. Agents name parents, so they may lead in a circle."""
        walked: dict[int, None] = {}
        at, found = step, _NONE
        while at != _NONE and found == _NONE and at not in walked:
            if at in self._above:
                found = self._above[at]
                break
            walked[at] = None
            at = self._parent[at]
            if at not in (_NONE, step) and self._undoing[at]:
                found = at
        # What lies on a circle through this step does follow from it, so nothing is known of the others.
        self._above.update(dict.fromkeys([step] if at == step else walked, found))
        return found


def _parents(numbers: Mapping[Step, int], effects: Iterable[Write], parents: Mapping[Step, Step]) -> list[int]:
    """The step that each step names as its parent: one of its own run, else of the only run of the scope that has a step of the name.

    So a child run may name a step of its parent run.
    """
    alone: dict[str, int] = {}
    for (_, name), number in numbers.items():
        alone[name] = _NONE if name in alone else number
    found = [_NONE] * len(numbers)
    for write in effects:
        if (named := write.parent_step) is not None:
            found[numbers[write.run_id, write.step_id]] = numbers.get((write.run_id, named), alone.get(named, _NONE))
    for step, parent in parents.items():
        found[numbers[step]] = numbers.get(parent, alone.get(parent[1], _NONE))
    return found


def _parts(before: Sequence[Mapping[int, None]]) -> list[int]:
    """The strongly connected part of each point (Tarjan, without recursion)."""
    count = 0
    index = [0] * len(before)
    low = [0] * len(before)
    part = [-1] * len(before)
    stack: list[int] = []
    for root in range(len(before)):
        if index[root]:
            continue
        work = [(root, iter(before[root]))]
        count += 1
        index[root] = low[root] = count
        stack.append(root)
        while work:
            point, others = work[-1]
            for other in others:
                if not index[other]:
                    count += 1
                    index[other] = low[other] = count
                    stack.append(other)
                    work.append((other, iter(before[other])))
                    break
                if part[other] < 0:
                    low[point] = min(low[point], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[point])
                if low[point] == index[point]:
                    while (member := stack.pop()) != point:
                        part[member] = point
                    part[point] = point
    return part
