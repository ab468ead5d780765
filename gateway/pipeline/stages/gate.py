"""Does an order forbid the call? The first stage after classification, and the check at the socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_never

from gateway import errors
from gateway.core.authorization import gate
from gateway.model.call import Effect
from gateway.model.run import Lease, Mode, Run
from gateway.pipeline.evidence import Action, Classified, Known, Open, Permitted
from gateway.ports.clock import Clock
from gateway.ports.containment import Containment
from gateway.ports.policy import PolicyEngine

PAUSE = 5.0
"""Seconds after which a paused run may ask again."""


@dataclass(frozen=True, slots=True)
class Gate:
    containment: Containment
    clock: Clock
    policy: PolicyEngine

    def __call__(self, classified: Classified) -> Open:
        """Let the call on, as of the current epoch.

        Orders that contained the run when its rollback began do not block a compensation, only orders made later on more than the run, and
        that the run is not contained any more.

        Raises:
            RunReadOnly, RunPaused, RunQuarantined, LeaseRevoked, FanoutBlocked: the strictest order that matches.
            ContainmentStale: the orders are not known well enough.
        """
        known = classified.known
        epoch, version = self.containment.epoch, self.containment.version
        held = self._hold(known, classified.action, known.at)
        return Open(known=known, action=classified.action, mode=held.mode, epoch=epoch, version=version)

    def precheck(self, run: Run, lease: Lease, tool: str) -> None:
        """Refuse what an order stops whether it reads or writes.

        Raises:
            RunPaused, RunQuarantined, LeaseRevoked: the strictest order that matches.
        """
        _refuse_all(self.containment.hold(run, lease.generation, tool, now=self.clock.now()))

    def fence(self, permit: Permitted, *, sent: bool = False) -> Callable[[], None]:
        """The check that runs with a connection in hand, in the same step as the first socket write. It also fails if policy has changed
        since its decision, but for a read that is ``sent``, whose answer still streams: then it runs at every chunk.
        """
        opened = permit.opened
        known, action, version = opened.known, opened.action, opened.version
        revision = None if sent else permit.considered.active

        def check() -> None:
            now = self.clock.now()
            if known.lease.expires_at <= now:
                raise errors.LeaseExpired
            if known.undoing is not None:
                known.undoing.order.fence()
            if self.containment.version != version or not self.containment.fresh(now=now):
                self._hold(known, action, now)
            if revision is not None and self.policy.revision != revision:
                raise errors.PolicyUnavailable("Policy changed after its decision on this call; nothing was sent.", retry_after=1.0)

        return check

    def stream_fence(self, permit: Permitted) -> Callable[[], None]:
        """The check of a write's reply that still streams: the write stays sent, but the reply ends if the run may no longer read."""
        known, action = permit.known, permit.action

        def check() -> None:
            now = self.clock.now()
            if known.lease.expires_at <= now:
                raise errors.LeaseExpired
            held = self.containment.hold(known.run, known.lease.generation, known.tool.name, now=now)
            if held.mode > Mode.READ_ONLY:
                refuse(held, action)

        return check

    def _hold(self, known: Known, action: Action, now: float) -> gate.Restriction:
        if not self.containment.fresh(now=now):
            raise errors.ContainmentStale(retry_after=1.0)
        if known.undoing is None:
            held = self.containment.hold(known.run, known.lease.generation, known.tool.name, now=now)
        else:
            self._contained(known, now)
            held = self.containment.hold_recovery(known.run, known.tool.name, since=known.undoing.order.rollback.epoch, now=now)
        refuse(held, action)
        return held

    def _contained(self, known: Known, now: float) -> None:
        """Writes of a run that was released in the meantime would race with its rollback."""
        run = known.run
        held = self.containment.hold(run, known.lease.generation, None, now=now)
        if held.mode is Mode.ACTIVE and run.closed_at is None:
            raise errors.LeaseRevoked(f"Run {run.run_id} is active again; contain it, then continue its rollback.")


def refuse(held: gate.Restriction, action: Action) -> None:
    """Raise what the hold means for the action, if anything."""
    _refuse_all(held)
    # A dry run is one by the adapter's word and the tool's alone: while nothing may be written, that is not enough.
    if held.mode is Mode.READ_ONLY and (action.effect is Effect.WRITE or action.dry_run):
        raise errors.RunReadOnly(**_order(held))
    if held.no_fanout and action.fanout:
        raise errors.FanoutBlocked(**_order(held))


def _refuse_all(held: gate.Restriction) -> None:
    """Raise what the hold means for every action, if anything."""
    match held.mode:
        case Mode.REVOKED:
            raise errors.LeaseRevoked(**_order(held))
        case Mode.QUARANTINED:
            raise errors.RunQuarantined(**_order(held))
        case Mode.PAUSED:
            raise errors.RunPaused(retry_after=PAUSE, **_order(held))
        case Mode.READ_ONLY | Mode.ACTIVE:
            pass
        case _:
            assert_never(held.mode)


def _order(held: gate.Restriction) -> dict[str, Any]:
    return {} if held.order_id is None else {"order_id": held.order_id}
