"""Entries of what is decided and done about runs; and the sum of all entries."""

from __future__ import annotations

from gateway.model.call import Target
from gateway.model.call_entry import CallEntry, Sent
from gateway.model.entry import EntryBase, Kind, RunBase
from gateway.model.review import Approval, Task
from gateway.model.rollback import Checkpoint, Rollback
from gateway.model.run import Order, Run
from gateway.model.trigger import Incident, Measure, Trigger, Verdict


class RunEntry(RunBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.RUN.value):
    """``change`` is ``opened``, ``renewed``, ``resumed`` (from the checkpoint named) or ``closed``."""

    run: Run
    change: str
    by: str | None = None
    reason: str | None = None
    checkpoint_id: str | None = None
    step_id: str | None = None


class OrderEntry(EntryBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.ORDER.value):
    """``change`` is ``made`` or ``released``; ``by`` and ``reason`` are of this change."""

    order: Order
    change: str
    epoch: int | None = None
    by: str | None = None
    reason: str | None = None


class TriggerEntry(RunBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.TRIGGER.value):
    """``incident_id`` names the incident that it joins."""

    generation: int
    trigger: Trigger
    incident_id: str | None = None


class ResponseEntry(RunBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.RESPONSE.value):
    """``trigger`` is the position of the trigger's entry, or the trigger itself where that has none. ``order_id`` holds what the response
    asks for; ``change`` says how ``incident`` changed: ``opened`` or ``updated``.
    """

    generation: int
    name: str
    action: Measure
    verdict: Verdict
    rollback: bool
    why: str
    revision: str
    trigger: str | Trigger | None = None
    order_id: str | None = None
    incident: Incident | None = None
    change: str | None = None


class FindingEntry(RunBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.FINDING.value):
    """``finding`` is the verifier's own word for what is wrong. ``about`` are the positions of the entries that it is about, and
    ``unfound`` counts the names that are not the run's; findings of earlier versions have neither.
    """

    workflow_id: str
    generation: int
    finding: str
    finding_id: str
    severity: str
    evidence_ref: str
    evidence_digest: str | None = None
    by: str
    reason: str | None = None
    about: tuple[str, ...] | None = None
    unfound: int | None = None


class RollbackEntry(RunBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.ROLLBACK.value):
    """A change of a rollback, of one of its nodes (``change`` is ``node``), or of the incident that a recovery is for.

    ``since`` (RFC 3339) is when a node that waits began to; ``request`` is what would be sent, ``seen`` the version that was found;
    ``retriable``: it was given up, and continuing tries it again.
    """

    change: str
    rollback_id: str | None = None
    rollback: Rollback | None = None
    incident: Incident | None = None
    by: str | None = None
    reason: str | None = None
    node: str | None = None
    state: str | None = None
    why: str | None = None
    since: str | None = None
    seen: str | None = None
    request: Sent | None = None
    task_id: str | None = None
    approval_id: str | None = None
    retriable: bool = False


class TaskEntry(RunBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.TASK.value):
    """``change`` is ``opened`` or ``resolved``; who resolved it, and what they noted, stands in ``by`` and ``reason``."""

    task: Task
    change: str
    step_id: str | None = None
    by: str | None = None
    reason: str | None = None


class ApprovalEntry(RunBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.APPROVAL.value):
    """``change`` is ``requested``, ``granted``, ``denied``, ``voided`` or ``used``."""

    generation: int
    approval_id: str
    approval: Approval
    change: str
    tool: str
    action: str
    target: Target
    rollback_id: str | None = None
    node: str | None = None
    by: str | None = None
    reason: str | None = None


class CheckpointEntry(RunBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.CHECKPOINT.value):
    generation: int
    checkpoint_id: str
    checkpoint: Checkpoint
    by: str
    reason: str


ControlEntry = (
    RunEntry | OrderEntry | TriggerEntry | ResponseEntry | FindingEntry | RollbackEntry | TaskEntry | ApprovalEntry | CheckpointEntry
)
Entry = CallEntry | ControlEntry
