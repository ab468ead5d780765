"""Builds the services that compensate runs: rollbacks over the line of compensating calls, tasks for people, recovery of incidents."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.app.line import Calls, Control, Warn
from gateway.app.resources import Resources
from gateway.control.incident.recovery import RecoveryDriver
from gateway.control.incident.timeline import Timelines
from gateway.control.review.tasks import Tasks
from gateway.control.rollback.automatic import AutomaticRollbacks, RollbackResumer
from gateway.control.rollback.execution import RollbackEntries
from gateway.control.rollback.executor import Executor, OutcomeCheck
from gateway.control.rollback.recheck import Recheck
from gateway.control.rollback.rollbacks import Rollbacks
from gateway.control.rollback.scope import RollbackPlanner
from gateway.control.runs.checkpoints import Checkpoints
from gateway.control.runs.resume import Resume
from gateway.control.upkeep import Reconciler
from gateway.core import limits
from gateway.core.adapter import catalog
from gateway.core.rollback.plan_objects import Undos
from gateway.model.decision import Reason
from gateway.ports.projections import Registry
from gateway.settings.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """``undos`` are the compensations that the adapters declare; ``tasks`` are for what has none."""

    undos: Undos
    tasks: Tasks
    reconciler: Reconciler
    rollbacks: Rollbacks
    automatic: AutomaticRollbacks
    wake: RollbackResumer
    checkpoints: Checkpoints
    resume: Resume
    recover: RecoveryDriver
    timelines: Timelines
    registry: Registry

    async def catch_up(self) -> int:
        """At start: continue the rollbacks of an earlier process. Returns how many."""
        return await self.rollbacks.adopt() + await self.automatic.catch_up() + await self.recover.catch_up()

    async def tick(self) -> None:
        """Continue what the journal, or another rollback, prevented."""
        await self.rollbacks.tick()
        await self.automatic.tick()
        self.recover.tick()

    async def violations(self, run_id: str) -> Sequence[Reason]:
        """What is unsound about what a run touched, as the tools show it now."""
        run = await self.registry.run(run_id)
        if run is None:
            return ()
        scope = await self.rollbacks.scope_query(run, subtree=False, since=None, wait=False)
        return (await self.rollbacks.outcome.examine(run, scope, {}, {})).violations


def recovery(config: Config, resources: Resources, control: Control, calls: Calls, warn: Warn) -> Recovery:
    """Put together what compensates, on the parts that it shares with the calls of agents."""
    store, clock, journal, patience = resources.store, resources.clock, control.journal, config.settings.rollback.patience
    registry, writes, history, incidents, records = store.registry, store.writes, store.history, store.incidents, store.rollbacks
    containment, spawn, approvals = control.containment, control.supervisor.spawn, control.approvals
    tools, probe, live = calls.compensations, calls.probe, calls.line.send_write.live
    undos = catalog.undos(tool.catalog for tool in calls.tools.values())
    tasks = Tasks(journal, registry, writes, clock, probe.conclude_by_person)
    checkpoints = Checkpoints(journal, store.checkpoints, records, writes, history, registry, store.approvals, incidents, clock)
    scope = RollbackPlanner(registry, writes, history, records, containment, checkpoints.position, journal.stream, clock, undos, live)
    entries = RollbackEntries(journal, clock, resources.vault)
    rollbacks = Rollbacks(
        scope_query=scope,
        execute=Executor(tools, records, tasks, approvals, entries, clock, spawn, patience),
        outcome=OutcomeCheck(tools, resources.engine, containment.replica, records, clock, patience),
        entries=entries,
        records=records,
        incidents=incidents,
        registry=registry,
        containment=containment,
        clock=clock,
        spawn=spawn,
        owner=f"{journal.stream}:{clock.mint('up')}",
        alone=asyncio.Lock(),
    )
    recheck = Recheck(rollbacks, registry)
    tenant_limits = functools.partial(limits.of_tenant, config.tenants)
    resume = Resume(control.runs, checkpoints, records, incidents, containment, clock, rollbacks.alone, tenant_limits)
    return Recovery(
        undos=undos,
        tasks=tasks,
        reconciler=Reconciler(writes, clock, probe.decide, probe.abandon, live, rollbacks.is_executing),
        rollbacks=rollbacks,
        automatic=AutomaticRollbacks(rollbacks, incidents, containment, checkpoints.last_for, warn),
        wake=RollbackResumer(rollbacks, records, registry, spawn),
        checkpoints=checkpoints,
        resume=resume,
        recover=RecoveryDriver(
            journal, registry, incidents, containment, rollbacks, records, checkpoints, resume, tasks, recheck, clock, spawn, warn
        ),
        timelines=Timelines(history, registry, writes, containment, clock, undos),
        registry=registry,
    )
