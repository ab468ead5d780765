"""What a rollback needs of the line and of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.model.effect import Write
from gateway.model.entries import RollbackEntry, Sent
from gateway.model.rollback import Node, NodeOutcome, NodeState, Rollback
from gateway.model.run import Run


class CompensationRequest(Struct, frozen=True, kw_only=True):
    """One node of a plan, to be carried out now. ``effects`` are its own, oldest first; ``run`` is theirs.

    ``guard`` is the version at which the object has to be, ``None`` if the node is not guarded. ``fence`` is called in the
    same step as the first byte leaves: it raises a Refusal if the rollback was stopped.
    """

    rollback: Rollback
    node: Node
    run: Run
    effects: Sequence[Write]
    guard: str | None
    fence: Callable[[], None]


class Proposal(Struct, frozen=True, kw_only=True):
    """The request that would carry out a node. ``shown`` is all of it, for approvers: to be sealed, not journaled."""

    request: Sent
    shown: bytes


class Examined(Struct, frozen=True, kw_only=True):
    """An object re-read after a rollback. ``as_expected`` is ``None`` if its expected state is unknown."""

    exists: bool
    version: str | None
    state: object
    as_expected: bool | None
    why: str = ""


class NotExamined(Struct, frozen=True):
    """An object that its tool would not show just now: nothing is known of it, so that nothing is proved."""

    why: str


class Compensations(Protocol):
    """The line of compensating calls."""

    async def execute(self, compensating: CompensationRequest) -> NodeOutcome:
        """Carry out a node: once, whatever was tried before, and only what the plan permits.

        Raises:
            JournalUnavailable: the one refusal that is no state of the node.
        """
        ...

    async def proposal(self, compensating: CompensationRequest) -> Proposal | NodeOutcome:
        """The request that would carry out a node, for an approval; the node's result if there can be no request."""
        ...

    async def decide(self, write: Write) -> bool | None:
        """Determine whether an unknown write was applied; ``None`` while that is undecided: then a person decides.

        Raises:
            ToolUnreachable: its tool cannot be read now.
        """
        ...

    async def settle_unknown(self, compensating: CompensationRequest, write: Write) -> bool | None:
        """Determine whether a compensation of unknown outcome was applied, and journal the result; ``None`` while that is undecided.

        Raises:
            ToolUnreachable: its tool cannot be read now.
        """
        ...

    async def examine(self, node: Node, run: Run, effects: Sequence[Write], state: NodeState) -> Examined | NotExamined | None:
        """Look at a node's object again; ``None`` if it has none, or it can never be read."""
        ...


class RollbackRecords(Protocol):
    """The projection of ``rollback`` entries, and of the compensations made for them."""

    async def rollback(self, rollback_id: str) -> Rollback | None: ...

    async def rollbacks(self, *, run: str | None = None, after: str | None = None, limit: int | None = 100) -> Sequence[Rollback]: ...

    async def unfinished(self) -> Sequence[Rollback]:
        """Those that run or wait for a person."""
        ...

    async def compensations(self, rollback_id: str, node_id: str | None = None) -> Sequence[Write]:
        """Every attempt of every node, or of one, oldest first; a node's id is its step id."""
        ...

    async def marks(self, rollback_id: str, run_id: str) -> Mapping[str, RollbackEntry]:
        """The newest ``rollback`` entry of each node that has one, by node id."""
        ...
