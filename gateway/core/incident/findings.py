"""What a verifier's finding is about, and which entry is therefore a run's first bad one. Pure.

A finding proves that the *state* is unsafe; its position in the journal may be long after the cause. So the position proves nothing: only
its evidence can name the first bad entry, which is otherwise unknown.

Findings without a response, from the journal alone: a crash loses none, and none gets two responses. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from gateway.core.codec.record import position_of
from gateway.core.triggers.window import Event, event
from gateway.model.call import Target
from gateway.model.effect import State, Write
from gateway.model.entries import Entry, FindingEntry, OrderEntry, ResponseEntry, TriggerEntry
from gateway.model.entry import Kind, Position
from gateway.model.trigger import Trigger

CAUSE = "verify.finding"
"""The trigger of a finding, and with that the cause of its incident."""

_GONE = (State.FAILED, State.COMPENSATED)


@dataclass(frozen=True, slots=True)
class References:
    """What evidence names in its members ``entry``, ``entries``, ``object`` and ``objects``, as it stands there."""

    entries: tuple[object, ...] = ()
    objects: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """``places`` are the entries of the run that a finding is about, ascending; ``unfound`` counts names that are not the run's."""

    places: tuple[Position, ...] = ()
    unfound: int = 0

    @property
    def known(self) -> bool:
        """Whether it names the first bad entry: it names something, and the run has all that it names."""
        return bool(self.places) and not self.unfound


@dataclass(frozen=True, slots=True)
class FirstBad:
    """The first bad entry of a run: ``seq`` is the number of the first entry that is bad or shows it, ``None`` if there is none.
    ``unnamed`` are the findings (positions) without an entry: with them, the first bad entry may be before ``seq``.
    """

    seq: int | None = None
    unnamed: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        return not self.unnamed


def references(evidence: Mapping[str, object]) -> References:
    """What a finding's evidence names."""
    return References(_members(evidence, "entry", "entries"), _members(evidence, "object", "objects"))


def place(name: object, stream: str) -> Position | None:
    """The position in this journal of an entry's name; ``None`` if the name is not one."""
    found = position_of(name) if isinstance(name, str) else None
    return found if found is not None and found.stream == stream and found.seq > 0 else None


def subject(name: References, entries: Iterable[Position], writes: Iterable[Write]) -> Subject:
    """What a finding is about: ``entries`` are those of the named ones that are the run's, ``writes`` are the run's effects.

    A named object stands for the run's first effect on it that may have left something, since the finding does not say which was wrong.
    """
    found = list(entries)
    unfound = len(name.entries) - len(found)
    left = [write for write in writes if write.rollback_id is None and write.state not in _GONE and write.target.id]
    for thing in name.objects:
        mine = [write.intent for write in left if _is(thing, write)]
        found += [min(mine, key=attrgetter("seq"))] if mine else []
        unfound += not mine
    return Subject(tuple(sorted(dict.fromkeys(found), key=attrgetter("seq"))), unfound)


def of_entry(entry: FindingEntry) -> Subject:
    """What a ``finding`` entry says it is about; those of before said nothing."""
    places = [place for name in entry.about or () if (place := position_of(name)) is not None]
    return Subject(tuple(places), entry.unfound or 0)


def fired(event: Event[FindingEntry]) -> Trigger:
    """The trigger of a finding: seen in the entries that it is about, and in its own."""
    entry = event.entry
    about = sorted({place.seq for place in of_entry(entry).places})
    seqs = (*about, event.seq)
    return event.fired(CAUSE, seqs=seqs, severity=entry.severity, kind=entry.finding, finding_id=entry.finding_id)


def first_bad(seen: Iterable[int], findings: Iterable[FindingEntry]) -> FirstBad:
    """The first bad entry, by where incidents were ``seen`` in the journal and by ``finding`` entries."""
    numbers, unnamed = list(seen), []
    for entry in findings:
        found = of_entry(entry)
        numbers += [entry.position.seq, *(one.seq for one in found.places)]
        if not found.known:
            unnamed.append(str(entry.position))
    return FirstBad(min(numbers, default=None), tuple(unnamed))


def unlocated(positions: Sequence[str]) -> str:
    """Half a sentence: these findings do not name the first bad entry."""
    more = f" and {len(positions) - 1} more" if len(positions) > 1 else ""
    return f"finding {positions[0]}{more} names no entry or object of the run, so that the first bad entry is not known"


def _members(evidence: Mapping[str, object], one: str, many: str) -> tuple[object, ...]:
    listed = evidence.get(many, [])
    return (*([evidence[one]] if one in evidence else []), *(listed if isinstance(listed, list) else [listed]))


def _is(thing: object, write: Write) -> bool:
    """Whether a thing's name (``type:id``, ``system:type:id``, with a version as in ``after_ref``, or an object of these) is a write's."""
    target = write.target
    if isinstance(thing, dict):
        return {"type", "id"} <= thing.keys() and all(getattr(target, name, None) == thing[name] for name in _PARTS if name in thing)
    return isinstance(thing, str) and thing in _names(target, write)


_PARTS = ("tool", "system", "type", "id", "tenant")


def _names(target: Target, write: Write) -> tuple[str, ...]:
    versions = [version for version in (write.before_version, write.after_version) if version is not None]
    whole = f"{target.system}:{target.type}:{target.id}"
    return (f"{target.type}:{target.id}", whole, target.name, *(target.ref(version) for version in versions))


KINDS = (Kind.FINDING, Kind.TRIGGER, Kind.RESPONSE, Kind.ORDER)
"""The kinds of entries that say which findings have a response."""

Alike = tuple[int, str | None]
"""A generation and a severity: of two findings that are alike, the answer to one answers the other, while it stands."""


@dataclass(slots=True)
class _Answers:
    """``open`` are findings without a response, by position; ``triggers`` are those of findings, by their own position."""

    open: dict[str, tuple[int, Trigger]] = field(default_factory=dict)
    triggers: dict[str, tuple[str, Alike]] = field(default_factory=dict)
    answered: set[Alike] = field(default_factory=set)

    def take(self, entry: Entry) -> None:
        match entry:
            case FindingEntry(generation=generation) if (generation, entry.severity) not in self.answered:
                self.open[str(entry.position)] = (generation, fired(event(entry, entry.position)))
            case TriggerEntry(trigger=trigger) if trigger.name == CAUSE:
                self.triggers[str(entry.position)] = (trigger.evidence[-1], (entry.generation, trigger.severity))
            case ResponseEntry() if (answered := self.triggers.get(str(entry.trigger))) is not None:
                finding, alike = answered
                self.open = {name: one for name, one in self.open.items() if name != finding and (one[0], one[1].severity) != alike}
                self.answered.add(alike)
            case OrderEntry(change="released", order=order) if order.by == f"trigger:{CAUSE}":
                self.answered.clear()  # what comes now is no repeat of what this order was the answer to


def unanswered(entries: Iterable[Entry]) -> list[tuple[int, Trigger]]:
    """The triggers of a run's findings that have no response, oldest first, with their generations; ``entries`` of ``KINDS``, ascending."""
    answers = _Answers()
    for entry in entries:
        answers.take(entry)
    return list(answers.open.values())
