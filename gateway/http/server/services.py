"""What the control API needs of the rest of the gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import CollectorRegistry

from gateway.control.containment.containment import Containment
from gateway.control.incident.recovery import RecoveryDriver
from gateway.control.incident.timeline import Timelines
from gateway.control.review.approvals import Approvals
from gateway.control.review.findings import Findings
from gateway.control.review.tasks import Tasks
from gateway.control.rollback.rollbacks import Rollbacks
from gateway.control.runs.checkpoints import Checkpoints
from gateway.control.runs.resume import Resume
from gateway.control.runs.runs import Runs
from gateway.core.rollback.plan_objects import Undos
from gateway.http.server.operators import Operator
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Journal
from gateway.ports.keys import HeadSigner, LeaseKeys
from gateway.ports.projections import Registry, Writes
from gateway.ports.rollback import RollbackRecords
from gateway.ports.triggers import Incidents

Serving = Literal["all", "sidecar", "control"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """``identify`` gives a token's operator, found by the token's digest; ``ready`` says whether calls can pass, and why not, part by
    part; ``sign_head`` signs and keeps a head over the newest durable entry; ``allowed_hosts`` are names without ports."""

    runs: Runs
    containment: Containment
    tasks: Tasks
    findings: Findings
    approvals: Approvals
    rollbacks: Rollbacks
    rollback_records: RollbackRecords
    checkpoints: Checkpoints
    resume: Resume
    recover: RecoveryDriver
    incidents: Incidents
    timelines: Timelines
    registry: Registry
    writes: Writes
    history: History
    journal: Journal
    lease_keys: LeaseKeys
    head_signer: HeadSigner
    clock: Clock
    identify: Callable[[str], Operator | None]
    ready: Callable[[], tuple[bool, dict[str, object]]]
    sign_head: Callable[[], Awaitable[object]]
    log: Callable[[str, dict[str, object]], None]
    metrics: CollectorRegistry
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    role: Serving = "all"
    undos: Undos = field(default_factory=dict)
