"""A rollback: which runs, back to which checkpoint, who executes it and its result; and its plan: what is done about each effect, and
after what.

A checkpoint is a place in a run's journal at which all that it had done was known and verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from gateway.model.call import Remedy, Target
from gateway.model.entry import Position


class RollbackStatus(StrEnum):
    """``CLEAN``, ``RESIDUE`` and ``STOPPED`` are final; ``NEEDS_OPERATOR`` continues after a person's action."""

    RUNNING = "running"
    NEEDS_OPERATOR = "needs_operator"
    CLEAN = "clean"
    RESIDUE = "residue"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        return self in (RollbackStatus.CLEAN, RollbackStatus.RESIDUE, RollbackStatus.STOPPED)


class Rollback(Struct, frozen=True, kw_only=True, gc=False):
    """Times are Unix seconds. ``to`` is ``start``, a checkpoint's id or an entry; ``since`` the seq after which effects are compensated.

    ``epoch`` is the newest order's when it began: those before it do not stop it. ``owner`` executes it, and ``owner_epoch``
    grows with every change of hands: what an earlier owner still tries is refused. ``plan_ref`` names the sealed plan.
    ``residue`` are sentences for a person: what could not be, or was not, compensated.
    """

    rollback_id: str
    run_id: str
    subtree: bool
    tenant: str
    workflow_id: str
    generation: int
    to: str
    since: int
    reason: str
    by: str
    status: RollbackStatus
    epoch: int
    owner: str
    owner_epoch: int
    plan_ref: str
    nodes: int
    started_at: float
    updated_at: float
    ended_at: float | None = None
    incident_id: str | None = None
    residue: tuple[str, ...] = ()


Step = tuple[str, str]
"""A step of the scope: run id and step id."""


class NodeAction(StrEnum):
    """``CALL`` a compensating call, ``TASK`` a person corrects it, ``REVIEW`` a person looks at what cannot be undone, ``PROBE`` it has
    to be determined first whether there is anything to undo, ``NOTHING`` what was made within the scope was removed within it.
    """

    CALL = "call"
    TASK = "task"
    REVIEW = "review"
    PROBE = "probe"
    NOTHING = "nothing"


class CompensationKind(StrEnum):
    """What a compensating call does: restores an existing object, creates a removed one again, removes a created one, or offsets
    an effect.
    """

    RESTORES = "restores"
    MAKES = "makes"
    REMOVES = "removes"
    OFFSETS = "offsets"


class NodeState(StrEnum):
    """``NOTHING``: no longer needed. ``TASK``: handed to a person. ``WAITING``: for an approval. ``FAILED``: given up."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    NOTHING = "nothing"
    TASK = "task"
    WAITING = "waiting"
    UNKNOWN = "unknown"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def passed(self) -> bool:
        """Whether its dependents may proceed: a conflict on one object does not block others."""
        return self in _PASSED


States = Mapping[str, NodeState]
"""The states of a plan's nodes, by their id; a node without one is pending."""

_PASSED = frozenset({NodeState.DONE, NodeState.NOTHING, NodeState.TASK, NodeState.FAILED})


class NodeOutcome(Struct, frozen=True):
    """The result of a node. ``why`` is a sentence for a person; ``again`` whether trying once more may help, after ``pause`` seconds at
    the least if the tool asks for that. ``WAITING`` if nothing was applied, for a transient reason.

    ``seen`` is the object's state when it was read: its version, ``absent``, or ``None`` if it was not read.
    ``after`` is the version that the compensation left.
    """

    state: NodeState
    why: str = ""
    again: bool = False
    pause: float = 0.0
    seen: str | None = None
    after: str | None = None


class Node(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What is done about some effects on one object. The last three groups speak of a ``CALL`` alone.

    ``node_id`` is made of the position of its first effect: another plan of the same effects gives the same. ``effects`` are wire
    keys, oldest first, never none. ``after`` names the nodes (and joins of the plan) that have to be finished first: a newer one on
    the same object always is. ``why`` is a sentence for a person.

    ``original`` is the wire key of the effect whose declared compensation is carried out: its request fills the path of ``by`` and is,
    with its reply, what the body's expression sees; ``tool``, ``action``, ``args_ref`` and ``reply_ref`` are that effect's.
    ``snapshot_ref`` is the kept state before the *first* effect. ``with_body`` is false if the declared body belongs to another
    way of undoing it (an upsert that made its object: ``by`` then is the catalog's ``delete_created``).

    The object has to be at version ``guard``, or not be there (``guard_absent``), or be as the node ``guard_follows`` left it, which
    is then known only once that one ran: if that one is not ``DONE`` or ``NOTHING``, this one is a conflict. None of the three:
    the object is not known to have versions and the call overwrites nothing.

    ``compared`` is what of the object is compared afterwards with what was kept (its ``content-type`` if it had one); of what else the
    tool keeps, nothing is known.
    """

    node_id: str
    effects: tuple[str, ...]
    run_id: str
    tool: str
    action: str
    target: Target
    way: NodeAction
    remedy: Remedy
    why: str
    after: tuple[str, ...] = ()

    original: str
    by: str | None = None
    does: CompensationKind | None = None
    with_body: bool = True
    automatic: bool = False

    snapshot_ref: str | None = None
    args_ref: str | None = None
    reply_ref: str | None = None

    guard: str | None = None
    guard_absent: bool = False
    guard_follows: str | None = None

    compared: tuple[str, ...] = ()


class Plan(Struct, frozen=True):
    """``nodes`` stand in the order they would run if nothing ran in parallel: each after all it comes after, else the newest first.

    ``joins`` gather nodes under one name, if many wait for many: a node after a join comes after each of them. ``irreversible``
    if an effect cannot be undone, or could not be if it was applied: what follows from it must not start.
    """

    nodes: tuple[Node, ...]
    joins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    irreversible: bool = False


START = "start"
"""The id of the place before all that a run did."""

BY_ROLLBACK = "rollback"
"""Who concluded what became of a compensation, if that was the execution of its own rollback."""


class Touched(Struct, frozen=True, gc=False):
    """An object that the run changed: the version that its last effect left (``None``: it is not known), and that effect's outcome."""

    target: Target
    version: str | None
    receipt: Position


class Checkpoint(Struct, frozen=True, kw_only=True, gc=False):
    """Times are Unix seconds. What was begun up to ``at`` is before it; ``None`` is the run's start.

    One that somebody took has an id of its own, and ``state_ref``: where the workflow's state of that time is kept. An ``automatic`` one is
    a verified boundary, named by its entry; its time is not kept. ``irreversible`` and ``compensations`` are the outcomes of what was
    completed by then; ``approvals`` and ``tasks`` are the ids of what was waited for when it was taken.
    """

    checkpoint_id: str
    run_id: str
    generation: int
    at: Position | None
    automatic: bool = False
    state_ref: str | None = None
    label: str | None = None
    objects: tuple[Touched, ...] = ()
    irreversible: tuple[Position, ...] = ()
    compensations: tuple[Position, ...] = ()
    approvals: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    tenant: str = ""
    workflow_id: str = ""
    by: str | None = None
    taken_at: float | None = None

    @property
    def seq(self) -> int:
        """The number of the last entry before it."""
        return 0 if self.at is None else self.at.seq
