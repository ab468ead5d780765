"""What a handler receives: the services of the gateway, and a request with what its operator may see.

What belongs to other tenants or task classes is not found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from aiohttp import web
from prometheus_client import CollectorRegistry

from gateway.control.containment.containment import Containment
from gateway.control.incident.recovery import RecoveryDriver
from gateway.control.incident.timeline import Timelines
from gateway.control.review.approvals import Approvals
from gateway.control.review.findings import Findings
from gateway.control.review.tasks import Tasks
from gateway.control.rollback.rollbacks import Rollbacks
from gateway.control.runs.checkpoints import Checkpoints
from gateway.control.runs.runs import Resume, Runs
from gateway.core.rollback.plan_objects import Undos
from gateway.http.server import problem
from gateway.http.server.operators import Operator
from gateway.model.entries import Entry
from gateway.model.review import Approval, Task
from gateway.model.run import Run, Scope
from gateway.model.trigger import Incident
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Journal
from gateway.ports.keys import HeadSigner, LeaseKeys
from gateway.ports.projections import Incidents, Registry, Writes
from gateway.ports.rollback import RollbackRecords

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


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that ``operator`` may make by its role; ``raw`` is aiohttp's."""

    services: Services
    operator: Operator
    raw: web.Request

    def sees(self, one: Approval | Incident | Run) -> bool:
        """Whether an object is of the operator's tenants and task classes."""
        return self.operator.may_touch(one.tenant, one.task_class)

    async def sees_scope(self, scope: Scope) -> bool:
        """Whether an order of this scope touches nothing beyond the operator's tenants and classes."""
        if self.operator.everywhere:
            return True
        run = None if scope.run is None else await self.services.registry.run(scope.run)
        tenant = scope.tenant or (run.tenant if run else None)
        # Descendants have their ancestor's tenant, but a class of their own.
        task_class = scope.task_class or (run.task_class if run and not scope.subtree else None)
        return self.operator.covers(tenant, task_class)

    async def sees_entry(self, entry: Entry | Task) -> bool:
        """Whether an entry or a task is of the operator's tenants and classes: by what it says itself, else by its run."""
        if self.operator.everywhere:
            return True
        tenant, task_class = entry.tenant, None if isinstance(entry, Task) else entry.task_class
        if (tenant is None or task_class is None) and entry.run_id is not None:
            run = await self.services.registry.run(entry.run_id)
            if run is not None:
                tenant, task_class = tenant or run.tenant, task_class or run.task_class
        return self.operator.covers(tenant, task_class)

    async def find_run(self, run_id: str) -> Run | None:
        """The run; ``None`` also where the operator may not see it."""
        run = await self.services.registry.run(run_id)
        return run if run is not None and self.sees(run) else None

    async def run(self, run_id: str) -> Run:
        """The run.

        Raises:
            NotFound: there is none, or it is another tenant's: the answer is the same.
        """
        return found(await self.find_run(run_id), f"run {run_id}")


def found(one: Item | None, name: str) -> Item:
    """``one``, which the request names.

    Raises:
        NotFound: it is ``None``.
    """
    if one is None:
        raise problem.NotFound(f"There is no {name}.")
    return one
