"""Findings, answered by a process that may be gone between any two entries: none is lost to that, none is answered twice."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.codec import record
from gateway.core.codec.entry import of_fields
from gateway.core.codec.record import ORDER
from gateway.core.incident import findings
from gateway.model.run import Mode
from gateway.model.trigger import Trigger
from tests.support import journaling

STREAM = "st_1"


@dataclass(frozen=True)
class Found:
    severity: str


@dataclass(frozen=True)
class Answer:
    """The process comes to the next finding; ``cut`` is after how many of its two entries it is gone."""

    cut: int | None = None


@dataclass(frozen=True)
class Release:
    """Somebody releases the order that was the answer."""


@dataclass(frozen=True)
class Kill:
    pass


Event = Found | Answer | Release | Kill


@dataclass
class Process:
    """A run's journal, and the process that answers what is found about it, as the sentinel does: what is like a finding that was answered
    in this process goes unanswered while the order stands."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    due: deque[tuple[str, Trigger]] = field(default_factory=deque)
    quiet: set[str] = field(default_factory=set)
    stands: set[str] = field(default_factory=set)

    def write(self, kind: str, **more: Any) -> str:
        seq = len(self.entries) + 1
        self.entries.append({**journaling.entry(kind), "stream": STREAM, "seq": seq, **more})
        return f"{STREAM}/{seq}"

    def take(self, event: Event) -> None:
        match event:
            case Found(severity):
                position = self.write(
                    "finding",
                    finding="sum",
                    finding_id=f"fnd_{len(self.entries)}",
                    severity=severity,
                    evidence_ref="sha256:x",
                    by="verifier",
                    about=[],
                    unfound=0,
                )
                fired = Trigger(name="verify.finding", at=1.0, severity=severity, evidence=(position,))
                self.due.append((position, fired))
            case Answer(cut):
                self.answer(cut)
            case Release():
                released = replace(journaling.order(Mode.QUARANTINED, run="run_1"), by="trigger:verify.finding")
                self.write("order", change="released", order=ORDER.journal(released))
                self.stands.clear()
            case Kill():
                self.kill()

    def answer(self, cut: int | None) -> None:
        if not self.due:
            return None
        _, fired = self.due.popleft()
        severity = str(fired.severity)
        if severity in self.quiet and severity in self.stands:
            return None
        if cut == 0:
            return self.kill()
        told = self.write("trigger", trigger=record.TRIGGER.journal(fired))
        if cut == 1:
            return self.kill()
        answer = {"action": "quarantine", "verdict": "containment", "rollback": False, "why": "x", "revision": "r1"}
        self.write("response", trigger=told, name=fired.name, **answer)
        self.quiet.add(severity)
        self.stands.add(severity)
        return None

    def kill(self) -> None:
        """Gone, and up again: what the journal shows to be unanswered is answered."""
        self.quiet.clear()
        left = findings.unanswered(map(of_fields, self.entries))
        self.due = deque((trigger.evidence[-1], trigger) for _, trigger in left)

    def answers(self) -> Counter[str]:
        told = {f"{STREAM}/{one['seq']}": one["trigger"]["evidence"][-1] for one in self.entries if one["kind"] == "trigger"}
        return Counter(told[one["trigger"]] for one in self.entries if one["kind"] == "response")


events = st.lists(
    st.builds(Found, st.sampled_from(["critical", "low"]))
    | st.builds(Answer, st.sampled_from([None, None, 0, 1]))
    | st.just(Release())
    | st.just(Kill()),
    max_size=25,
)


@settings(max_examples=1_000)
@given(events)
@example([Found("low"), Answer(), Found("critical"), Kill()])
@example([Found("low"), Answer(1)])
@example([Found("low"), Answer(), Release(), Found("low"), Kill()])
@example([Found("low"), Found("low"), Answer(), Kill()])
def test_after_a_last_start_every_finding_was_answered_once_or_by_what_answered_its_like_while_that_stood(happened: list[Event]) -> None:
    process = Process()
    for event in happened:
        process.take(event)
    process.kill()
    while process.due:
        process.answer(None)
    assert findings.unanswered(map(of_fields, process.entries)) == []
    answers = process.answers()
    assert set(answers.values()) <= {1}
    for at, entry in enumerate(process.entries):
        if entry["kind"] == "finding" and f"{STREAM}/{entry['seq']}" not in answers:
            assert answered_before(process, at, entry["severity"]) or entry["severity"] in likes(process, process.entries[at:])


def answered_before(process: Process, at: int, severity: str) -> bool:
    """Whether its like had an answer that stood when it came."""
    released = max((place for place, one in enumerate(process.entries[:at]) if one["kind"] == "order"), default=0)
    return severity in likes(process, process.entries[released:at])


def likes(process: Process, entries: list[dict[str, Any]]) -> set[str]:
    """The severities that these entries answer."""
    told = {f"{STREAM}/{one['seq']}": one["trigger"]["severity"] for one in process.entries if one["kind"] == "trigger"}
    return {told[one["trigger"]] for one in entries if one["kind"] == "response"}
