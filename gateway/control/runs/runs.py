"""Runs are opened under a class and a parent, get leases, and end.

A sidecar's configuration can give calls without a lease a run of their own, the ambient one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from msgspec.structs import replace

from gateway import errors
from gateway.control.containment.containment import OrderReplica
from gateway.core.authorization import admission
from gateway.core.codec import entry as codec
from gateway.model.entries import RunEntry
from gateway.model.run import Lease, Mode, Run, TaskClass
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.keys import LeaseKeys
from gateway.ports.projections import Registry, required

NOT_BEFORE_SLACK = 5.0
"""Seconds by which a lease is valid before it was signed, for clocks that differ a little."""


class UnknownClass(ValueError):
    """No task class of this name was declared."""


class OtherRun(ValueError):
    """A run of this id exists and is not the one asked for."""


@dataclass(frozen=True, slots=True)
class LeasedRun:
    """A run with a signed lease of its present generation; ``new`` if it was opened just now."""

    run: Run
    lease: str
    new: bool = False


@dataclass(frozen=True, slots=True)
class Runs:
    """Changes of one run are made one after the other: each is decided on what the one before left, and none is undone by another."""

    journal: Journal
    registry: Registry
    keys: LeaseKeys
    replica: OrderReplica
    clock: Clock
    task_classes: Mapping[str, TaskClass]
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def open(self, request: admission.RunRequest, *, by: str, reason: str) -> LeasedRun:
        """Open a run, or find the one that this request opened before.

        Raises:
            UnknownClass, TooWide, OtherRun: it cannot be opened as asked.
            KeyError: its parent does not exist.
            LeaseRevoked, RunQuarantined, RunPaused, FanoutBlocked: its parent is held.
        """
        task_class = self.task_classes.get(request.task_class)
        if task_class is None:
            known = ", ".join(sorted(self.task_classes)) or "none is declared"
            raise UnknownClass(f"There is no task class {request.task_class!r}; known: {known}.")
        run_id = request.run_id or self.clock.mint("run")
        async with self.turn(run_id):
            parent = None if request.parent_run is None else await self.known(request.parent_run)
            now = self.clock.now()
            run = admission.opened(request, task_class, parent, run_id=run_id, now=now, epoch=self.replica.epoch)
            existing = await self.registry.run(run_id)
            if existing is not None:
                return self._again(run, existing, now)
            if parent is not None:
                self._may_have_children(parent, now)
                run = replace(run, inherited=self.replica.passed_on(parent, run, now=now))
            await self.journal.append(entry(run, "opened", now, by=by, reason=reason))
        return LeasedRun(run, self._sign(run, now), new=True)

    async def renew(self, run_id: str, *, ttl: float | None, by: str, reason: str) -> LeasedRun:
        """A new lease of the same generation, for as long as the run's class gives at the most.

        Raises:
            KeyError: there is no such run.
            LeaseRevoked, RunQuarantined, RunPaused: the run is contained or has ended.
        """
        async with self.turn(run_id):
            run = await self.known(run_id)
            now = self.clock.now()
            self._may_renew(run, now)
            renewed = replace(run, expires_at=await self.expiry(run, ttl, now))
            await self.journal.append(entry(renewed, "renewed", now, by=by, reason=reason))
        return LeasedRun(renewed, self._sign(renewed, now))

    async def resume(self, run: Run, resumed: Run, now: float, change: RunEntry) -> LeasedRun:
        """The run with its next lease generation. The caller holds the run's turn; its old leases are dead.

        Raises:
            JournalUnavailable: nothing was changed.
        """
        await self.journal.append(change)
        self.replica.end(run.run_id, run.generation)
        self.replica.settle(run.run_id)
        return LeasedRun(resumed, self._sign(resumed, now))

    async def close(self, run_id: str, *, by: str, reason: str) -> Run:
        """End a run; its leases end with it. Closing a closed run changes nothing.

        Raises:
            KeyError: there is no such run.
        """
        run = await self.known(run_id)
        self.replica.end(run_id, run.generation)  # at once, whatever change of the run still waits for the disk
        async with self.turn(run_id):
            run = await self.known(run_id)
            if run.closed_at is None:
                now = self.clock.now()
                run = replace(run, closed_at=now)
                await self.journal.append(entry(run, "closed", now, by=by, reason=reason))
            self.replica.settle(run_id)
        return run

    def lease_of(self, run: Run, now: float) -> Lease:
        return Lease(
            run_id=run.run_id,
            tenant=run.tenant,
            generation=run.generation,
            not_before=now - NOT_BEFORE_SLACK,
            expires_at=run.expires_at,
        )

    def mode(self, run: Run) -> Mode:
        """The run's effective mode over all tools."""
        return self.replica.hold(run, run.generation, None, now=self.clock.now()).mode

    def turn(self, run_id: str) -> asyncio.Lock:
        """Held while a run is changed: each change is decided on what the one before left."""
        return self._turns.setdefault(run_id, asyncio.Lock())

    async def expiry(self, run: Run, ttl: float | None, now: float) -> float:
        """The end of a lease that is signed now: no later than the class and the parent's lease permit."""
        task_class = self.task_classes.get(run.task_class)
        most = task_class.ttl if task_class is not None else 0.0
        expires_at = now + min(ttl if ttl is not None else most, most)
        if run.parent_run is not None:
            expires_at = min(expires_at, (await self.known(run.parent_run)).expires_at)
        return expires_at

    def _sign(self, run: Run, now: float) -> str:
        return self.keys.sign(self.lease_of(run, now), now=now)

    def _again(self, asked: Run, existing: Run, now: float) -> LeasedRun:
        if not admission.is_same(asked, existing):
            raise OtherRun(f"Run {existing.run_id} exists with different content; choose another run_id.")
        self._may_renew(existing, now)
        return LeasedRun(existing, self._sign(existing, now))

    async def known(self, run_id: str) -> Run:
        """Raises:
        KeyError: there is no such run.
        """
        return await required(self.registry.run(run_id), run_id)

    def _may_renew(self, run: Run, now: float) -> None:
        held = self.replica.hold(run, run.generation, None, now=now)
        if run.closed_at is not None:
            raise errors.LeaseRevoked(f"Run {run.run_id} was closed.", hint="Open a new run for new work.")
        if run.revoked >= run.generation or held.mode is Mode.REVOKED:
            raise errors.LeaseRevoked(f"Run {run.run_id} was revoked.")
        if held.mode is Mode.QUARANTINED:
            raise errors.RunQuarantined(f"Run {run.run_id} is quarantined.")
        if held.mode is Mode.PAUSED:
            raise errors.RunPaused(f"Run {run.run_id} is paused.", retry_after=5.0)

    def _may_have_children(self, parent: Run, now: float) -> None:
        self._may_renew(parent, now)
        if parent.expires_at <= now:
            raise errors.LeaseExpired(f"The lease of parent {parent.run_id} has ended.")
        if self.replica.hold(parent, parent.generation, None, now=now).no_fanout:
            raise errors.FanoutBlocked(f"Run {parent.run_id} may not open child runs.")


def entry(run: Run, change: str, now: float, *, by: str, reason: str) -> RunEntry:
    """The ``run`` entry of a change."""
    return RunEntry(**codec.owner(run, now), run=run, change=change, by=by, reason=reason)


@dataclass(slots=True)
class Ambient:
    """``request`` is ``None`` if every call needs a lease."""

    request: admission.RunRequest | None
    runs: Runs
    clock: Clock
    _lease: Lease | None = None
    _until: float = 0.0

    def lease(self) -> Lease | None:
        return self._lease

    async def keep_open(self) -> None:
        """Open the run, and another one once the last has less than half of its time left.

        Raises:
            Misconfigured: its class does not let it be opened.
        """
        now = self.clock.now()
        if self.request is None or now < self._until:
            return
        try:
            opened = await self.runs.open(self.request, by="gateway", reason="ambient run")
        except (admission.TooWide, ValueError) as error:
            raise errors.Misconfigured([f"ambient_run: {error}"]) from error
        self._lease = self.runs.lease_of(opened.run, now)
        self._until = (now + opened.run.expires_at) / 2
