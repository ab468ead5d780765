"""What the line needs of the world, in words of the domain. Each Protocol has at most five methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core import gate
from gateway.errors import ApprovalRequired
from gateway.model.decision import Decision
from gateway.model.effect import Charge, Key, Sighting, Violation, Write
from gateway.model.entry import Fields, Head, Kind, Position, Sealed
from gateway.model.order import Order
from gateway.model.run import Lease, Rate, Run
from gateway.model.task import Task


class Clock(Protocol):
    """Time and randomness."""

    def now(self) -> float:
        """Unix seconds; never runs backwards within a process."""
        ...

    def monotonic(self) -> float: ...

    def mint(self, prefix: str) -> str:
        """A new id, ``<prefix>_<26 characters>``, ascending with time."""
        ...


# --- the journal -----------------------------------------------------------------------------------------------------


SPENT = "The approval was spent by another call, or is good no longer: one approval is one call."


@dataclass(frozen=True, slots=True)
class Opening:
    """All that one intent asks of the journal, all or nothing.

    ``fields`` is the ``intent`` entry. ``refusal`` makes the fields of the ``refusal`` entry that takes its place (its
    ``code`` is set by the journal: ``in-flight`` or ``blast-radius``) where the key's attempt is taken or a charge
    passes its limit; then nothing is charged and no blob is kept. ``spends`` is the id of the grant that the intent is made with
    (its ``approval_id``): where that is not there to be spent, :meth:`unapproved` takes the intent's place.
    """

    fields: Fields
    refusal: Callable[[], Fields]
    key: Key
    attempt: int
    charges: tuple[Charge, ...] = ()
    blobs: tuple[Sealed, ...] = ()
    spends: str | None = None

    def unapproved(self) -> Fields:
        refused = ApprovalRequired(SPENT)
        told = {"code": refused.code, "status": 403, "detail": refused.detail, "approval_id": self.spends}
        return {**self.refusal(), "kind": Kind.REFUSAL.value, **told}


@dataclass(frozen=True, slots=True)
class Opened:
    """The intent is durable."""

    position: Position


@dataclass(frozen=True, slots=True)
class Taken:
    """Another call has this attempt of the key; nothing was written but the refusal."""

    position: Position


@dataclass(frozen=True, slots=True)
class Unapproved:
    """The grant was spent, or is good no longer; nothing was charged or written but the refusal."""

    position: Position


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A limit stood against it; nothing was charged or written but the refusal."""

    position: Position
    violations: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class JournalHealth:
    """``lag`` is how many entries wait for the disk."""

    ok: bool
    reason: str
    lag: int
    seq: int


class Journal(Protocol):
    """The one way in. Every entry is folded into the tables that the other ports read, in its own transaction."""

    @property
    def stream(self) -> str: ...

    def post(self, fields: Fields, blobs: Sequence[Sealed] = ()) -> Position:
        """Take an entry without waiting for the disk; its position is provisional until its batch is written.

        Raises:
            JournalUnavailable: the journal cannot be written now.
        """
        ...

    async def append(self, fields: Fields, blobs: Sequence[Sealed] = ()) -> Position:
        """Take an entry and return once it is durable (fsync returned).

        Raises:
            JournalUnavailable: it is not, and will not be, on disk.
        """
        ...

    async def intend(self, opening: Opening) -> Opened | Taken | Unapproved | Exceeded:
        """Open an attempt in one transaction: unique key, grant, charges, blobs, entry. Durable on return.

        Raises:
            JournalUnavailable: nothing of it is, or will be, on disk.
        """
        ...

    def health(self) -> JournalHealth: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which entries, ascending; ``after`` is a cursor ``stream/seq``."""

    run: str | None = None
    tenant: str | None = None
    kind: str | None = None
    after: str | None = None
    limit: int = 100


class History(Protocol):
    """The journal, read back: durable entries only, each as its stored canonical JSON bytes.

    What was posted before the question is waited for, a moment at the most: whoever was told of an entry finds it.
    """

    async def entries(self, query: Query) -> Sequence[bytes]: ...

    async def entry(self, position: Position) -> bytes | None: ...

    async def heads(self) -> Sequence[Head]:
        """The latest signed head of each stream."""
        ...

    async def keep_head(self, head: Head) -> None: ...

    async def tail(self) -> Head:
        """Stream, seq, hash and time of the newest durable entry, unsigned (``note`` is empty; seq 0 where there is none)."""
        ...


class Writes(Protocol):
    """Effects: the fold of intents, outcomes and reconciliations."""

    async def latest(self, tenant: str, workflow_id: str, key_digest: str) -> Write | None:
        """The newest attempt under a key."""
        ...

    async def of_run(self, run_id: str) -> Sequence[Write]: ...

    async def rewritten(self, workflow_id: str, target_object: str, since: int) -> bool:
        """Whether the workflow opened a write on the object at a seq above ``since`` that did not fail."""
        ...

    async def unsettled(self) -> Sequence[Write]:
        """All writes in flight or unknown, oldest first."""
        ...

    async def by_wire_key(self, wire_key: str) -> Write | None: ...


class Sightings(Protocol):
    """The version of each object last seen, by a read or by an own write; the newest post counts at once."""

    async def by_run(self, run_id: str, target_object: str) -> Sighting | None: ...

    async def by_workflow(self, workflow_id: str, target_object: str) -> Sighting | None: ...


class Registry(Protocol):
    """Runs and orders: the fold of ``run`` and ``order`` entries."""

    async def run(self, run_id: str) -> Run | None: ...

    async def runs(
        self, *, tenant: str | None = None, agent: str | None = None, parent: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[Run]:
        """Ascending by run id, beginning after ``after``."""
        ...

    async def orders(self) -> Sequence[Order]:
        """Every order, ascending by epoch, released ones too."""
        ...

    async def task(self, task_id: str) -> Task | None: ...

    async def tasks(self, *, run: str | None = None, after: str | None = None, limit: int = 100) -> Sequence[Task]: ...

    async def counters(self, scope: str) -> Mapping[str, int]:
        """What a scope (``run:r1``) has used, by name; ``amount:<name>`` in millionths, ``tenants`` and ``systems`` distinct."""
        ...


class Blobs(Protocol):
    """Sealed blobs and the wrapped tenant keys they were sealed under."""

    async def blob(self, ref: str) -> Sealed | None: ...

    async def tenant_key(self, tenant: str) -> bytes | None: ...

    async def keep_tenant_key(self, tenant: str, wrapped: bytes) -> bytes:
        """Keep a tenant's wrapped key durably; returns the one that stands (an earlier one wins)."""
        ...

    async def forget_tenant_key(self, tenant: str) -> bool: ...


class Vault(Protocol):
    """Sealing, with a key per tenant, so that a tenant can be forgotten."""

    async def seal(self, tenant: str, plain: bytes) -> Sealed: ...

    async def unseal(self, sealed: Sealed) -> bytes:
        """Raises:
        KeyError: the tenant was forgotten.
        """
        ...


class LeaseKeys(Protocol):
    """Signs and verifies leases; knows nothing of runs."""

    def sign(self, lease: Lease, *, now: float) -> str: ...

    def verify(self, token: str) -> Lease:
        """The claims of a token that this gateway signed for the agents' door; times are not judged.

        Raises:
            LeaseInvalid: signature, key id, algorithm, issuer, audience or a claim is not ours.
        """
        ...

    def jwks(self) -> Mapping[str, object]: ...


class HeadSigner(Protocol):
    def sign(self, stream: str, seq: int, chain_hash: str, ts: str) -> str:
        """A C2SP signed note over ``origin, size, root`` and a line of time."""
        ...

    @property
    def verifier_key(self) -> str:
        """The note's verifier key, ``name+hash+base64``."""
        ...


# --- deciding --------------------------------------------------------------------------------------------------------


class PolicyEngine(Protocol):
    @property
    def revision(self) -> str: ...

    def asks_for(self, name: str) -> bool:
        """Whether any rule could look at ``input.<name>``: what none looks at need not be gathered."""
        ...

    async def decide(self, document: Mapping[str, object]) -> Decision:
        """Decide on an input document.

        Raises:
            PolicyUnavailable: there is no usable decision within the deadline.
        """
        ...

    def health(self) -> tuple[bool, str]:
        """Whether decisions can be had, and a line about it."""
        ...


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of the tightest rate after a call; ``wait`` > 0 (seconds) means the call came too soon."""

    name: str
    rate: Rate
    remaining: int
    wait: float = 0.0


class Rates(Protocol):
    async def take(self, meters: Sequence[tuple[str, Rate]], *, now: float) -> Quota | None:
        """Take one call from every meter, or, where one has none left, from none of them; raises RateLimited where they cannot be asked."""
        ...

    async def check(self) -> None:
        """Find out whether the meters can be asked: ``health`` tells it, with a line about it, even where no call comes."""
        ...

    def health(self) -> tuple[bool, str]: ...

    async def close(self) -> None: ...


class Containment(Protocol):
    """The standing orders, mirrored on this node."""

    @property
    def epoch(self) -> int:
        """The newest order's; never goes back, never repeats."""
        ...

    @property
    def version(self) -> int:
        """Grows, within this process, with every change of what any run may do: orders, cut or closed runs."""
        ...

    def hold(self, run: Run, generation: int, tool: str | None, *, now: float) -> gate.Hold:
        """What is left of a run for a tool, under a lease of this generation."""
        ...

    def hold_recovery(self, run: Run, tool: str, *, since: int, now: float) -> gate.Hold:
        """What orders made after epoch ``since`` leave a rollback of the run; the run's own do not count."""
        ...

    def fresh(self, *, now: float) -> bool:
        """Whether the mirror is recent enough to act on."""
        ...
