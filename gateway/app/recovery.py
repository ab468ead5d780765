"""The parts that take back: rollbacks over the line of compensating calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.app.policies import Engine
from gateway.control.containment.containment import Containment
from gateway.control.incident.recovery import RecoveryDriver
from gateway.control.review.approvals import Approvals
from gateway.control.review.tasks import Tasks
from gateway.control.rollback.automatic import Automatic, Wake
from gateway.control.rollback.entries import Plans, RollbackEntries
from gateway.control.rollback.executor import Executor
from gateway.control.rollback.outcome import OutcomeCheck, StateCheck
from gateway.control.rollback.recheck import Recheck
from gateway.control.rollback.rollbacks import Rollbacks
from gateway.control.rollback.scope import Preconditions, ScopeQuery
from gateway.control.runs.checkpoints import Checkpoints
from gateway.control.runs.resume import Resume
from gateway.control.runs.runs import Runs
from gateway.control.supervisor import Supervisor
from gateway.control.triggers.publishing_journal import PublishingJournal
from gateway.core.adapter import catalog
from gateway.model.decision import Reason
from gateway.pipeline.compensation.decide import DecideRecovery
from gateway.pipeline.compensation.line import Compensate
from gateway.pipeline.compensation.request import CompensationRequests
from gateway.pipeline.line import Line
from gateway.pipeline.probe import Probe
from gateway.pipeline.tool import ToolReads, Tools
from gateway.ports.clock import Clock
from gateway.ports.projections import Registry
from gateway.ports.vault import Vault
from gateway.stores.sqlite.store import SqliteStore


@dataclass(frozen=True, slots=True)
class Recovery:
    rollbacks: Rollbacks
    automatic: Automatic
    checkpoints: Checkpoints
    resume: Resume
    recover: RecoveryDriver
    registry: Registry

    async def catch_up(self) -> int:
        """At start: go on with what an earlier process was taking back. Says with how many."""
        return await self.rollbacks.adopt() + await self.automatic.catch_up() + await self.recover.catch_up()

    async def tick(self) -> None:
        """Go on with what the journal, or another rollback, stood against."""
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
class Parts:
    """What a rollback shares with the calls of agents. ``patience`` (seconds) is how long it waits for a tool that is away."""

    tools: Tools
    line: Line
    look: ToolReads
    probe: Probe
    journal: PublishingJournal
    store: SqliteStore
    vault: Vault
    engine: Engine
    containment: Containment
    tasks: Tasks
    approvals: Approvals
    runs: Runs
    supervisor: Supervisor
    clock: Clock
    warn: Callable[..., object]
    patience: float


def recovery(parts: Parts) -> Recovery:
    """Put together what takes back, and have it hear of what people decide."""
    store, clock, line = parts.store, parts.clock, parts.line
    compensations = _compensate(parts)
    entries = RollbackEntries(parts.journal, clock)
    places = Checkpoints(
        journal=parts.journal,
        records=store.checkpoints,
        rollbacks=store.rollbacks,
        writes=store.writes,
        history=store.history,
        registry=store.registry,
        approvals=store.approvals,
        incidents=store.incidents,
        clock=clock,
    )
    undos = catalog.undos(tool.catalog for tool in parts.tools.values())
    alone = asyncio.Lock()
    scope_query = ScopeQuery(store.registry, store.writes, store.history, clock, undos, line.send_write.live)
    rollbacks = Rollbacks(
        preconditions=Preconditions(scope_query, store.rollbacks, parts.containment, clock, places.position, parts.journal.stream),
        scope_query=scope_query,
        execute=Executor(
            compensations, store.rollbacks, parts.tasks, parts.approvals, entries, clock, parts.supervisor.spawn, parts.patience
        ),
        outcome=OutcomeCheck(
            StateCheck(compensations, parts.engine, parts.containment.replica, clock), store.rollbacks, clock, parts.patience
        ),
        plans=Plans(store.blobs, parts.vault),
        entries=entries,
        records=store.rollbacks,
        incidents=store.incidents,
        registry=store.registry,
        containment=parts.containment,
        clock=clock,
        spawn=parts.supervisor.spawn,
        owner=f"{parts.journal.stream}:{clock.mint('up')}",
        alone=alone,
    )
    wake = Wake(rollbacks, store.rollbacks, store.registry, parts.supervisor.spawn)
    parts.journal.listeners.append(wake.on_entry)
    resume = Resume(parts.runs, places, store.rollbacks, store.incidents, parts.containment, clock, alone)
    recover = RecoveryDriver(
        journal=parts.journal,
        registry=store.registry,
        incidents=store.incidents,
        containment=parts.containment,
        rollbacks=rollbacks,
        records=store.rollbacks,
        checkpoints=places,
        resume=resume,
        tasks=parts.tasks,
        unsound=Recheck(rollbacks, store.registry),
        clock=clock,
        spawn=parts.supervisor.spawn,
        log=parts.warn,
    )
    parts.journal.listeners.append(recover.on_entry)
    return Recovery(
        rollbacks=rollbacks,
        automatic=Automatic(rollbacks, store.incidents, parts.containment, places.last_for, parts.warn),
        checkpoints=places,
        resume=resume,
        recover=recover,
        registry=store.registry,
    )


def _compensate(parts: Parts) -> Compensate:
    line, store = parts.line, parts.store
    return Compensate(
        tools=parts.tools,
        calls=CompensationRequests(parts.tools, store.blobs, parts.vault),
        gate=line.gate,
        recall=line.recall,
        decide_recovery=DecideRecovery(parts.engine, parts.clock, lambda: parts.engine.revision),
        reads=parts.look,
        send_write=line.send_write,
        probe=parts.probe,
        clock=parts.clock,
    )
