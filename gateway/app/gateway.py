"""From a configuration to the parts of a gateway, each in its place and not yet listening."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from gateway.app import control as app_control
from gateway.app import line as app_line
from gateway.app import metrics, store
from gateway.app.control import Recovery, Undo, Warn
from gateway.app.policies import Engine
from gateway.app.store import Report
from gateway.clients.clock import SystemClock
from gateway.clients.keys.heads import SignedHeads
from gateway.clients.keys.leases import SignedLeases
from gateway.clients.rego.engine import EmbeddedEngine
from gateway.clients.webhook.delivery import Webhooks
from gateway.control.containment.containment import Containment
from gateway.control.incident.timeline import Timelines
from gateway.control.review.approvals import Approvals
from gateway.control.review.findings import Findings
from gateway.control.review.tasks import Tasks
from gateway.control.runs.runs import Ambient, Runs
from gateway.control.supervisor import Supervisor
from gateway.control.triggers.catch_up import CatchUp
from gateway.control.triggers.monitor import TriggerMonitor
from gateway.control.triggers.publishing_journal import PublishingJournal, Subscribers
from gateway.control.upkeep import Heads, Reconciler
from gateway.core.adapter import catalog
from gateway.model.entry import Kind
from gateway.observe.metrics import Observer
from gateway.pipeline.endpoint import Endpoint
from gateway.pipeline.reply import Streams
from gateway.ports.rates import Rates
from gateway.settings.config import Config
from gateway.stores.sqlite.store import SqliteStore
from gateway.wire.outbound.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Gateway:
    """All parts of one node, put together and not yet listening."""

    config: Config
    clock: SystemClock
    store: SqliteStore
    keys: SignedLeases
    signer: SignedHeads
    engine: Engine
    candidate: EmbeddedEngine | None
    rates: Rates
    pool: Pool
    streams: Streams
    supervisor: Supervisor
    journal: PublishingJournal
    monitor: TriggerMonitor
    catch_up: CatchUp
    endpoint: Endpoint
    containment: Containment
    runs: Runs
    tasks: Tasks
    findings: Findings
    approvals: Approvals
    recovery: Recovery
    timelines: Timelines
    heads: Heads
    reconciler: Reconciler
    ambient: Ambient
    webhooks: Webhooks
    metrics: CollectorRegistry
    closing: AsyncExitStack

    async def close(self) -> None:
        """End the connections to tools, sign the last head, write what was taken."""
        await self.closing.aclose()


async def assemble(config: Config, log: Warn, report: Report, *, warn: Warn | None = None) -> Gateway:
    """Open the stores and keys and put every part in its place. ``log`` takes what belongs to calls, ``warn`` what someone should see.

    Raises:
        Misconfigured: a folder, key, journal or policy cannot be used; one line per problem.
    """
    warn = warn or log
    async with AsyncExitStack() as closing:
        opened = await store.open_parts(config, report, warn, closing)
        clock, kept = opened.clock, opened.store
        control = await app_control.control(config, opened, warn)
        observer = Observer(clock.monotonic, log)
        calls = app_line.calls(config, opened, control, observer)
        undos = catalog.undos(tool.catalog for tool in calls.tools.values())
        tasks = Tasks(control.journal, kept.registry, kept.writes, clock, calls.probe.conclude_by_person)
        undo = Undo(compensations=calls.compensations, undos=undos, live=calls.line.send_write.live, tasks=tasks)
        recovery = app_control.recovery(config, opened, control, undo, warn)
        control.monitor.connect(recovery.automatic, recovery.violations)
        control.journal.connect(subscribers(control.monitor, recovery, opened.webhooks), control.monitor.answered)
        findings = Findings(control.journal, opened.vault, kept.incidents, kept.writes, kept.history, clock, control.monitor.answered)
        probe = calls.probe
        return Gateway(
            config=config,
            clock=clock,
            store=kept,
            keys=opened.keys,
            signer=opened.signer,
            engine=opened.engine,
            candidate=opened.candidate,
            rates=opened.rates,
            pool=opened.pool,
            streams=calls.streams,
            supervisor=control.supervisor,
            journal=control.journal,
            monitor=control.monitor,
            catch_up=CatchUp(kept.history, kept.registry, control.windows, control.monitor, clock),
            endpoint=calls.endpoint,
            containment=control.containment,
            runs=control.runs,
            tasks=tasks,
            findings=findings,
            approvals=control.approvals,
            recovery=recovery,
            timelines=Timelines(kept.history, kept.registry, kept.writes, control.containment, clock, undos),
            heads=opened.heads,
            reconciler=Reconciler(kept.writes, clock, probe.decide, probe.abandon, undo.live, recovery.rollbacks.is_executing),
            ambient=control.ambient,
            webhooks=opened.webhooks,
            metrics=metrics.registry(opened, control.containment.replica, observer),
            closing=closing.pop_all(),
        )


def subscribers(monitor: TriggerMonitor, recovery: Recovery, webhooks: Webhooks) -> Subscribers:
    """The subscribers of an entry, by its kind and in this order."""
    wake, recover = recovery.wake, recovery.recover
    return {
        Kind.READ: (monitor.on_entry,),
        Kind.INTENT: (monitor.on_entry,),
        Kind.OUTCOME: (monitor.on_entry,),
        Kind.REPLAY: (monitor.on_entry,),
        Kind.REFUSAL: (monitor.on_entry,),
        Kind.FINDING: (monitor.on_entry,),
        Kind.RUN: (monitor.on_entry, recover.on_entry),
        Kind.TASK: (wake.on_entry, recover.on_entry),
        Kind.APPROVAL: (wake.on_entry,),
        Kind.RECONCILIATION: (wake.on_entry,),
        Kind.ROLLBACK: (recover.on_entry, webhooks.on_entry),
        Kind.ORDER: (webhooks.on_entry,),
        Kind.TRIGGER: (webhooks.on_entry,),
        Kind.RESPONSE: (webhooks.on_entry,),
        Kind.CHECKPOINT: (),
    }
