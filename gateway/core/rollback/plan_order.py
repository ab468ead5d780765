"""What comes after what in a plan: edges between its nodes, without cycles, in a number that grows with the effects alone. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.core.rollback.plan_objects import Draft, Undos
from gateway.model.effect import Write
from gateway.model.plan import Step, Way

_PAIRS = 64
"""Many that wait for many do so through a join, past this number of pairs."""

_NONE = -1


@dataclass(slots=True)
class Order:
    """A graph of points: the nodes by their number, then the joins. ``before[p]`` are the points that ``p`` comes after.

    ``age`` grows with the newest effect of a point. ``dropped[p]`` are those that ``p`` should come after as well, but they wait for it.
    """

    age: list[int]
    before: list[dict[int, None]]
    nodes: int
    dropped: dict[int, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, ages: Iterable[int]) -> Order:
        age = list(ages)
        return cls(age, [{} for _ in age], len(age))

    def wait(self, point: int, other: int) -> None:
        """``point`` comes after ``other``."""
        if point != other:
            self.before[point][other] = None

    def wait_all(self, points: Sequence[int], others: Sequence[int]) -> None:
        """Each of the ``points`` comes after each of the ``others``."""
        if len(points) * len(others) > _PAIRS and len(points) > 1 and len(others) > 1:
            join = self._join(points)
            for other in others:
                self.wait(join, other)
            others = [join]
        for point in points:
            for other in others:
                self.wait(point, other)

    def straighten(self) -> None:
        """Leave no cycle: within one, the newest goes first, and what would make it wait for an older one is dropped."""
        part = _parts(self.before)
        for point, others in enumerate(self.before):
            if against := [one for one in others if part[one] == part[point] and (self.age[one], one) < (self.age[point], point)]:
                self.dropped[point] = against
                for one in against:
                    del others[one]

    def sorted(self) -> list[int]:
        """The nodes, each after all it comes after, else the newest first."""
        behind: dict[int, list[int]] = {}
        missing = [len(others) for others in self.before]
        for point, others in enumerate(self.before):
            for one in others:
                behind.setdefault(one, []).append(point)
        # The newest first: numbers that hold age and point are compared faster than pairs.
        size = len(self.before)
        free = [point - self.age[point] * size for point, count in enumerate(missing) if not count]
        heapq.heapify(free)
        found: list[int] = []
        while free:
            point = heapq.heappop(free) % size
            found.append(point)
            for one in behind.get(point, ()):
                missing[one] -= 1
                if not missing[one]:
                    heapq.heappush(free, one - self.age[one] * size)
        return [point for point in found if point < self.nodes]

    def _join(self, points: Sequence[int]) -> int:
        self.before.append({})
        self.age.append(max(self.age[point] for point in points))
        return len(self.before) - 1


def causal(order: Order, drafts: Sequence[Draft], effects: Sequence[Write], parents: Mapping[Step, Step]) -> None:
    """A step's effects are undone before those of the steps that it follows from; ``effects`` are all, also those without a node."""
    steps = _Steps(drafts, effects, parents)
    children: dict[int, list[int]] = {}
    for step, points in enumerate(steps.points):
        if points and (above := steps.above(step)) != _NONE:
            children.setdefault(above, []).extend(points)
    for step, found in children.items():
        order.wait_all(steps.undone(step), list(dict.fromkeys(found)))


def declared(order: Order, drafts: Sequence[Draft], undos: Undos) -> None:
    """What an adapter says with ``after``: each compensation of the action runs only once all those of the actions named are finished."""
    of_action: dict[tuple[str, str], dict[int, None]] = {}
    for point, draft in enumerate(drafts):
        for write in draft.effects:
            of_action.setdefault((write.tool, write.action), {})[point] = None
    for (tool, action), points in of_action.items():
        undo = undos.get((tool, action))
        waiting = [point for point in points if drafts[point].node.way is not Way.PROBE]
        others: dict[int, None] = {}
        for name in undo.after if undo is not None else ():
            if name != action:
                others.update(of_action.get((tool, name), {}))
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
        self._probing = [draft.node.way is Way.PROBE for draft in drafts]
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
