"""Opening a run: what it asks for, held against its class and its parent. A run is never wider than either."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from gateway.core import limits
from gateway.core.authorization import gate
from gateway.model.run import Mode, Run, TaskClass


class TooWide(Exception):
    """The run asks for more than its class or its parent has; ``excess`` says what, a line each."""

    def __init__(self, excess: list[str]) -> None:
        super().__init__("; ".join(excess))
        self.excess = excess


class Request(Struct, frozen=True, kw_only=True):
    """What an orchestrator asks for. ``limits`` holds model values by field name, only those asked; ``ttl`` in seconds."""

    tenant: str
    agent_id: str
    task_class: str = "default"
    scopes: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None
    mode: Mode = Mode.ACTIVE
    ttl: float | None = None
    run_id: str | None = None
    workflow_id: str | None = None
    parent_run: str | None = None
    limits: Mapping[str, object] = field(default_factory=dict)


def run(request: Request, task_class: TaskClass, parent: Run | None, *, run_id: str, now: float, epoch: int) -> Run:
    """The run that the request opens. Only the time to live is clamped; all else that is too wide is refused.

    Raises:
        TooWide: it asks for more than its class or its parent has.
    """
    ceiling = parent.limits if parent else task_class.limits
    chosen = limits.inherit(request.limits, ceiling)
    excess = [f"tenant: {request.tenant} is not a tenant of class {task_class.name}"] * bool(
        gate.beyond([request.tenant], task_class.tenants)
    )
    excess += [f"scopes: {one} is beyond class {task_class.name}" for one in gate.beyond(request.scopes, task_class.scopes)]
    excess += limits.wider(chosen, task_class.limits)
    expires_at = now + min(request.ttl if request.ttl is not None else task_class.ttl, task_class.ttl)
    if parent is not None:
        excess += _beyond_parent(request, parent) + [f"{line} (parent)" for line in limits.wider(chosen, parent.limits)]
        expires_at = min(expires_at, parent.expires_at)
    if excess:
        raise TooWide(excess)
    return Run(
        run_id=run_id,
        workflow_id=request.workflow_id or (parent.workflow_id if parent else run_id),
        tenant=request.tenant,
        agent_id=request.agent_id,
        task_class=task_class.name,
        parent_run=request.parent_run,
        ancestors=(parent.run_id, *parent.ancestors) if parent else (),
        scopes=request.scopes,
        tools=request.tools if request.tools is not None or parent is None else parent.tools,
        mode=max(request.mode, parent.mode) if parent else request.mode,
        limits=chosen,
        opened_at=now,
        opened_under=epoch,
        expires_at=expires_at,
    )


def same(asked: Run, existing: Run) -> bool:
    """Whether opening an existing id again asks for the same run (times, the orders of then, and what a resume did to it aside)."""
    resumed = ("generation", "revoked", "superseded", "resumed_from", "require_approval")
    unlike = ("inherited", "opened_at", "opened_under", "expires_at", "closed_at", *resumed)
    return all(getattr(asked, name) == getattr(existing, name) for name in Run.__struct_fields__ if name not in unlike)


def _beyond_parent(request: Request, parent: Run) -> list[str]:
    excess = [f"scopes: {one} is beyond parent {parent.run_id}" for one in gate.beyond(request.scopes, parent.scopes)]
    if request.tenant != parent.tenant:
        excess.append(f"tenant: the parent works for {parent.tenant}")
    if parent.tools is not None:
        excess += [f"tools: {tool} is not one of the parent's" for tool in request.tools or () if tool not in parent.tools]
    return excess
