"""Containment: orders are made, hold at once, and are journaled; the replica that the line and the fence ask."""

from __future__ import annotations

import asyncio
import bisect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway import errors
from gateway.control.containment.order_index import OrderIndex
from gateway.core import timestamps
from gateway.core.authorization import gate
from gateway.model.entries import OrderEntry
from gateway.model.run import Mode, Order, Run, Scope
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.projections import Registry


class WrongOrder(ValueError):
    """The order cannot be made or released as asked; the message says why and what would be right."""


@dataclass(slots=True)
class OrderReplica:
    """The orders in force on this node, asked at the gate and at the socket. Never waits.

    ``latest`` gives a run as it durably is now: a call in flight carries the run as it was when the call came. ``epoch`` is the newest
    order's. ``version`` grows with every order and every cut or closed run: what was decided at an older version is decided again at the
    socket.
    """

    latest: Callable[[str], Run | None]
    epoch: int = 0
    version: int = 0
    standing: OrderIndex = field(default_factory=OrderIndex)
    changed: list[Callable[[], object]] = field(default_factory=list)
    _ending: dict[str, int] = field(default_factory=dict)
    """Runs whose end holds here and is not durable yet, each with the last generation that it ends."""

    def hold(self, run: Run, generation: int, tool: str | None, *, now: float) -> gate.Restriction:
        """What is left of a run for a tool, under a lease of this generation."""
        latest = self.latest(run.run_id)
        if generation <= self._ending.get(run.run_id, 0) or (latest is not None and gate.ended(latest, generation)):
            return gate.Restriction(Mode.REVOKED, True, None, math.inf)
        return self.standing.hold(run, tool, now=now)

    def passed_on(self, parent: Run, child: Run, *, now: float) -> tuple[str, ...]:
        """The orders that hold a parent now and would not cover a child that it opens: what the child inherits."""
        return tuple(order.order_id for order in self.standing.of(parent, now=now) if not gate.covers(order.scope, child))

    def hold_recovery(self, run: Run, tool: str, *, since: int, now: float) -> gate.Restriction:
        later = [order for order in self.standing.of(run, now=now) if not gate.spares_recovery(order, run, since=since)]
        return gate.hold(later, replace(run, mode=Mode.ACTIVE), tool, now=now)

    def fresh(self, *, now: float) -> bool:
        """A single node's orders are always current; a replica of a shared store can be stale."""
        return True

    def load(self, orders: Iterable[Order]) -> None:
        """Put in force what was ordered before."""
        for order in orders:
            self.standing.put(order)
            self.epoch = max(order.epoch, self.epoch)
        self._change()

    def put(self, order: Order, *, now: float) -> None:
        """Put an order in force, or its release, for every call that has not reached its socket yet."""
        self.standing.expire(now=now)
        self.standing.put(order)
        self.epoch = max(order.epoch, self.epoch)
        self._change()

    def end(self, run_id: str, generation: int) -> None:
        """Every lease of the run up to this generation is dead from now on, although that is not durable yet."""
        self._ending[run_id] = max(generation, self._ending.get(run_id, 0))
        self._change()

    def settle(self, run_id: str) -> None:
        """The end of the run's leases is durable: ``latest`` shows it, and nothing is kept for it here."""
        self._ending.pop(run_id, None)

    def _change(self) -> None:
        self.version += 1
        for listener in self.changed:
            listener()


@dataclass(slots=True)
class Containment:
    """Makes and releases orders. Containment fires first: an order holds before it is journaled, and also if it cannot be."""

    replica: OrderReplica
    journal: Journal
    registry: Registry
    clock: Clock
    _all: dict[str, Order] = field(default_factory=dict)
    _ids: list[str] = field(default_factory=list)
    _issued: int = 0
    _unwritten: set[str] = field(default_factory=set)
    _widening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self) -> None:
        """Put in force what the journal says, at start."""
        known = await self.registry.orders()
        self._all = {order.order_id: order for order in known}
        self._ids = sorted(self._all)
        self._issued = max((order.epoch for order in known), default=0)
        self.replica.load(known)

    def listed(self, *, after: str | None = None, limit: int | None = None) -> list[Order]:
        """Orders, released ones too, by id (ids ascend with time), beginning after ``after``."""
        begin = 0 if after is None else bisect.bisect_right(self._ids, after)
        end = None if limit is None else begin + limit
        return [self._all[name] for name in self._ids[begin:end]]

    def order(self, order_id: str) -> Order | None:
        return self._all.get(order_id)

    async def make(self, scope: Scope, mode: Mode, *, reason: str, by: str, ttl: float | None = None, no_fanout: bool = False) -> Order:
        """Contain. The order holds on this node before this returns, and is durable when it returns.

        Raises:
            WrongOrder: the scope or time does not go with the mode.
            JournalUnavailable: it holds on this node, but is not durable.
        """
        check(scope, mode, ttl=ttl, no_fanout=no_fanout)
        return await self._make(scope, mode, reason=reason, by=by, ttl=ttl, no_fanout=no_fanout)

    async def revoke_all(self, *, reason: str, by: str) -> None:
        """Revoke every open run's leases, as a revocation of each would. The order is released at once, so runs that open later are free.

        Operators cannot ask for it, since it is permanent: a start on an older journal needs it, which knows no revocations made since.

        Raises:
            JournalUnavailable: it is not durable.
        """
        order = await self._make(Scope(everything=True), Mode.REVOKED, reason=reason, by=by)
        await self.release(order.order_id, reason=reason, by=by)

    async def _make(self, scope: Scope, mode: Mode, *, reason: str, by: str, ttl: float | None = None, no_fanout: bool = False) -> Order:
        now = self.clock.now()
        order = Order(
            order_id=self.clock.mint("ord"),
            epoch=self._next_epoch(),
            scope=scope,
            mode=mode,
            reason=reason,
            by=by,
            no_fanout=no_fanout,
            created_at=now,
            expires_at=None if ttl is None else now + ttl,
        )
        self._all[order.order_id] = order
        bisect.insort(self._ids, order.order_id)
        self.replica.put(order, now=now)
        try:
            await self.journal.append(_entry(order, "made", now, by=by, reason=reason))
        except errors.JournalUnavailable:
            self._unwritten.add(order.order_id)
            raise
        return order

    async def make_durable(self, order: Order) -> None:
        """Make an order durable that holds on this node and could not be written before; of another nothing is changed.

        Raises:
            JournalUnavailable: it still cannot be.
        """
        if order.order_id in self._unwritten:
            await self.journal.append(_entry(order, "made", self.clock.now(), by=order.by, reason=order.reason))
            self._unwritten.discard(order.order_id)

    async def release(self, order_id: str, *, reason: str, by: str) -> Order:
        """End an order. Leases that it cut stay cut, runs that it quarantined stay quarantined.

        Raises:
            KeyError: there is no such order.
            WrongOrder: it is already released.
        """
        async with self._widening:
            order = self._all[order_id]
            if order.released_at is not None:
                raise WrongOrder(f"Order {order_id} was released at {timestamps.rfc3339(order.released_at)}.")
            now = self.clock.now()
            released = replace(order, epoch=self._next_epoch(), made=order.since, released_at=now, released_by=by)
            # Widening waits for the disk: after a crash an order must not be in force again, nor disappear without an entry.
            await self.journal.append(_entry(released, "released", now, by=by, reason=reason))
            self._all[order_id] = released
            self.replica.put(released, now=self.clock.now())
        return released

    def _next_epoch(self) -> int:
        """Taken before it is known whether the order will hold: an epoch may be skipped, but none stands for two changes."""
        self._issued += 1
        return self._issued


def check(scope: Scope, mode: Mode, *, ttl: float | None, no_fanout: bool) -> None:
    """Raises:
    WrongOrder: scope, mode and time do not go together.
    """
    named = any((scope.run, scope.agent, scope.tenant, scope.task_class, scope.tool))
    faults = {
        "'all' cannot be combined with other parts of a scope.": scope.everything and (named or scope.subtree),
        'The scope is empty; name a run, agent, tenant, task_class or tool, or send {"all": true}.': not (scope.everything or named),
        "'subtree' needs a run.": scope.subtree and scope.run is None,
        "'active' is not an order; release the run's order instead.": mode is Mode.ACTIVE and not no_fanout,
        "'revoked' is permanent and needs a run or an agent in its scope.": mode is Mode.REVOKED and not (scope.run or scope.agent),
        f"'{mode.label}' has no ttl; read_only, paused and no_fanout can have one.": ttl is not None and mode >= Mode.QUARANTINED,
        "ttl must be a positive time.": ttl is not None and ttl <= 0,
    }
    for message, applies in faults.items():
        if applies:
            raise WrongOrder(message)


def _entry(order: Order, change: str, now: float, *, by: str, reason: str) -> OrderEntry:
    scope = order.scope
    return OrderEntry(
        ts=timestamps.rfc3339(now),
        tenant=scope.tenant,
        run_id=scope.run,
        task_class=scope.task_class,
        epoch=order.epoch,
        order=order,
        change=change,
        by=by,
        reason=reason,
    )
