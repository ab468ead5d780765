"""The orders that can still hold a run, kept so that a run finds its own among very many."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from gateway.core.authorization import gate
from gateway.model.run import Mode, Order, Run, Scope

_Parts = tuple[str | None, str | None, str | None, str | None]
"""Agent, tenant, task class and tool of a scope that names no run."""

_Kind = tuple[Mode, bool, bool]
"""Mode, flag, and whether it was released."""

_Shape = tuple[bool, bool, bool, bool]
"""Which of those parts a scope gives."""


@dataclass(slots=True)
class _Bucket:
    """Orders of one scope. Of those alike in mode and flag few decide anything: for every other there is one that lasts as long, and
    that no resume supersedes before it.
    """

    scope: Scope
    orders: dict[str, Order] = field(default_factory=dict)
    _deciding: dict[_Kind, list[Order]] | None = field(default_factory=dict)

    @property
    def deciding(self) -> Iterable[Order]:
        """The few that decide, in no order."""
        if self._deciding is None:
            self._deciding = {}
            for order in self.orders.values():
                self._weigh(order, self._deciding)
        return chain.from_iterable(self._deciding.values())

    def put(self, order: Order) -> None:
        self.drop(order.order_id)
        self.orders[order.order_id] = order
        if self._deciding is not None:
            self._weigh(order, self._deciding)

    def drop(self, order_id: str) -> None:
        gone = self.orders.pop(order_id, None)
        if gone is not None and self._deciding is not None and any(one is gone for one in self._deciding.get(_kind(gone), ())):
            self._deciding = None

    @staticmethod
    def _weigh(order: Order, deciding: dict[_Kind, list[Order]]) -> None:
        rivals = [one for one in deciding.get(_kind(order), ()) if not _outlives(order, one)]
        if not any(_outlives(one, order) for one in rivals):
            rivals.append(order)
        deciding[_kind(order)] = rivals


def _kind(order: Order) -> _Kind:
    return order.mode, order.no_fanout, order.released_at is not None


def _outlives(one: Order, other: Order) -> bool:
    """Whether an order holds every run that the other, of the same kind and scope, holds, and for as long."""
    if _lasts(one) < _lasts(other):
        return False
    return (one.scope.run is None or one.since >= other.since) and (one.released_at is None or one.epoch >= other.epoch)


def _lasts(order: Order) -> float:
    """The end of an order's effect on runs; a released quarantine still contains the runs opened before its epoch."""
    return math.inf if order.expires_at is None or order.released_at is not None else order.expires_at


@dataclass(slots=True)
class OrderIndex:
    """A set of orders, each under the run that its scope names or, without one, under all that it names.

    Finding a run's orders takes one look-up for the run, for each of its ancestors and for each of the at most sixteen
    combinations of agent, tenant, class and tool that occur; it does not depend on how many orders there are.
    """

    _by_id: dict[str, Order] = field(default_factory=dict)
    _naming: dict[str, dict[Scope, _Bucket]] = field(default_factory=dict)
    _wide: dict[_Parts, _Bucket] = field(default_factory=dict)
    _shapes: Counter[_Shape] = field(default_factory=Counter)
    _tools: Counter[str] = field(default_factory=Counter)
    _ends: list[tuple[float, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[Order]:
        """Every order that can still hold a run, in no order; also expired ones, until the next change."""
        return list(self._by_id.values())

    def put(self, order: Order) -> None:
        """Take an order in, or what has become of it: released, it leaves, unless what it held stays held."""
        if order.released_at is not None and order.mode < Mode.QUARANTINED:
            self.drop(order.order_id)
            return
        self._bucket(order.scope).put(order)
        self._by_id[order.order_id] = order
        if order.expires_at is not None:
            heapq.heappush(self._ends, (order.expires_at, order.order_id))

    def drop(self, order_id: str) -> None:
        """Remove an order; an unknown one is ignored."""
        order = self._by_id.pop(order_id, None)
        if order is None:
            return
        bucket = self._bucket(order.scope)
        bucket.drop(order_id)
        if not bucket.orders:
            self._clear(order.scope)

    def expire(self, *, now: float) -> None:
        """Remove expired orders. This only saves memory: an expired order has no effect."""
        while self._ends and self._ends[0][0] <= now:
            self.drop(heapq.heappop(self._ends)[1])

    def hold(self, run: Run, tool: str | None, *, now: float) -> gate.Restriction:
        """The strictest mode of all orders that stand and match. ``tool`` ``None`` asks about the run as a whole."""
        return gate.hold(self._deciding(run, tool), run, tool, now=now)

    def of(self, run: Run, *, now: float) -> tuple[Order, ...]:
        """Every order that stands and matches a run, whatever the tool."""
        tools = (None, *self._tools)
        found = {one.order_id: one for tool in tools for bucket in self._buckets(run, tool) for one in bucket.orders.values()}
        found |= {one.order_id: one for one in self._inherited(run)}
        return tuple(one for one in found.values() if gate.matches(one, run) and gate.standing(one, run, now=now))

    def _deciding(self, run: Run, tool: str | None) -> list[Order]:
        found = [order for bucket in self._buckets(run, tool) for order in bucket.deciding]
        return [*found, *self._inherited(run)] if run.inherited else found

    def _inherited(self, run: Run) -> list[Order]:
        return [self._by_id[name] for name in run.inherited if name in self._by_id]

    def _buckets(self, run: Run, tool: str | None) -> list[_Bucket]:
        """The buckets that can match; those that name the run or an ancestor may name more that does not."""
        found: list[_Bucket] = []
        for name in (run.run_id, *run.ancestors) if self._naming else ():
            if name in self._naming:
                found += self._naming[name].values()
        for by_agent, by_tenant, by_class, by_tool in self._shapes:
            if by_tool and tool is None:
                continue
            parts = (
                run.agent_id if by_agent else None,
                run.tenant if by_tenant else None,
                run.task_class if by_class else None,
                tool if by_tool else None,
            )
            if parts in self._wide:
                found.append(self._wide[parts])
        return found

    def _bucket(self, scope: Scope) -> _Bucket:
        """The bucket of a scope, made if there is none."""
        if scope.run is not None:
            return self._naming.setdefault(scope.run, {}).setdefault(scope, _Bucket(scope))
        parts = _parts(scope)
        if parts not in self._wide:
            self._count(parts, 1)
            self._wide[parts] = _Bucket(scope)
        return self._wide[parts]

    def _clear(self, scope: Scope) -> None:
        if scope.run is None:
            parts = _parts(scope)
            del self._wide[parts]
            self._count(parts, -1)
        else:
            del self._naming[scope.run][scope]
            if not self._naming[scope.run]:
                del self._naming[scope.run]

    def _count(self, parts: _Parts, change: int) -> None:
        agent, tenant, task_class, tool = parts
        self._shapes[agent is not None, tenant is not None, task_class is not None, tool is not None] += change
        self._shapes = +self._shapes
        if tool is not None:
            self._tools[tool] += change
            self._tools = +self._tools


def _parts(scope: Scope) -> _Parts:
    return scope.agent, scope.tenant, scope.task_class, scope.tool
