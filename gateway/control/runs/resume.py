"""A contained run is resumed from a checkpoint with its next lease generation.

A resume is one ``run`` entry with the change ``resumed``, the ``checkpoint_id`` and the limits that were ``raised``. After a crash the run
is either resumed or not; a repeated request is refused, since the run is no longer contained.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.control.containment.containment import Containment
from gateway.control.runs.checkpoints import Checkpoints
from gateway.control.runs.runs import LeasedRun, Runs, entry
from gateway.core import limits
from gateway.core.authorization import admission
from gateway.core.rollback.checkpoints import Chosen
from gateway.model.rollback import Checkpoint
from gateway.model.run import Limits, Mode, Run, SpentLimit
from gateway.model.trigger import RollbackState
from gateway.ports.clock import Clock
from gateway.ports.projections import Incidents
from gateway.ports.rollback import RollbackRecords


class CannotResume(ValueError):
    """The run is not in a state in which it can be resumed; the message says why and what would be right."""


class NotReady(Exception):
    """No checkpoint can be chosen without a person; the message says why."""


@dataclass(frozen=True, slots=True)
class ResumedRun:
    """``opened`` has the run with its new lease; ``state_ref`` says where the workflow's state to begin with is kept, if it is.

    ``spent`` are the limits that are used up already: the run's next write is refused by each of them.
    """

    opened: LeasedRun
    checkpoint: Checkpoint
    state_ref: str | None
    spent: tuple[SpentLimit, ...]


@dataclass(frozen=True, slots=True)
class Resume:
    """``alone`` is held while a run is resumed, as it is while a rollback begins: never both at once.

    ``tenant_limits`` gives the limits declared for a tenant, or ``None``.
    """

    runs: Runs
    checkpoints: Checkpoints
    rollbacks: RollbackRecords
    incidents: Incidents
    containment: Containment
    clock: Clock
    alone: asyncio.Lock
    tenant_limits: Callable[[str], Limits | None]

    async def __call__(self, run_id: str, request: admission.ResumeRequest, *, by: str, reason: str) -> ResumedRun:
        """Give a contained run its next lease generation, never wider than now except for ``raise_limits``.

        Earlier orders on the run itself end for it; orders on one of its tools and wider orders still apply. Its descendants do not
        change.

        Raises:
            KeyError: there is no such run.
            TooWide: it asks for more than the run has, or to raise a limit beyond what its class or its parent has.
            CannotResume: the run is active or closed, or its rollback has not ended.
            UnknownCheckpoint, NotVerified: the named checkpoint does not exist, or is not usable.
            NotReady: no checkpoint is named, and none can be chosen.
            JournalUnavailable: nothing was changed.
        """
        async with self.alone, self.runs.turn(run_id):
            run, now = await self.runs.known(run_id), self.clock.now()
            expires_at = await self.runs.expiry(run, None, now)
            epoch = self.containment.replica.epoch
            await self._check(run)
            checkpoint = await self._from(run, request.checkpoint)
            resumed = admission.resumed(run, request, checkpoint, epoch=epoch, expires_at=expires_at)
            resumed, raised = admission.raised(resumed, request.raise_limits, await self._ceilings(run))
            change = entry(resumed, "resumed", now, by=by, reason=reason)
            opened = await self.runs.resume(
                run, resumed, now, replace(change, checkpoint_id=checkpoint.checkpoint_id, raised=raised or None)
            )
        return ResumedRun(opened, checkpoint, await self.checkpoints.state_ref(resumed, checkpoint.seq), await self._spent(resumed))

    async def _ceilings(self, run: Run) -> tuple[tuple[str, Limits], ...]:
        """The limits that no raise goes beyond: those of the run's class and of its parent."""
        task_class = self.runs.task_classes.get(run.task_class)
        of_class = (f"task class {run.task_class} in the configuration", task_class.limits if task_class is not None else run.limits)
        if run.parent_run is None:
            return (of_class,)
        return of_class, (f"parent {run.parent_run}", (await self.runs.known(run.parent_run)).limits)

    async def _spent(self, run: Run) -> tuple[SpentLimit, ...]:
        """The limits of every budget that the run's writes are charged to, and that have nothing left."""
        registry, task_class = self.runs.registry, self.runs.task_classes.get(run.task_class)
        ancestors = [one for name in run.ancestors if (one := await registry.run(name)) is not None]
        found: list[SpentLimit] = []
        for scope, declared in limits.budgets(run, ancestors, task_class, self.tenant_limits(run.tenant)):
            stepped = scope == f"run:{run.run_id}" or scope.startswith("workflow:")  # the steps of others are not its own
            found += limits.spent(scope, declared, await registry.counters(scope), steps=stepped)
        return tuple(found)

    async def _from(self, run: Run, name: str | None) -> Checkpoint:
        if name is not None:
            return await self.checkpoints.find(run, name)
        match await self.checkpoints.choose(run):
            case Chosen(checkpoint):
                return checkpoint
            case not_ready:
                raise NotReady(not_ready.why)

    async def _check(self, run: Run) -> None:
        if run.closed_at is not None:
            raise CannotResume(f"Run {run.run_id} was closed; open a new run with workflow_id {run.workflow_id} to continue its work.")
        if not self.contained(run):
            raise CannotResume(f"Run {run.run_id} is active: there is nothing to resume. Renew an expired lease instead.")
        if (why := await self.hindered(run)) is not None:
            raise CannotResume(why)

    async def hindered(self, run: Run) -> str | None:
        """Why a contained run cannot be resumed yet, whatever checkpoint it would be: what it did is, or is about to be, undone.

        It is undone by a rollback of the run, or of an ancestor with all below it.
        """
        for name in (run.run_id, *run.ancestors):
            rollbacks = await self.rollbacks.rollbacks(run=name, limit=None)
            for one in rollbacks:
                if not one.status.ended and (name == run.run_id or one.subtree):
                    return f"Rollback {one.rollback_id} is {one.status}: wait for its end or stop it, then resume run {run.run_id}."
            if name == run.run_id and not any(one.generation == run.generation for one in rollbacks):
                for incident in await self.incidents.incidents(run=name, limit=None):
                    if incident.generation == run.generation and incident.rollback is RollbackState.DUE:
                        return f"The rollback of incident {incident.incident_id} is due; roll run {run.run_id} back first."
        return None

    def contained(self, run: Run) -> bool:
        """Whether an order contains the run as a whole, or its leases were cut."""
        if run.revoked >= run.generation:
            return True
        now = self.clock.now()
        orders = self.containment.replica.standing.of(run, now=now)
        return any(order.mode > Mode.ACTIVE and order.scope.tool is None for order in orders)
