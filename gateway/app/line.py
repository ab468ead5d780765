"""What calls pass and what they are checked against: orders, runs and answers to triggers; both lines, and the tools behind them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from gateway.app.resources import Resources
from gateway.clients.keys.tool_secret import ToolSecret
from gateway.control.containment.containment import Containment, OrderReplica
from gateway.control.review.approvals import Approvals
from gateway.control.runs.runs import Ambient, Runs
from gateway.control.supervisor import Supervisor
from gateway.control.triggers.monitor import TriggerMonitor, TriggerWindows
from gateway.control.triggers.publishing_journal import PublishingJournal
from gateway.control.triggers.responder import Responder, ResponseHistory
from gateway.core import limits
from gateway.core.authorization import admission
from gateway.observe.metrics import Observer
from gateway.pipeline.budgets import Budgets
from gateway.pipeline.compensation.line import Compensate
from gateway.pipeline.compensation.request import CompensationRequests
from gateway.pipeline.effect import Intend, SendWrite
from gateway.pipeline.endpoint import Endpoint
from gateway.pipeline.last_reads import LastReads
from gateway.pipeline.line import Line
from gateway.pipeline.polling import PendingWrites, Polls
from gateway.pipeline.reply import Replies, Streams
from gateway.pipeline.stages.authenticate import Authenticate
from gateway.pipeline.stages.decide import Approve, Decide
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.stages.listing_search import ListingSearch
from gateway.pipeline.stages.meter import Meter, StepCounter
from gateway.pipeline.stages.observe import Snapshot, Verify
from gateway.pipeline.stages.probe import Probe
from gateway.pipeline.stages.probed_write import ProbedWrites
from gateway.pipeline.stages.read import Read
from gateway.pipeline.stages.recall import Recall
from gateway.pipeline.stages.schedule import Schedule
from gateway.pipeline.tool import Tool, ToolReader, Tools
from gateway.settings.config import Config, ToolConfig
from gateway.settings.sections import AmbientRunSection

Warn = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Control:
    """Services that the line of calls asks and notifies. ``supervisor`` owns the tasks of this process."""

    supervisor: Supervisor
    journal: PublishingJournal
    containment: Containment
    windows: TriggerWindows
    responder: Responder
    monitor: TriggerMonitor
    runs: Runs
    ambient: Ambient
    approvals: Approvals


async def control(config: Config, resources: Resources, warn: Warn) -> Control:
    """Assemble the parts before the line; the journal and the monitor are connected after all subscribers exist."""
    clock, store = resources.clock, resources.store
    supervisor, journal = Supervisor(warn), PublishingJournal(store.journal)
    containment = Containment(OrderReplica(store.registry.latest), journal, store.registry, clock)
    await containment.load()
    responder = Responder(journal, ResponseHistory(store.history), store.registry, store.incidents, containment, resources.engine, clock)
    windows = TriggerWindows(config.triggers)
    runs = Runs(journal, store.registry, resources.keys, containment.replica, clock, config.task_classes)
    monitor = TriggerMonitor(windows, responder, supervisor.spawn, warn)
    ambient = Ambient(_ambient(config.settings.ambient_run), runs, clock)
    waiting, ttl = store.approvals, config.settings.approvals.ttl
    approvals = Approvals(journal, waiting, store.registry, resources.vault, clock, ttl)
    return Control(supervisor, journal, containment, windows, responder, monitor, runs, ambient, approvals)


def _ambient(one: AmbientRunSection | None) -> admission.RunRequest | None:
    if one is None:
        return None
    return admission.RunRequest(tenant=one.tenant, agent_id=one.agent_id, task_class=one.task_class, scopes=tuple(one.scopes))


@dataclass(frozen=True, slots=True)
class Calls:
    tools: Tools
    streams: Streams
    probe: Probe
    line: Line
    endpoint: Endpoint
    compensations: Compensate


def calls(config: Config, resources: Resources, control: Control, observer: Observer) -> Calls:
    """Assemble the stages of both lines over the resources and the containment."""
    clock, store, vault, journal, engine = resources.clock, resources.store, resources.vault, control.journal, resources.engine
    registry, writes, sightings = store.registry, store.writes, store.sightings
    monitor, replica = control.monitor, control.containment.replica
    declared = config.task_classes, functools.partial(limits.of_tenant, config.tenants)
    budgets = Budgets(registry, *declared)
    tools = {name: _tool(one) for name, one in config.tools.items()}
    reader, streams, steps = ToolReader(resources.pool), Streams(), StepCounter(registry)
    replica.changed.append(streams.recheck)
    gate, decide = Gate(replica, clock, engine), Decide(engine, registry, resources.candidate)
    replies = Replies(replica, clock, streams, config.settings.http.blast_radius_status)
    polls = Polls(reader, clock)
    pending = PendingWrites(tools, polls, journal, registry, vault, clock)
    probed_writes = ProbedWrites(tools, vault)
    search = ListingSearch(probed_writes, reader, writes)
    probe = Probe(probed_writes, search, reader, journal, registry, writes, store.history, clock, pending)
    last_reads = LastReads(reader)
    snapshot = Snapshot(reader, sightings, control.approvals, last_reads)
    line = Line(
        authenticate=Authenticate(tools, resources.keys, registry, steps, monitor, clock, control.ambient.lease),
        schedule=Schedule(clock),
        gate=gate,
        meter=Meter(resources.rates, steps, *declared),
        recall=Recall(writes, sightings, vault, journal, probe, clock),
        decide=decide,
        approve=Approve(control.approvals, decide, snapshot, vault, budgets),
        read=Read(
            reader=reader,
            gate=gate,
            decide=decide,
            approvals=control.approvals,
            responses=control.responder,
            journal=journal,
            replies=replies,
            vault=vault,
            clock=clock,
            last_reads=last_reads,
        ),
        snapshot=snapshot,
        send_write=SendWrite(
            intend=Intend(journal, budgets, vault, clock),
            upstream=resources.pool,
            gate=gate,
            verify=Verify(reader, polls, clock),
            journal=journal,
            vault=vault,
            clock=clock,
            spawn=control.supervisor.spawn,
        ),
        replies=replies,
    )
    requests = CompensationRequests(tools, vault)
    compensations = Compensate(tools, requests, gate, line.recall, engine, reader, line.send_write, probe, clock)
    endpoint = Endpoint(line, tools, journal, vault, replies, monitor, clock, observer)
    return Calls(tools, streams, probe, line, endpoint, compensations)


def _tool(one: ToolConfig) -> Tool:
    section, declared, lease_in = one.section, one.credential, one.section.lease_in
    secret = None if declared is None else ToolSecret(declared.header, declared.value, declared.file, declared.environ)
    constant = None if secret is None else secret.constant
    return Tool(
        name=one.name,
        catalog=one.catalog,
        authority=section.base_url.authority,
        base=section.base_url.base,
        fixed_secret=() if constant is None else (constant,),
        credential=None if secret is None or constant is not None else secret.header,
        credential_header=None if declared is None else declared.header.lower().encode("ascii"),
        timeout=section.timeout,
        lease_header=lease_in.header.lower().encode("ascii") if lease_in and lease_in.header else None,
        lease_basic=bool(lease_in and lease_in.basic),
        shadow_until=section.shadow_until,
        cookies=section.cookies == "pass",
        public=None if section.public_url is None else (section.public_url.authority.decode("ascii"), section.public_url.base),
        fixed_headers=tuple(section.headers.items()),
        fixed_query=tuple(section.query.items()),
    )
