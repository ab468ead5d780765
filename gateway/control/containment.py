"""Containment: orders are made, hold at once, and are journaled; the mirror that the line and the fence ask."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gateway.core import gate, records, stamp
from gateway.model.entry import Kind
from gateway.model.order import Order, Scope
from gateway.model.run import Mode, Run
from gateway.ports import Clock, Journal, Registry

_CACHED = 50_000


class WrongOrder(ValueError):
    """The order cannot be made or released as asked; the message says why and what would be right."""


@dataclass(slots=True)
class Mirror:
    """The standing orders on this node, asked at the gate and at the socket. Never blocks, never waits.

    ``epoch`` is the newest order's. ``version`` grows with every order and every cut or closed run: what was decided at an
    older version is decided again at the socket.
    """

    epoch: int = 0
    version: int = 0
    orders: tuple[Order, ...] = ()
    changed: list[Callable[[], object]] = field(default_factory=list)
    _ended: dict[str, int] = field(default_factory=dict)
    _held: dict[tuple[str, str | None], gate.Hold] = field(default_factory=dict)

    def hold(self, run: Run, generation: int, tool: str | None, *, now: float) -> gate.Hold:
        """What is left of a run for a tool, under a lease of this generation."""
        if generation <= self._ended.get(run.run_id, 0):
            return gate.Hold(Mode.REVOKED, True, None, math.inf)
        key = (run.run_id, tool)
        held = self._held.get(key)
        if held is None or held.until <= now:
            held = gate.hold(self.orders, run, tool, now=now)
            if len(self._held) >= _CACHED:
                self._held.clear()
            self._held[key] = held
        return held

    def fresh(self, *, now: float) -> bool:
        """One node alone is its own truth; a mirror of a shared store can be stale."""
        return True

    def show(self, orders: tuple[Order, ...], epoch: int) -> None:
        """Put a new set of orders in force, for every call that has not reached its socket yet."""
        self.orders, self.epoch = orders, max(epoch, self.epoch)
        self._change()

    def end(self, run_id: str, generation: int) -> None:
        """Every lease of the run up to this generation is dead."""
        self._ended[run_id] = max(generation, self._ended.get(run_id, 0))
        self._change()

    def _change(self) -> None:
        self.version += 1
        self._held.clear()
        for listener in self.changed:
            listener()


@dataclass(slots=True)
class Containment:
    """Makes and releases orders. Containment fires first: an order holds before it is journaled, and also where it cannot be."""

    mirror: Mirror
    journal: Journal
    registry: Registry
    clock: Clock
    _all: dict[str, Order] = field(default_factory=dict)

    async def load(self) -> None:
        """Put in force what the journal says, at start."""
        self._all = {order.order_id: order for order in await self.registry.orders()}
        self.mirror.show(self._standing(), max((order.epoch for order in self._all.values()), default=0))

    def listed(self) -> list[Order]:
        """Every order ever made, by id (ids ascend with time)."""
        return [self._all[name] for name in sorted(self._all)]

    async def make(self, scope: Scope, mode: Mode, *, reason: str, by: str, ttl: float | None = None, no_fanout: bool = False) -> Order:
        """Contain. The order holds on this node before this returns, and is durable when it returns.

        Raises:
            WrongOrder: the scope or time does not go with the mode.
            JournalUnavailable: it holds on this node, but is not durable.
        """
        check(scope, mode, ttl=ttl, no_fanout=no_fanout)
        now = self.clock.now()
        order = Order(
            order_id=self.clock.mint("ord"),
            epoch=self.mirror.epoch + 1,
            scope=scope,
            mode=mode,
            reason=reason,
            by=by,
            no_fanout=no_fanout,
            created_at=now,
            expires_at=None if ttl is None else now + ttl,
        )
        self._put(order)
        await self.journal.append(_fields(order, "made", now, by=by, reason=reason))
        return order

    async def release(self, order_id: str, *, reason: str, by: str) -> Order:
        """End an order. Leases that it cut stay cut, runs that it quarantined stay quarantined.

        Raises:
            KeyError: there is no such order.
            WrongOrder: it was released before.
        """
        order = self._all[order_id]
        if order.released_at is not None:
            raise WrongOrder(f"Order {order_id} was released at {stamp.rfc3339(order.released_at)}.")
        now = self.clock.now()
        released = replace(order, epoch=self.mirror.epoch + 1, released_at=now, released_by=by)
        # Widening waits for the disk: an order must not come back after a crash as if nobody had released it, nor vanish unsaid.
        await self.journal.append(_fields(released, "released", now, by=by, reason=reason))
        self._put(released)
        return released

    async def hits(self, scope: Scope) -> int:
        """How many open runs an order of this scope would hold."""
        count, after, now = 0, None, self.clock.now()
        while page := await self.registry.runs(after=after, limit=1000):
            count += sum(gate.covers(scope, run) and run.closed_at is None and run.expires_at > now for run in page)
            after = page[-1].run_id
        return count

    def _put(self, order: Order) -> None:
        self._all[order.order_id] = order
        self.mirror.show(self._standing(), order.epoch)

    def _standing(self) -> tuple[Order, ...]:
        """What can still match a run: everything unreleased, and what stays with the runs it held though it was released."""
        return tuple(order for order in self._all.values() if order.released_at is None or order.mode >= Mode.QUARANTINED)


def check(scope: Scope, mode: Mode, *, ttl: float | None, no_fanout: bool) -> None:
    """Raises:
    WrongOrder: scope, mode and time do not go together.
    """
    named = [scope.run, scope.agent, scope.tenant, scope.task_class, scope.tool]
    if scope.everything and (any(named) or scope.subtree):
        raise WrongOrder("'all' stands alone; leave the other parts of the scope out.")
    if not scope.everything and not any(named):
        raise WrongOrder('The scope is empty; name a run, agent, tenant, task_class or tool, or say {"all": true}.')
    if scope.subtree and scope.run is None:
        raise WrongOrder("'subtree' needs the run whose descendants are meant.")
    if mode is Mode.ACTIVE and not no_fanout:
        raise WrongOrder("'active' is not an order; release the order that holds the run instead.")
    if mode is Mode.REVOKED and scope.run is None and scope.agent is None:
        raise WrongOrder("'revoked' cuts leases for good and needs a run or an agent in its scope.")
    if ttl is not None and mode in (Mode.QUARANTINED, Mode.REVOKED):
        raise WrongOrder(f"'{mode.word}' has no ttl; read_only, paused and no_fanout can have one.")
    if ttl is not None and ttl <= 0:
        raise WrongOrder("ttl must be a positive time.")


def _fields(order: Order, change: str, now: float, *, by: str, reason: str) -> dict[str, object]:
    fields: dict[str, object] = {
        "ts": stamp.rfc3339(now),
        "kind": Kind.ORDER.value,
        "epoch": order.epoch,
        "order": records.order_entry(order),
        "change": change,
        "by": by,
        "reason": reason,
    }
    if order.scope.run is not None:
        fields["run_id"] = order.scope.run
    if order.scope.tenant is not None:
        fields["tenant"] = order.scope.tenant
    return fields
