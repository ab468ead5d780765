"""What operators and triggers act through: orders, runs, answers to triggers; and what compensates what a run did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from gateway.app.store import Opened
from gateway.control.containment.containment import Containment, OrderReplica
from gateway.control.incident.recovery import RecoveryDriver
from gateway.control.review.approvals import Approvals
from gateway.control.review.tasks import Tasks
from gateway.control.rollback.automatic import Automatic, Wake
from gateway.control.rollback.execution import RollbackEntries
from gateway.control.rollback.executor import Executor
from gateway.control.rollback.outcome import OutcomeCheck, StateCheck
from gateway.control.rollback.recheck import Recheck
from gateway.control.rollback.rollbacks import Rollbacks
from gateway.control.rollback.scope import Preconditions, ScopeQuery
from gateway.control.runs.checkpoints import Checkpoints
from gateway.control.runs.resume import Resume
from gateway.control.runs.runs import Ambient, Runs
from gateway.control.supervisor import Supervisor
from gateway.control.triggers.monitor import TriggerMonitor, TriggerWindows
from gateway.control.triggers.publishing_journal import PublishingJournal
from gateway.control.triggers.responder import Responder, ResponseHistory
from gateway.core.authorization import admission
from gateway.core.rollback.plan_objects import Undos
from gateway.model.decision import Reason
from gateway.ports.projections import Registry
from gateway.ports.rollback import Compensations
from gateway.settings.config import Config

Warn = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What the line of calls is checked against and heard by. ``supervisor`` owns the tasks of this process."""

    supervisor: Supervisor
    journal: PublishingJournal
    containment: Containment
    windows: TriggerWindows
    responder: Responder
    monitor: TriggerMonitor
    runs: Runs
    ambient: Ambient
    approvals: Approvals


async def control(config: Config, opened: Opened, warn: Warn) -> Control:
    """Assemble the parts before the line; the journal and the monitor are connected after all subscribers exist."""
    clock, store = opened.clock, opened.store
    supervisor, journal = Supervisor(warn), PublishingJournal(store.journal)
    containment = Containment(OrderReplica(), journal, store.registry, clock)
    await containment.load()
    responder = Responder(journal, ResponseHistory(store.history), store.registry, store.incidents, containment, opened.engine, clock)
    windows = TriggerWindows(config.triggers)
    runs = Runs(journal, store.registry, opened.keys, containment.replica, clock, config.task_classes)
    return Control(
        supervisor=supervisor,
        journal=journal,
        containment=containment,
        windows=windows,
        responder=responder,
        monitor=TriggerMonitor(windows, responder, supervisor.spawn, warn),
        runs=runs,
        ambient=Ambient(_ambient(config), runs, clock),
        approvals=Approvals(journal, store.approvals, store.registry, store.blobs, opened.vault, clock, config.approval_ttl),
    )


def _ambient(config: Config) -> admission.Request | None:
    one = config.ambient_run
    if one is None:
        return None
    return admission.Request(tenant=one.tenant, agent_id=one.agent_id, task_class=one.task_class, scopes=tuple(one.scopes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What compensates: rollbacks over the line of compensating calls, and incidents driven to their end."""

    rollbacks: Rollbacks
    automatic: Automatic
    wake: Wake
    checkpoints: Checkpoints
    resume: Resume
    recover: RecoveryDriver
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
        return (await self.rollbacks.outcome.state_check(run, scope, {})).violations


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """How effects are undone: by the ``compensations`` that adapters declare (``undos``), else by tasks. ``live`` writes are waited for."""

    compensations: Compensations
    undos: Undos
    live: Collection[str]
    tasks: Tasks


def recovery(config: Config, opened: Opened, control: Control, undo: Undo, warn: Warn) -> Recovery:
    """Put together what compensates, on the parts that it shares with the calls of agents."""
    store, clock, containment = opened.store, opened.clock, control.containment
    checkpoints = Checkpoints(
        journal=control.journal,
        records=store.checkpoints,
        rollbacks=store.rollbacks,
        writes=store.writes,
        history=store.history,
        registry=store.registry,
        approvals=store.approvals,
        incidents=store.incidents,
        clock=clock,
    )
    rollbacks = _rollbacks(config, opened, control, undo, checkpoints)
    resume = Resume(control.runs, checkpoints, store.rollbacks, store.incidents, containment, clock, rollbacks.alone)
    return Recovery(
        rollbacks=rollbacks,
        automatic=Automatic(rollbacks, store.incidents, containment, checkpoints.last_for, warn),
        wake=Wake(rollbacks, store.rollbacks, store.registry, control.supervisor.spawn),
        checkpoints=checkpoints,
        resume=resume,
        recover=RecoveryDriver(
            journal=control.journal,
            registry=store.registry,
            incidents=store.incidents,
            containment=containment,
            rollbacks=rollbacks,
            records=store.rollbacks,
            checkpoints=checkpoints,
            resume=resume,
            tasks=undo.tasks,
            unsound=Recheck(rollbacks, store.registry),
            clock=clock,
            spawn=control.supervisor.spawn,
            log=warn,
        ),
        registry=store.registry,
    )


def _rollbacks(config: Config, opened: Opened, control: Control, undo: Undo, checkpoints: Checkpoints) -> Rollbacks:
    store, clock, containment, spawn = opened.store, opened.clock, control.containment, control.supervisor.spawn
    patience = config.rollback_patience
    entries = RollbackEntries(control.journal, clock, store.blobs, opened.vault)
    scope = ScopeQuery(store.registry, store.writes, store.history, clock, undo.undos, undo.live)
    return Rollbacks(
        preconditions=Preconditions(scope, store.rollbacks, containment, clock, checkpoints.position, control.journal.stream),
        scope_query=scope,
        execute=Executor(undo.compensations, store.rollbacks, undo.tasks, control.approvals, entries, clock, spawn, patience),
        outcome=OutcomeCheck(StateCheck(undo.compensations, opened.engine, containment.replica, clock), store.rollbacks, clock, patience),
        entries=entries,
        records=store.rollbacks,
        incidents=store.incidents,
        registry=store.registry,
        containment=containment,
        clock=clock,
        spawn=spawn,
        owner=f"{control.journal.stream}:{clock.mint('up')}",
        alone=asyncio.Lock(),
    )
