"""What each call of the operators' door takes: bodies and queries."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gateway.http.server.fields import (
    Amount,
    Body,
    Calls,
    Count,
    Duration,
    Id,
    Label,
    ModeWord,
    Name,
    OrderWord,
    Query,
    Reason,
    ScopePattern,
    Wait,
)
from gateway.model.approval import ApprovalStatus
from gateway.model.entry import Kind

# --- bodies ----------------------------------------------------------------------------------------------------------


class AskedLimits(Body):
    """Limits of a run; those left out are its class's (or its parent's). Amounts in units."""

    rate: Calls | None = None
    steps: Count | None = None
    writes: Count | None = None
    records: Count | None = None
    tenants: Count | None = None
    systems: Count | None = None
    amount: dict[str, Amount] = Field(default_factory=dict)


class OpenRun(Body):
    """A run to open under a task class, never wider than it or than its parent."""

    tenant: Id
    agent_id: Name
    task_class: Id = "default"
    scopes: list[ScopePattern] = Field(max_length=200)
    tools: list[Id] | None = Field(default=None, max_length=200)
    mode: ModeWord = "active"
    ttl: Duration | None = None
    run_id: Id | None = None
    workflow_id: Id | None = None
    parent_run: Id | None = None
    limits: AskedLimits = AskedLimits()
    reason: Reason | None = None


class RenewLease(Body):
    """A new lease of the same generation."""

    ttl: Duration | None = None
    reason: Reason | None = None


class Because(Body):
    """Why, for the journal."""

    reason: Reason | None = None


class AskAdmission(Body):
    """May this task start?"""

    tenant: Id
    task_class: Id
    run_id: Id | None = None
    reason: Reason | None = None


class ScopeBody(Body):
    """A conjunction: all that are given must match; ``all`` stands alone."""

    run: Id | None = None
    subtree: bool = False
    agent: Name | None = None
    tenant: Id | None = None
    task_class: Id | None = None
    tool: Id | None = None
    all: bool = False


class Contain(Body):
    """A containment order. ``dry_run`` only says how many open runs it would hit."""

    scope: ScopeBody
    mode: OrderWord = "active"
    no_fanout: bool = False
    reason: Reason
    ttl: Duration | None = None
    wait: Wait | None = None
    dry_run: bool = False


class ReportFinding(Body):
    """What a verifier proved about a run's state. ``evidence`` is sealed; at most 16 KiB of it are taken."""

    kind: Id
    severity: Annotated[Id, AfterValidator(str.lower)] = Field(description="`critical`, or a lesser word such as `high`: policy weighs it")
    evidence: dict[str, Any]
    reason: Reason | None = None


class RollBackScope(Body):
    """A run; with ``subtree``, and all that it started."""

    run: Id
    subtree: bool = False


class RollBack(Body):
    """Take back what a run did since its start, a checkpoint or an entry. ``dry_run`` only plans, and needs no reason."""

    scope: RollBackScope
    to: Name = Field(default="start", description="`start`, a checkpoint's id, or an entry `<stream>/<seq>`")
    dry_run: bool = False
    reason: Reason | None = None


class BecauseRequired(Body):
    """Why, for the journal."""

    reason: Reason


class TakeCheckpoint(Body):
    """A safe boundary to take a run up again from. ``state_ref`` says where the workflow's state of now is kept: at most 1 KiB of text."""

    state_ref: str = Field(min_length=1, max_length=1024)
    label: Label | None = None
    generation: Count | None = Field(
        default=None, description="the run's, as whoever keeps the state knows it; 409 where it was resumed since"
    )
    reason: Reason | None = None


class ResumeRun(Body):
    """A contained run to be taken up again. What is left out stays as the run has it; nothing can become wider."""

    checkpoint: Name | None = Field(default=None, description="a checkpoint's id, an entry `<stream>/<seq>` or `start`")
    scopes: list[ScopePattern] | None = Field(default=None, max_length=200)
    tools: list[Id] | None = Field(default=None, max_length=200)
    mode: ModeWord | None = None
    limits: AskedLimits = AskedLimits()
    require_approval: list[ScopePattern] = Field(default_factory=list, max_length=200, description="writes that a person has to approve")
    reason: Reason


class ResolveTask(Body):
    """What a person found or did at the tool. ``reason`` is taken for ``note`` where that is missing."""

    resolution: Literal["applied", "not_applied", "done", "not_needed", "accepted"]
    note: Reason | None = None
    reason: Reason | None = None


class DecideApproval(Body):
    """A person's yes or no."""

    decision: Literal["approve", "deny"]
    reason: Reason


# --- queries ---------------------------------------------------------------------------------------------------------

Cursor = Annotated[str, Field(max_length=300, description="the `next` of the page before")]
Limit = Annotated[int, Field(ge=1, le=1000)]


class ListRuns(Query):
    tenant: Id | None = None
    agent: Name | None = None
    mode: ModeWord | None = Field(default=None, description="the effective mode")
    parent: Id | None = None
    after: Cursor | None = None
    limit: Limit = 100


class ListCheckpoints(Query):
    after: Cursor | None = None
    limit: Limit = 100


class ListEffects(Query):
    after: Cursor | None = None
    limit: Limit = 1000


class ListOfRun(Query):
    run: Id | None = None
    after: Cursor | None = None
    limit: Limit = 100


class ListTasks(Query):
    run: Id | None = None
    status: Literal["open", "resolved"] | None = None
    kind: Literal["outcome-unknown", "correction", "review"] | None = None
    after: Cursor | None = None
    limit: Limit = 100


class ListRollbacks(Query):
    run: Id | None = None
    state: Literal["running", "needs_operator", "clean", "residue", "stopped"] | None = None
    after: Cursor | None = None
    limit: Limit = 100


class ShowRollback(Query):
    nodes: bool = Field(default=True, description="false leaves the rows of the nodes out")


class ListIncidents(Query):
    run: Id | None = None
    state: Literal["open", "closed"] | None = None
    after: Cursor | None = None
    limit: Limit = 100


class ListApprovals(Query):
    run: Id | None = None
    status: ApprovalStatus | None = None
    after: Cursor | None = None
    limit: Limit = 100


class BecauseQuery(Query):
    reason: Reason | None = None


class Selection(Query):
    run: Id | None = None
    tenant: Id | None = None
    kind: Kind | None = None
    after: Cursor | None = Field(default=None, description="`<stream>/<seq>`")


class ListEntries(Selection):
    limit: Limit = 100
