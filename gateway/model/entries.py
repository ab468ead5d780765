"""Entries of calls: what was asked, decided, sent and answered; entries of what is decided and done about runs; and the sum of all."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from gateway.model.call import CompensationRecord, Effect, Reversibility, Target
from gateway.model.decision import Reason
from gateway.model.effect import KeyKind, KnownBy, Violation
from gateway.model.entry import EntryBase, Kind, Result, RunBase, StoreEntry, Verification
from gateway.model.review import Approval, Task
from gateway.model.rollback import Checkpoint, Rollback
from gateway.model.run import Order, RaisedLimit, Run
from gateway.model.trigger import Incident, Measure, Trigger, Verdict


class Requested(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The request as the agent made it. ``path`` has the query's keys; ``args_ref`` names the sealed values (earlier: both in ``path``)."""

    method: str
    path: str
    args_digest: str | None = None
    args_ref: str | None = None


class Sent(Struct, frozen=True, kw_only=True, gc=False):
    """The request as it goes to the tool; of a query ``path`` has the keys. ``body_digest`` is ``sha256:<hex>``."""

    method: str
    path: str
    body_digest: str


class KeyRecord(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The key of a write; ``window`` is in seconds. ``same`` is absent if it equals ``digest``, and from compensations."""

    kind: KeyKind
    digest: str
    content: str
    window: int
    same: str | None = None
    own: str | None = None


class ChargeRecord(Struct, frozen=True, gc=False, omit_defaults=True):
    """A charge as it was made: its limit may be another by now."""

    scope: str
    name: str
    amount: int
    member: str | None = None


class CandidateRecord(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a candidate policy said; ``error`` where it could say nothing."""

    error: str | None = None
    id: str | None = None
    allow: bool | None = None
    reasons: tuple[Reason, ...] | None = None
    revision: str | None = None
    hold: bool = False


class DecisionRecord(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A decision with all that it takes to decide again, but for the arguments. Times are Unix microseconds."""

    id: str
    allow: bool
    reasons: tuple[Reason, ...]
    revision: str
    hold: bool = False
    at: int | None = None
    mode: str | None = None
    lease_expires_at: int | None = None
    waived: bool = False
    counters: Mapping[str, int] | None = None
    approval: Mapping[str, object] | None = None
    candidate: CandidateRecord | None = None


class CallBase(RunBase, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """``confidence`` is in millionths. The three members of a rollback are there for a compensation alone: ``node`` is the id of the node
    that it carries out, ``compensates`` are the wire keys of its effects. ``dry_run``: a write that only shows what it would do.
    """

    step_id: str | None = None
    parent_step_id: str | None = None
    parent_named: bool = False
    rollback_id: str | None = None
    node: str | None = None
    compensates: tuple[str, ...] | None = None
    confidence: int | None = None
    trace_id: str | None = None
    tool: str | None = None
    action: str | None = None
    target: Target | None = None
    requested: Requested | None = None
    effect: Effect | None = None
    class_: Reversibility | None = field(name="class", default=None)
    fanout: bool = False
    dry_run: bool = False
    epoch: int | None = None


class AimedBase(CallBase, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A call of a run, at work in a workflow, that is known to be an action on a target."""

    workflow_id: str
    generation: int
    target: Target


class ReadEntry(AimedBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.READ.value):
    """``version`` is the one that the run has seen, where it read the object itself; ``conforms``: the reply is of the declared form.

    ``fallback_of`` is the action that was asked for, where another was read in its place.
    """

    status: int | None = None
    decision: DecisionRecord | None = None
    before_ref: str | None = None
    version: str | None = None
    conforms: bool = True
    fallback_of: str | None = None


class IntentEntry(AimedBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.INTENT.value):
    """A write that is about to be sent. ``existed``: whether its target was there before, absent if it was not read.
    ``undeclared`` names headers and query keys (behind a ``?``) that may have said where it goes, and that its adapter does not declare.
    ``guarded``: it is sent with the condition that the target is at ``before_version``, or absent.
    """

    step_id: str
    tool: str
    action: str
    requested: Requested
    idempotency_key: str
    attempt: int
    key: KeyRecord
    sent: Sent | None = None
    charges: tuple[ChargeRecord, ...] | None = None
    decision: DecisionRecord | None = None
    approval_id: str | None = None
    compensation: CompensationRecord | None = None
    before_ref: str | None = None
    existed: bool | None = None
    before_version: str | None = None
    guarded: bool = False
    snapshot_ref: str | None = None
    undeclared: tuple[str, ...] | None = None


class OutcomeEntry(AimedBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.OUTCOME.value):
    """What became of the write of the ``intent``. The target of a create has the id of what it made. ``pending``: it is only accepted.
    ``approval_returned`` is the grant that the intent spent for nothing, good for the same call again."""

    idempotency_key: str
    attempt: int
    intent: str
    result: Result
    verification: Verification
    status: int | None = None
    after_ref: str | None = None
    after_version: str | None = None
    reply_ref: str | None = None
    conforms: bool = True
    identity: str | None = None
    pending: bool = False
    approval_returned: str | None = None


class ReconciliationEntry(AimedBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.RECONCILIATION.value):
    """What a probe, a restart or a person found out about an unknown outcome; ``known_by`` is absent in entries of earlier versions."""

    idempotency_key: str
    attempt: int
    result: Result
    by: str
    reason: str
    intent: str | None = None
    after_ref: str | None = None
    after_version: str | None = None
    status: int | None = None
    verification: Verification = Verification.NONE
    known_by: KnownBy | None = None


class ReplayEntry(AimedBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.REPLAY.value):
    """A repeat that the intent at ``replay_of`` answers; ``resumed``: from before a checkpoint; ``named``: its own key is bound by it."""

    idempotency_key: str | None = None
    attempt: int | None = None
    replay_of: str
    resumed: bool = False
    named: KeyRecord | None = None


class RefusalEntry(CallBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.REFUSAL.value):
    """``metered``: it was counted as a step. ``violated`` are the limits that the journal found in the way, ``violated_policies`` those
    found before; ``missing_amount`` is a limited amount that the call does not state.
    """

    generation: int
    code: str
    status: int
    detail: str
    metered: bool = False
    reasons: tuple[Reason, ...] | None = None
    violated: tuple[Violation, ...] | None = None
    violated_policies: tuple[str, ...] | None = field(name="violated-policies", default=None)
    missing_amount: str | None = None
    identity: str | None = None
    order_id: str | None = None
    approval_id: str | None = None
    decision: DecisionRecord | None = None


CallEntry = ReadEntry | IntentEntry | OutcomeEntry | ReconciliationEntry | ReplayEntry | RefusalEntry


class RunEntry(RunBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.RUN.value):
    """``change`` is ``opened``, ``renewed``, ``resumed`` (from the checkpoint named, with the limits ``raised``) or ``closed``."""

    run: Run
    change: str
    by: str | None = None
    reason: str | None = None
    checkpoint_id: str | None = None
    step_id: str | None = None
    raised: tuple[RaisedLimit, ...] | None = None


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
    """``change`` is ``requested``, ``granted``, ``denied``, ``voided``, ``used`` or ``returned``."""

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
Entry = CallEntry | ControlEntry | StoreEntry
