"""From a configuration to the parts of a gateway, each in its place and not yet listening."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from gateway.app import store as app_store
from gateway.app.policies import Engine, open_engine
from gateway.app.recovery import Parts, Recovery, recovery
from gateway.app.store import open_rates
from gateway.app.webhooks import counted, webhooks_of
from gateway.clients.clock import SystemClock
from gateway.clients.keys.heads import SignedHeads, open_head_key
from gateway.clients.keys.leases import SignedLeases, open_lease_keys
from gateway.clients.keys.tool_secret import ToolSecret
from gateway.clients.keys.vault import TenantVault, open_master_key
from gateway.clients.rego.engine import EmbeddedEngine
from gateway.clients.webhook.delivery import Webhooks
from gateway.control.containment.containment import Containment, OrderReplica
from gateway.control.incident.timeline import Timelines
from gateway.control.review.approvals import Approvals
from gateway.control.review.findings import Findings
from gateway.control.review.tasks import Tasks
from gateway.control.runs.runs import Ambient, Runs
from gateway.control.supervisor import Supervisor
from gateway.control.triggers.catch_up import CatchUp
from gateway.control.triggers.monitor import TriggerMonitor
from gateway.control.triggers.publishing_journal import PublishingJournal
from gateway.control.triggers.responder import Responder
from gateway.control.triggers.response_history import ResponseHistory
from gateway.control.triggers.windows import TriggerWindows
from gateway.control.upkeep import Heads, Reconciler
from gateway.core import addresses, limits
from gateway.core.adapter import catalog
from gateway.core.authorization import admission
from gateway.model.decision import Reason
from gateway.model.effect import State, Write
from gateway.model.entry import Result
from gateway.model.incident import Incident
from gateway.observe import metrics as observe_metrics
from gateway.pipeline.effect import SendWrite
from gateway.pipeline.endpoint import Endpoint
from gateway.pipeline.line import Line
from gateway.pipeline.probe import Probe
from gateway.pipeline.reply import Replies
from gateway.pipeline.stages.approve import Approve
from gateway.pipeline.stages.authenticate import Authenticate
from gateway.pipeline.stages.decide import Decide
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.stages.intend import Intend
from gateway.pipeline.stages.meter import Meter
from gateway.pipeline.stages.read import Read
from gateway.pipeline.stages.recall import Recall
from gateway.pipeline.stages.snapshot import Snapshot
from gateway.pipeline.stages.verify import Verify
from gateway.pipeline.step_counter import StepCounter
from gateway.pipeline.streams import Streams
from gateway.pipeline.tool import Tool, ToolReads
from gateway.ports.rates import Rates
from gateway.settings.config import Config, ToolConfig
from gateway.stores.sqlite.store import SqliteStore, open_store
from gateway.wire.outbound.channel import Origin
from gateway.wire.outbound.pool import Pool

Log = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
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
    sentinel: TriggerMonitor
    catch_up: CatchUp
    front: Endpoint
    containment: Containment
    runs: Runs
    tasks: Tasks
    findings: Findings
    approvals: Approvals
    recovery: Recovery
    stories: Timelines
    heads: Heads
    reconciler: Reconciler
    ambient: Ambient
    webhooks: Webhooks
    metrics: CollectorRegistry

    async def close(self) -> None:
        """End the connections to tools, sign the last head, write what was taken."""
        await self.pool.close()
        await self.webhooks.close()
        await self.rates.close()
        try:
            await self.heads.tick()
        finally:
            await self.store.close()
            await self.engine.close()
            if self.candidate is not None:
                await self.candidate.close()


async def assemble(config: Config, log: Log, report: Callable[[str, str], None], *, warn: Log | None = None) -> Gateway:
    """Open the stores and keys and put every part in its place. ``log`` takes what belongs to calls, ``warn`` what someone should see.

    Raises:
        Misconfigured: a folder, key, journal or policy cannot be used; one line per problem.
    """
    clock = SystemClock()
    app_store.make(config.data_dir, f"{config.path.name}: data_dir", mode=0o700)
    if config.anchor is not None:
        app_store.make(config.anchor, f"{config.path.name}: anchor.file")
    key_folder = config.data_dir / "keys"
    async with AsyncExitStack() as undone:
        engine = await open_engine(config.policy, mint=clock.mint, report=report)
        undone.push_async_callback(engine.close)
        keys, signer = open_lease_keys(key_folder), open_head_key(key_folder)
        store = await open_store(config.data_dir, clock)
        undone.push_async_callback(store.close)
        candidate = None if config.candidate is None else EmbeddedEngine(config.candidate, mint=clock.mint, report=report)
        if candidate is not None:
            undone.push_async_callback(candidate.close)
        gateway = await _assembled(config, log, warn or log, clock, store, keys, signer, engine, candidate)
        undone.pop_all()
        return gateway


async def _assembled(
    config: Config,
    log: Log,
    warn: Log,
    clock: SystemClock,
    store: SqliteStore,
    keys: SignedLeases,
    signer: SignedHeads,
    engine: Engine,
    candidate: EmbeddedEngine | None,
) -> Gateway:
    vault = TenantVault(store.blobs, open_master_key(config.data_dir / "keys"))
    replica = OrderReplica()
    supervisor = Supervisor(warn)
    watches = TriggerWindows(config.triggers)
    journal = PublishingJournal(store.journal)
    containment = Containment(replica, journal, store.registry, clock)
    await containment.load()
    respond = Responder(
        journal,
        ResponseHistory(store.history),
        store.registry,
        store.incidents,
        containment,
        engine,
        clock,
        revision=lambda: engine.revision,
    )
    taking_back: list[Recovery] = []

    async def roll_back(incident: Incident) -> None:
        await taking_back[0].automatic(incident)

    async def violations(run_id: str) -> Sequence[Reason]:
        return await taking_back[0].violations(run_id)

    sentinel = TriggerMonitor(watches, respond, roll_back, violations, supervisor.spawn, warn)
    journal.watch(sentinel)
    runs = Runs(journal, store.registry, keys, replica, clock, config.task_classes)
    ambient = Ambient(_ambient(config), runs, clock)
    tools = {name: _tool(one) for name, one in config.tools.items()}
    pool = Pool({name: _origin(one) for name, one in config.tools.items()}, allowed=addresses.allowed)
    look = ToolReads(pool)
    probe = Probe(tools, look, journal, store.registry, store.writes, store.history, store.blobs, vault, clock)
    metrics = CollectorRegistry()
    streams = Streams()
    replica.changed.append(streams.recheck)
    gate = Gate(replica, clock, engine)
    replies = Replies(replica, clock)
    pace = StepCounter(store.registry)
    rates = await open_rates(config.rates, clock.monotonic)
    tenant_limits = functools.partial(limits.of_tenant, config.tenants)
    intend = Intend(journal, store.registry, vault, clock, config.task_classes, tenant_limits)
    send_write = SendWrite(intend=intend, upstream=pool, gate=gate, verify=Verify(look, clock), journal=journal, vault=vault, clock=clock)
    decide = Decide(engine, store.registry, candidate)
    approvals = Approvals(journal, store.approvals, store.registry, store.blobs, vault, clock, config.approval_ttl)
    snapshot = Snapshot(look, store.sightings, approvals)
    line = Line(
        authenticate=Authenticate(tools, keys, store.registry, pace, sentinel, clock, ambient.lease),
        gate=gate,
        meter=Meter(rates, pace, config.task_classes, tenant_limits),
        recall=Recall(store.writes, store.sightings, store.blobs, vault, journal, probe, clock, store.checkpoints),
        decide=decide,
        approve=Approve(approvals, decide, snapshot, vault),
        read=Read(
            reads=look,
            gate=gate,
            decide=decide,
            responses=respond,
            journal=journal,
            streams=streams,
            replies=replies,
            vault=vault,
            clock=clock,
        ),
        snapshot=snapshot,
        send_write=send_write,
        streams=streams,
        replies=replies,
    )
    tasks = Tasks(journal, store.registry, store.writes, clock, _by_person(probe))
    parts = Parts(
        tools=tools,
        line=line,
        look=look,
        probe=probe,
        journal=journal,
        store=store,
        vault=vault,
        engine=engine,
        containment=containment,
        tasks=tasks,
        approvals=approvals,
        runs=runs,
        supervisor=supervisor,
        clock=clock,
        warn=warn,
        patience=config.rollback_patience,
    )
    back = recovery(parts)
    taking_back.append(back)
    webhooks = await webhooks_of(config, store, clock, warn)
    metrics.register(counted(webhooks, lambda: store.journal.health().seq))
    if webhooks.deliveries:
        journal.listeners.append(webhooks.heard)
    observer = observe_metrics.Observer(clock.monotonic, log)
    metrics.register(observer)
    observe_metrics.gauges(
        metrics,
        {
            "killcord_order_epoch": ("The epoch of the containment orders in force.", lambda: float(replica.epoch)),
            "killcord_journal_lag_entries": ("Entries that wait for the disk.", lambda: float(store.journal.health().lag)),
            "killcord_journal_ok": ("1 while the journal can be written.", lambda: float(store.journal.health().ok)),
            "killcord_journal_seq": ("The newest entry's number.", lambda: float(store.journal.health().seq)),
            "killcord_rates_ok": ("1 while calls can be metered.", lambda: float(rates.health()[0])),
        },
    )
    return Gateway(
        config=config,
        clock=clock,
        store=store,
        keys=keys,
        signer=signer,
        engine=engine,
        candidate=candidate,
        rates=rates,
        pool=pool,
        streams=streams,
        supervisor=supervisor,
        journal=journal,
        sentinel=sentinel,
        catch_up=CatchUp(store.history, store.registry, watches, sentinel, clock),
        front=Endpoint(line, tools, journal, vault, replies, sentinel, clock, observer),
        containment=containment,
        runs=runs,
        tasks=tasks,
        recovery=back,
        approvals=approvals,
        findings=Findings(journal, vault, store.incidents, store.writes, store.history, clock, sentinel.answered),
        stories=Timelines(
            store.history, store.registry, store.writes, containment, clock, catalog.undos(one.catalog for one in tools.values())
        ),
        heads=Heads(store.history, signer, clock, app_store.anchor(config.anchor)),
        reconciler=Reconciler(store.writes, clock, _probed(probe), _abandoned(probe), send_write.live, back.rollbacks.is_executing),
        ambient=ambient,
        webhooks=webhooks,
        metrics=metrics,
    )


def _tool(one: ToolConfig) -> Tool:
    declared = one.credential
    secret = None if declared is None else ToolSecret(declared.header, declared.value, declared.file, declared.environ)
    constant = None if secret is None else secret.constant
    return Tool(
        name=one.name,
        catalog=one.catalog,
        authority=one.origin.authority,
        base=one.origin.base,
        fixed_secret=() if constant is None else (constant,),
        credential=None if secret is None or constant is not None else secret.header,
        credential_header=None if declared is None else declared.header.lower().encode("ascii"),
        timeout=one.timeout,
        lease_header=one.lease_header.lower() if one.lease_header is not None else None,
        lease_basic=one.lease_basic,
        shadow_until=one.shadow_until,
    )


def _origin(one: ToolConfig) -> Origin:
    if one.origin.scheme == "unix":
        return Origin(unix=one.origin.socket, connections=one.connections)
    if one.origin.scheme == "http":
        return Origin(host=one.origin.host, port=one.origin.port, connections=one.connections)
    trusted = ssl.create_default_context(cafile=str(one.ca) if one.ca is not None else None)
    return Origin(host=one.origin.host, port=one.origin.port, tls=trusted, connections=one.connections)


def _ambient(config: Config) -> admission.Request | None:
    one = config.ambient_run
    if one is None:
        return None
    return admission.Request(tenant=one.tenant, agent_id=one.agent_id, task_class=one.task_class, scopes=tuple(one.scopes))


def _probed(probe: Probe) -> Callable[[Write], Awaitable[State]]:
    async def decide(write: Write) -> State:
        return (await probe(write)).state

    return decide


def _abandoned(probe: Probe) -> Callable[[Write], Awaitable[None]]:
    async def conclude(write: Write) -> None:
        await probe.conclude(write, Result.UNKNOWN, by="restart", reason="the gateway stopped before the outcome was known")

    return conclude


def _by_person(probe: Probe) -> Callable[[Write, bool, str, str], Awaitable[None]]:
    async def conclude(write: Write, applied: bool, by: str, note: str) -> None:
        await probe.conclude(write, Result.SUCCESS if applied else Result.FAILED, by=by, reason=note)

    return conclude
