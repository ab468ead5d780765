"""What calls pass: the line of agents' calls, the line of compensating calls, and the tools behind both."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from gateway.app.control import Control
from gateway.app.store import Opened
from gateway.clients.keys.tool_secret import ToolSecret
from gateway.core import limits
from gateway.observe.metrics import Observer
from gateway.pipeline.compensation.line import Compensate
from gateway.pipeline.compensation.request import CompensationRequests
from gateway.pipeline.effect import Intend, SendWrite
from gateway.pipeline.endpoint import Endpoint
from gateway.pipeline.line import Line
from gateway.pipeline.probe import Probe
from gateway.pipeline.reply import Replies, Streams
from gateway.pipeline.stages.authenticate import Authenticate
from gateway.pipeline.stages.decide import Approve, Decide
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.stages.meter import Meter, StepCounter
from gateway.pipeline.stages.observe import Snapshot, Verify
from gateway.pipeline.stages.read import Read
from gateway.pipeline.stages.recall import Recall
from gateway.pipeline.tool import Tool, ToolReads, Tools
from gateway.settings.config import Config, ToolConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    tools: Tools
    streams: Streams
    probe: Probe
    line: Line
    endpoint: Endpoint
    compensations: Compensate


def calls(config: Config, opened: Opened, control: Control, observer: Observer) -> Calls:
    """Assemble the stages of both lines over the opened stores and the containment."""
    clock, store, vault, journal = opened.clock, opened.store, opened.vault, control.journal
    tools = {name: _tool(one) for name, one in config.tools.items()}
    reads, streams = ToolReads(opened.pool), Streams()
    control.containment.replica.changed.append(streams.recheck)
    probe = Probe(tools, reads, journal, store.registry, store.writes, store.history, store.blobs, vault, clock)
    line = _line(config, opened, control, tools, reads, streams, probe)
    return Calls(
        tools=tools,
        streams=streams,
        probe=probe,
        line=line,
        endpoint=Endpoint(line, tools, journal, vault, line.replies, control.monitor, clock, observer),
        compensations=Compensate(
            tools=tools,
            calls=CompensationRequests(tools, store.blobs, vault),
            gate=line.gate,
            recall=line.recall,
            rules=opened.engine,
            reads=reads,
            send_write=line.send_write,
            probe=probe,
            clock=clock,
        ),
    )


def _line(config: Config, opened: Opened, control: Control, tools: Tools, reads: ToolReads, streams: Streams, probe: Probe) -> Line:
    clock, store, vault, journal = opened.clock, opened.store, opened.vault, control.journal
    replica, budgets = control.containment.replica, (config.task_classes, functools.partial(limits.of_tenant, config.tenants))
    steps = StepCounter(store.registry)
    gate, replies = Gate(replica, clock, opened.engine), Replies(replica, clock)
    decide = Decide(opened.engine, store.registry, opened.candidate)
    snapshot = Snapshot(reads, store.sightings, control.approvals)
    return Line(
        authenticate=Authenticate(tools, opened.keys, store.registry, steps, control.monitor, clock, control.ambient.lease),
        gate=gate,
        meter=Meter(opened.rates, steps, *budgets),
        recall=Recall(store.writes, store.sightings, store.blobs, vault, journal, probe, clock, store.checkpoints),
        decide=decide,
        approve=Approve(control.approvals, decide, snapshot, vault),
        read=Read(
            reads=reads,
            gate=gate,
            decide=decide,
            responses=control.responder,
            journal=journal,
            streams=streams,
            replies=replies,
            vault=vault,
            clock=clock,
        ),
        snapshot=snapshot,
        send_write=SendWrite(
            intend=Intend(journal, store.registry, vault, clock, *budgets),
            upstream=opened.pool,
            gate=gate,
            verify=Verify(reads, clock),
            journal=journal,
            vault=vault,
            clock=clock,
        ),
        streams=streams,
        replies=replies,
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
