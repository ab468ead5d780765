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
from gateway.control.containment.gauges import Gauges
from gateway.control.containment.scope_lookup import ScopeLookup
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
from gateway.http.server import problem
from gateway.http.server.operators import Operator
from gateway.model.entries import Entry
from gateway.model.review import Approval, Task
from gateway.model.run import Run, Scope
from gateway.model.trigger import Incident
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Journal
from gateway.ports.keys import HeadSigner, LeaseKeys
from gateway.ports.known_names import Within
from gateway.ports.open_work import OpenWork
from gateway.ports.projections import Incidents, Registry, Writes
from gateway.ports.rollback import RollbackRecords

Serving = Literal["all", "sidecar", "control"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """``identify`` gives a token's operator, found by the token's digest; ``ready`` says whether calls can pass, and why not, part by
    part; ``sign_head`` signs and keeps a head over the newest durable entry; ``inspect`` says what is
    wrong with the stored journal, and ``anchored`` gives the newest notes of its anchor; ``allowed_hosts`` are names without ports."""

    runs: Runs
    containment: Containment
    scopes: ScopeLookup
    gauges: Gauges
    open_work: OpenWork
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
    inspect: Callable[[], Awaitable[list[str]]]
    anchored: Callable[[], list[str]]
    log: Callable[[str, dict[str, object]], None]
    metrics: CollectorRegistry
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    role: Serving = "all"
    undos: Undos = field(default_factory=dict)


Visible = Approval | Entry | Incident | Run | Task
Item = TypeVar("Item")
Object = TypeVar("Object", bound=Visible)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that ``operator`` may make by its role; ``raw`` is aiohttp's."""

    services: Services
    operator: Operator
    raw: web.Request

    async def sees(self, one: Visible | Scope) -> bool:
        """Whether an object or a scope lies within the operator's tenants and classes: by its own members, else by those of its run."""
        if self.operator.everywhere:
            return True
        run_id, tenant = (one.run, one.tenant) if isinstance(one, Scope) else (one.run_id, one.tenant)
        task_class = None if isinstance(one, Task) else one.task_class
        if run_id is not None and (tenant is None or task_class is None) and (run := await self.services.registry.run(run_id)) is not None:
            if isinstance(one, Scope) and not self.operator.covers(run.tenant, run.task_class):
                return self.operator.covers(tenant, task_class)  # as for a run that does not exist
            tenant = tenant or run.tenant
            # Descendants have their ancestor's tenant, but a class of their own.
            task_class = task_class or (None if isinstance(one, Scope) and one.subtree else run.task_class)
        return self.operator.covers(tenant, task_class)

    @property
    def within(self) -> Within:
        """What the operator may see."""
        return Within(self.operator.tenants, self.operator.classes)

    def require(self, tenant: str, task_class: str) -> None:
        """Check that the token covers a tenant under a task class.

        Raises:
            Forbidden: it does not.
        """
        if not self.operator.covers(tenant, task_class):
            raise problem.Forbidden(f"This token does not cover tenant {tenant} under task class {task_class}.")

    async def find(self, asked: Awaitable[Object | None], name: str) -> Object:
        """The object that is asked for.

        Raises:
            NotFound: there is none, or it is another tenant's: the answer is the same.
        """
        one = await asked
        return found(one if one is not None and await self.sees(one) else None, name)

    async def run(self, run_id: str) -> Run:
        """The run; see ``find``."""
        return await self.find(self.services.registry.run(run_id), f"run {run_id}")


def found(one: Item | None, name: str) -> Item:
    """``one``, which the request names.

    Raises:
        NotFound: it is ``None``.
    """
    if one is None:
        raise problem.NotFound(f"There is no {name}.")
    return one
