"""What each stage leaves behind: the proof that a call passed it.

Every stage takes the evidence of the one before and returns its own, so that a call which skipped a stage does not
type-check. A write is sent with an :class:`Intent`, and only ``intend`` makes one.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from msgspec import Struct

from gateway.core.adapter import catalog, objects
from gateway.core.adapter.objects import Expected, ObjectState, Representation
from gateway.errors import Refusal
from gateway.model.call import NOTHING_CARRIED, Answer, Call, Carried, Compensation, Cost, Effect, Outgoing, Reversibility, Target
from gateway.model.decision import Considered, Hold
from gateway.model.effect import Key, Write
from gateway.model.entry import Position, Result, Verification
from gateway.model.review import Approval
from gateway.model.run import Lease, Mode, Run
from gateway.pipeline.streamed import Relay
from gateway.pipeline.tool import Tool
from gateway.ports.rates import Quota
from gateway.ports.rollback import CompensationRequest


class Step(Struct, frozen=True, gc=False):
    """``named``: the agent named the step; else its id is ``auto-<n>``. ``parent_named`` likewise; else the parent is the step before."""

    id: str
    parent: str | None
    named: bool
    parent_named: bool = False


class Sender(Struct, frozen=True):
    """What the headers of a refused call show about its sender: a valid lease, and the step."""

    lease: Lease
    step_id: str | None


class Undoing(Struct, frozen=True):
    """The node of a rollback that a call carries out: what its recovery lease permits.

    ``expects`` is how the object has to be afterwards, ``None`` if only the tool can show the result. ``carried`` is what own requests
    for the effect carry.
    """

    order: CompensationRequest
    expects: Expected | None
    carried: Carried = NOTHING_CARRIED


class Known(Struct, frozen=True, kw_only=True):
    """Authenticated: the run of the call is known. ``at`` is Unix seconds; ``confidence`` is the agent's own, in millionths.

    ``approval`` is the id of the approval that the agent names, if it does.

    ``undoing`` is there for a compensation alone.
    """

    call: Call
    tool: Tool
    run: Run
    lease: Lease
    step: Step
    at: float
    own_key: str | None
    if_match: bool
    trace_id: str | None
    confidence: int | None = None
    approval: str | None = None
    undoing: Undoing | None = None


class Action(Struct, frozen=True, kw_only=True):
    """What the call means. ``kind`` is ``None`` for what the adapter does not list; ``document`` is what expressions see.

    ``dry_run``: a write that only shows what it would do, and therefore a read.
    ``carried`` is what the gateway's own requests for it carry.
    """

    name: str
    effect: Effect
    target: Target
    document: Mapping[str, object]
    kind: catalog.ActionType | None = None
    captures: Mapping[str, str]
    reversibility: Reversibility | None = None
    compensation: Compensation | None = None
    dry_run: bool = False
    cost: Cost = msgspec.field(default_factory=Cost)
    carried: Carried = NOTHING_CARRIED

    @property
    def fanout(self) -> bool:
        return self.kind is not None and self.kind.fanout


class Classified(Struct, frozen=True, kw_only=True):
    known: Known
    action: Action


class Open(Struct, frozen=True, kw_only=True):
    """No order forbids it, as of ``epoch``; the fence compares ``version``."""

    known: Known
    action: Action
    mode: Mode
    epoch: int
    version: int


class _Gated(Struct, frozen=True, kw_only=True):
    """Evidence of a call that has passed the gate: ``opened`` is the gate's own."""

    @property
    def opened(self) -> Open:
        raise NotImplementedError

    @property
    def known(self) -> Known:
        return self.opened.known

    @property
    def action(self) -> Action:
        return self.opened.action


class Metered(_Gated, frozen=True, kw_only=True):
    """Counted: one step, one call of every rate. ``quota`` is what is left of the tightest rate."""

    opened: Open
    quota: Quota | None


class Fresh(_Gated, frozen=True, kw_only=True):
    """Not a repetition: ``attempt`` of ``key`` is to be made (reads have no key)."""

    metered: Metered
    key: Key | None = None
    attempt: int = 0

    @property
    def opened(self) -> Open:
        return self.metered.opened


class Judged(_Gated, frozen=True, kw_only=True):
    """Policy has decided; ``considered`` holds its decision."""

    fresh: Fresh
    considered: Considered

    @property
    def opened(self) -> Open:
        return self.fresh.metered.opened

    @property
    def known(self) -> Known:  # direct, as calls ask for it most
        return self.fresh.metered.opened.known

    @property
    def action(self) -> Action:
        return self.fresh.metered.opened.action


class Denied(Judged, frozen=True, kw_only=True):
    """Not allowed; ``refusal`` is what the agent hears."""

    refusal: Refusal


class Held(Judged, frozen=True, kw_only=True):
    """Allowed only after a person has approved it."""

    hold: Hold


class Permitted(Judged, frozen=True, kw_only=True):
    """Allowed, or waived in shadow mode. ``approval`` is the grant that it is allowed under, to be spent on it."""

    approval: Approval | None = None


class Before(Struct, frozen=True, kw_only=True):
    """The target before the write. ``guard`` is sent as If-Match; with ``guard_absent`` there must be no such object.

    ``representation`` is what was read beside the state.
    """

    taken: bool
    version: str | None = None
    state: object = None
    exists: bool = False
    guard: str | None = None
    guard_absent: bool = False
    representation: Representation | None = None

    @property
    def keeps(self) -> bool:
        """Whether what was read is worth keeping: an object's absence, or enough of it to bring it back."""
        return self.taken and (not self.exists or objects.restorable(self.state, self.representation))

    @property
    def bound(self) -> bool:
        """Whether the write carries a condition of the gateway's own."""
        return self.guard is not None or self.guard_absent


class Intent(_Gated, frozen=True, kw_only=True):
    """Durable: the journal says that this write is about to be sent."""

    permit: Permitted
    before: Before
    wire_key: str
    request: Outgoing
    position: Position

    @property
    def opened(self) -> Open:
        return self.permit.fresh.metered.opened


class Verdict(Struct, frozen=True, kw_only=True):
    """What the answer proves, and what reading back says of it. ``made`` is the id of what a create made, as its reply names it.

    ``pending``: the tool has accepted the write, and has not shown that it is done. ``conforms`` is false if the reply is of another form
    than the adapter declares. ``differs`` says what about the object of a compensation is not as it has to be. ``now`` is the object after
    a refusal of the condition that the gateway had added, ``None`` if it was not, or could not be, read.
    """

    result: Result
    verification: Verification
    after_version: str | None = None
    made: str | None = None
    conforms: bool = True
    pending: bool = False
    differs: str = ""
    now: ObjectState | None = None


class Settled(_Gated, frozen=True, kw_only=True):
    """The outcome is durable; only now may the agent get the reply."""

    intent: Intent
    answer: Answer
    verdict: Verdict
    position: Position

    @property
    def opened(self) -> Open:
        return self.intent.opened


class Streamed(_Gated, frozen=True, kw_only=True):
    """The answer streams while the tool works: its outcome, ``settled``, is journaled when the stream ends."""

    intent: Intent
    answer: Answer
    relay: Relay
    settled: Future[Settled]

    @property
    def opened(self) -> Open:
        return self.intent.opened


class Kept(_Gated, frozen=True, kw_only=True):
    """The key's effect stands: its reply as it was, and the journal's word for it."""

    metered: Metered
    write: Write
    answer: Answer
    position: Position

    @property
    def opened(self) -> Open:
        return self.metered.opened


Evidence = Known | Classified | Open | Metered | Fresh | Denied | Held | Permitted | Intent | Settled | Kept

T = TypeVar("T", bound=Evidence)


@dataclass(slots=True)
class CallTrace:
    """How far a call has come: the last evidence it left, and when. For the access log, the metrics and the journal of refusals.

    ``marks`` are the stages passed, each with its end (seconds on ``monotonic``'s clock). ``commit`` is called once, before the call
    can have an effect: from then on it is carried to its end even if its client goes away.
    """

    call: Call
    monotonic: Callable[[], float]
    commit: Callable[[], None]
    started: float = 0.0
    last: Evidence | None = None
    marks: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started = self.monotonic()

    def at(self, stage: str, evidence: T) -> T:
        """Note that the call has passed the stage, and give back the evidence of it."""
        self.last = evidence
        self.marks.append((stage, self.monotonic()))
        return evidence

    def mark(self, stage: str) -> None:
        """Note the end of a stage whose evidence is part of a later one's."""
        self.marks.append((stage, self.monotonic()))

    @property
    def known(self) -> Known | None:
        return self.last if self.last is None or isinstance(self.last, Known) else self.last.known

    @property
    def action(self) -> Action | None:
        return None if self.last is None or isinstance(self.last, Known) else self.last.action

    @property
    def metered(self) -> Metered | None:
        match self.last:
            case Metered():
                return self.last
            case Fresh(metered=metered) | Judged(fresh=Fresh(metered=metered)):
                return metered
            case Intent(permit=permit):
                return permit.fresh.metered
            case _:
                return None
