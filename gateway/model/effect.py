"""Effects: each write as the journal knows it now, and the keys under which it answers."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from gateway.model.call import Compensation, Target
from gateway.model.entry import Position, Verification


class State(StrEnum):
    IN_FLIGHT = "in_flight"
    FAILED = "failed"
    UNKNOWN = "unknown"
    STANDING = "standing"
    COMPENSATED = "compensated"


class KnownBy(StrEnum):
    """How the success of a write is known: by its reply, by a mark of its own at the tool, by a person; ``STATE``: by the object's state
    alone, which somebody else may have made (the write is *found*).
    """

    REPLY = "reply"
    MARK = "mark"
    PERSON = "person"
    STATE = "state"


class KeyKind(StrEnum):
    """Where a call's key came from; ``CONTENT`` keys lapse, the other two refuse other content."""

    OWN = "own"
    STEP = "step"
    CONTENT = "content"


class Key(Struct, frozen=True, kw_only=True, gc=False):
    """A logical key: what makes two calls the same call, within a tenant and a workflow.

    ``digest`` and ``content`` are hex SHA-256: of what the key is made of, and of method, target and canonical body.
    ``window`` is in seconds, for keys of kind ``CONTENT``. ``same`` is the digest that the call's content key has or would have: equal
    for all calls that do the same; empty in compensations and in journals of earlier versions. ``own`` is that of the agent's own key,
    where a content key is looked up together with it.
    """

    tenant: str
    workflow_id: str
    kind: KeyKind
    digest: str
    content: str
    window: float
    same: str = ""
    own: str | None = None


class Write(Struct, frozen=True, kw_only=True, gc=False):
    """One attempt of one write: a row of ``killcord runs effects``. Times are Unix seconds.

    ``before_version`` / ``after_version`` are verbatim as the tool gave them; ``reply_ref`` names the kept reply's
    sealed blob, absent where only the effect is known. ``parent_step`` is the causal parent that the agent named, if it
    did. ``existed``: whether the target existed before, ``None`` if it was not read. The target of a create has its id after the
    outcome. ``guarded``: it was sent with the condition that the object is at ``before_version``, or absent, and its adapter declares
    that the tool heeds that. ``known_by`` is how its success is known, if it is. ``undeclared`` names headers and query keys (behind a
    ``?``) that may have said where it went, and that its adapter does not declare. ``pending``: its tool has accepted it, and has not
    shown that it is done. A compensation has a ``rollback_id``, its node's id as its step, and the wire keys that it ``compensates``.
    """

    key: Key
    attempt: int
    wire_key: str
    state: State
    run_id: str
    generation: int
    step_id: str
    tool: str
    action: str
    target: Target
    compensation: Compensation
    intent: Position
    outcome: Position | None = None
    at: float = 0.0
    status: int | None = None
    before_version: str | None = None
    after_version: str | None = None
    snapshot_ref: str | None = None
    args_ref: str | None = None
    reply_ref: str | None = None
    verification: Verification = Verification.NONE
    rollback_id: str | None = None
    parent_step: str | None = None
    method: str = ""
    existed: bool | None = None
    compensates: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()
    guarded: bool = False
    known_by: KnownBy | None = None
    pending: bool = False

    @property
    def found(self) -> bool:
        """Whether nothing but the state of its object says that it was applied."""
        return self.known_by is KnownBy.STATE

    @property
    def removed(self) -> bool:
        """Whether it took its target away."""
        return self.method == "DELETE" and self.state is State.STANDING


class Charge(Struct, frozen=True, gc=False):
    """``amount`` more of ``name`` on ``scope`` (``run:r1``, ``workflow:w1``, ``class:c``, ``tenant:t``).

    With ``member``, the count of distinct members is what is limited (tenants, systems) and ``amount`` is 1.
    ``limit`` ``None`` counts without limiting.
    """

    scope: str
    name: str
    amount: int
    limit: int | None
    member: str | None = None


class Violation(Struct, frozen=True, gc=False):
    """A limit that a charge would have passed: by it the call was refused and nothing was charged."""

    scope: str
    name: str
    limit: int
    used: int
    asked: int


class Sighting(Struct, frozen=True, gc=False):
    """The version of an object that a run or a workflow last saw; ``None`` if its own write left it unknown."""

    version: str | None
    seq: int
