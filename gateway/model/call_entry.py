"""Entries of calls: what was asked, decided, sent and answered."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from gateway.model.call import CompensationRecord, Effect, Reversibility, Target
from gateway.model.decision import Reason
from gateway.model.effect import KeyKind, Violation
from gateway.model.entry import Kind, Result, RunBase, Verification


class Requested(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The request as the agent made it. ``args_digest`` is ``sha256:<hex>``, ``args_ref`` names the sealed arguments."""

    method: str
    path: str
    args_digest: str | None = None
    args_ref: str | None = None


class Sent(Struct, frozen=True, kw_only=True, gc=False):
    """The request as it goes to the tool; ``body_digest`` is ``sha256:<hex>``."""

    method: str
    path: str
    body_digest: str


class KeyRecord(Struct, frozen=True, kw_only=True, gc=False):
    """The key of a write; ``window`` is in seconds. Tenant and workflow are the entry's."""

    kind: KeyKind
    digest: str
    content: str
    window: int


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
    that it carries out, ``compensates`` are the wire keys of its effects.
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
    """A write that is about to be sent. ``existed``: whether its target was there before, absent if it was not read."""

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
    snapshot_ref: str | None = None


class OutcomeEntry(AimedBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.OUTCOME.value):
    """What became of a write; ``intent`` is the position of its intent. The target of a create has the id of what it made."""

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


class ReconciliationEntry(AimedBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.RECONCILIATION.value):
    """What a probe, a restart or a person found to have become of a write whose outcome was unknown."""

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


class ReplayEntry(AimedBase, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag=Kind.REPLAY.value):
    """A repeat that was answered from the journal: ``replay_of`` is the position of the intent. ``resumed``: from before a checkpoint."""

    idempotency_key: str | None = None
    attempt: int | None = None
    replay_of: str
    resumed: bool = False


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
