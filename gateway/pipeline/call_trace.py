"""How far a call has come: the last evidence it left, and when. For the access log, the metrics and the journal of refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.model.call import Call
from gateway.pipeline.evidence import Action, Evidence, Fresh, Intent, Judged, Kept, Known, Metered, Settled

T = TypeVar("T", bound=Evidence)


@dataclass(slots=True)
class CallTrace:
    """``marks`` are the stages passed, each with its end (seconds on ``monotonic``'s clock)."""

    call: Call
    monotonic: Callable[[], float]
    commit: Callable[[], None]
    started: float = 0.0
    last: Evidence | None = None
    marks: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started = self.monotonic()

    def at(self, stage: str, evidence: T) -> T:
        """Note that the stage is behind the call; the evidence goes on."""
        self.last = evidence
        self.marks.append((stage, self.monotonic()))
        return evidence

    def mark(self, stage: str) -> None:
        """Note the end of a stage that leaves no evidence of its own on the trail."""
        self.marks.append((stage, self.monotonic()))

    @property
    def known(self) -> Known | None:
        match self.last:
            case None:
                return None
            case Known():
                return self.last
            case Settled(intent=intent):
                return intent.known
            case Kept(metered=metered):
                return metered.known
            case _:
                return self.last.known

    @property
    def action(self) -> Action | None:
        match self.last:
            case None | Known():
                return None
            case Settled(intent=intent):
                return intent.action
            case Kept(metered=metered):
                return metered.action
            case _:
                return self.last.action

    @property
    def metered(self) -> Metered | Fresh | None:
        match self.last:
            case Metered() | Fresh():
                return self.last
            case Judged(fresh=fresh):
                return fresh
            case Intent(permit=permit):
                return permit.fresh
            case _:
                return None
