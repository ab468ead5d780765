"""The rights of a run: when opened never wider than its class and its parent, when resumed never wider than before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from gateway.core import limits
from gateway.core.authorization import gate
from gateway.core.codec.record import MODE, Codec, Form, rate
from gateway.model.rollback import Checkpoint
from gateway.model.run import Limits, Mode, RaisedLimit, Rate, Run, TaskClass


class TooWide(Exception):
    """The run asks for more than its class or its parent has; ``excess`` says what, a line each."""

    def __init__(self, excess: list[str]) -> None:
        super().__init__("; ".join(excess))
        self.excess = excess


class RunRequest(Struct, frozen=True, kw_only=True):
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


def opened(request: RunRequest, task_class: TaskClass, parent: Run | None, *, run_id: str, now: float, epoch: int) -> Run:
    """The run that the request opens. Only the time to live is clamped; all else that is too wide is refused.

    Raises:
        TooWide: it asks for more than its class or its parent has.
    """
    ceiling = parent.limits if parent else task_class.limits
    chosen = limits.inherit(request.limits, ceiling)
    excess = [f"tenant: {one} is not a tenant of class {task_class.name}" for one in gate.beyond([request.tenant], task_class.tenants)]
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


def is_same(asked: Run, existing: Run) -> bool:
    """Whether opening an existing id again asks for the same run (times, the orders of then, and what a resume did to it aside)."""
    resumed = ("generation", "revoked", "superseded", "resumed_from", "require_approval")
    unlike = ("inherited", "opened_at", "opened_under", "expires_at", "closed_at", *resumed)
    return all(getattr(asked, name) == getattr(existing, name) for name in Run.__struct_fields__ if name not in unlike)


def _beyond_parent(request: RunRequest, parent: Run) -> list[str]:
    excess = [f"scopes: {one} is beyond parent {parent.run_id}" for one in gate.beyond(request.scopes, parent.scopes)]
    if request.tenant != parent.tenant:
        excess.append(f"tenant: the parent works for {parent.tenant}")
    if parent.tools is not None:
        excess += [f"tools: {tool} is not one of the parent's" for tool in request.tools or () if tool not in parent.tools]
    return excess


class ResumeRequest(Struct, frozen=True, kw_only=True):
    """What a resume asks for; ``None``, and what ``limits`` does not name, is as the run has it.

    ``checkpoint`` is a checkpoint's id, ``start`` or an entry; ``None`` leaves the choice to the gateway. ``limits`` holds model values
    by field name. ``require_approval`` are patterns, as scopes are, of writes that need a person's approval from now on.
    """

    checkpoint: str | None = None
    scopes: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    mode: Mode | None = None
    limits: Mapping[str, object] = field(default_factory=dict)
    raise_limits: Mapping[str, object] = field(default_factory=dict)
    require_approval: tuple[str, ...] = ()


def raised(run: Run, wanted: Mapping[str, object], ceilings: Sequence[tuple[str, Limits]]) -> tuple[Run, tuple[RaisedLimit, ...]]:
    """A resumed run with limits raised, and each of them. ``ceilings`` are named.

    Raises:
        TooWide: a limit would be beyond a ceiling, or below what the run has.
    """
    if not wanted:
        return run, ()
    new, changed = limits.raised(run.limits, wanted)
    names = {f"limits.{one.name}" for one in changed}
    beyond = [(one, name) for name, ceiling in ceilings for one in limits.wider(new, ceiling)]
    excess = [f"raise_{one}, the limit of {name}" for one, name in beyond if one.partition(":")[0] in names]
    lowered = [one.partition(":")[0] for one in limits.wider(run.limits, new)]
    excess += [f"raise_{name}: is below what the run has; write it under limits" for name in lowered]
    if excess:
        raise TooWide(excess)
    return replace(run, limits=new), tuple(changed)


def resumed(run: Run, request: ResumeRequest, checkpoint: Checkpoint, *, epoch: int, expires_at: float) -> Run:
    """The run as it continues from a checkpoint: the orders on it up to ``epoch`` are over for it, its old leases are dead permanently.

    What an earlier resume brought stays: its gates, and the effects that answer their keys. What the run has used stays used: its
    counters continue.

    Raises:
        TooWide: it asks for more than the run has.
    """
    return replace(
        narrowed(run, request),
        generation=run.generation + 1,
        revoked=run.generation,
        superseded=epoch,
        resumed_from=max(run.resumed_from, checkpoint.seq),
        require_approval=tuple(dict.fromkeys((*run.require_approval, *request.require_approval))),
        expires_at=expires_at,
    )


def narrowed(run: Run, request: ResumeRequest) -> Run:
    """The run with the rights that a resume asks for.

    Raises:
        TooWide: it asks for more than the run has.
    """
    asked = {name: value for name in ("scopes", "tools", "mode") if (value := getattr(request, name)) is not None}
    narrow = replace(run, **asked, limits=limits.inherit(request.limits, run.limits))
    excess = [f"scopes: {one} is beyond what the run has" for one in gate.beyond(narrow.scopes, run.scopes)]
    excess += [f"tools: {one} is not one of the run's" for one in narrow.tools or () if run.tools is not None and one not in run.tools]
    if narrow.mode < run.mode:
        excess.append(f"mode: {narrow.mode.label} is wider than the run's {run.mode.label}")
    excess += limits.wider(narrow.limits, run.limits)
    if excess:
        raise TooWide(excess)
    return narrow


def _limits_written(members: Mapping[str, object]) -> dict[str, object]:
    return {name: str(value) if isinstance(value, Rate) else value for name, value in members.items()}


def _limits_read(members: Mapping[str, Any]) -> dict[str, object]:
    return {name: rate(value) if name == "rate" else value for name, value in members.items()}


_LIMITS = Form(_limits_written, _limits_read)
RESUME_REQUEST = Codec(ResumeRequest, forms={"mode": MODE, "limits": _LIMITS, "raise_limits": _LIMITS})
"""A request in the journal."""
