"""The timeline of an incident: what was seen, decided and done about it, what it touched, and what is still open. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.core import timestamps
from gateway.core.codec.incident import INCIDENT
from gateway.core.codec.order import ORDER
from gateway.core.incident import findings
from gateway.core.journal import summary as journal_summary
from gateway.core.rollback import affected
from gateway.core.rollback.plan_objects import Undos
from gateway.model.action import Target
from gateway.model.effect import State, Write
from gateway.model.entries import Entry, FindingEntry, OrderEntry, ResponseEntry, RunEntry, TriggerEntry
from gateway.model.entry import Kind
from gateway.model.incident import Incident, RollbackState
from gateway.model.order import Order
from gateway.model.task import Task

Json = dict[str, object]
Row = TypeVar("Row")

BOUND = 200
"""Rows of the timeline, and objects, that a story holds; it says how many it left out."""

CHAPTERS = (
    Kind.TRIGGER,
    Kind.RESPONSE,
    Kind.ORDER,
    Kind.FINDING,
    Kind.TASK,
    Kind.RECONCILIATION,
    Kind.ROLLBACK,
    Kind.CHECKPOINT,
    Kind.APPROVAL,
    Kind.RUN,
)
"""Kinds of entries that are part of a timeline; entries of calls are only if they are evidence."""

_ROUTINE = frozenset({"opened", "renewed"})
_UNSETTLED = {
    State.IN_FLIGHT: ("effect-in-flight", "is in flight"),
    State.UNKNOWN: ("unknown-effect", "has an unknown outcome: it may have been applied"),
}
_UNDER_WAY = (RollbackState.DUE, RollbackState.RUNNING, RollbackState.NEEDS_OPERATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a timeline is made of.

    ``entries`` are the run's (and those of the incident's wider orders) in any order, repeated ones told once. ``became`` names, by the
    position of its intent, what a create made. ``undos`` are the catalogs', by tool and action. ``orders`` are the incident's own,
    ``holding`` all that contain the run now and that the reader may see; ``beyond`` is how many more contain it. ``now`` is Unix seconds.
    """

    incident: Incident
    entries: Sequence[Entry]
    writes: Sequence[Write]
    became: Mapping[str, Target] = field(default_factory=dict)
    undos: Undos = field(default_factory=dict)
    tasks: Sequence[Task] = ()
    orders: Sequence[Order] = ()
    holding: Sequence[Order] = ()
    beyond: int = 0
    now: float


def view(sources: Sources) -> Json:
    """The incident's own fields, with all that docs/api.md says of a story but the hashes."""
    objects = affected.gathered(sources.writes, sources.became, sources.undos)
    lines = _lines(sources)
    told, seen = _ends(lines), _evidence(sources)
    shown = [one.shown(now=sources.now) for one in objects[:BOUND]]
    return summary(sources.incident) | {
        "timeline": [_row(line, seen) for line in told],
        "stopped": _stopped(lines, sources.incident),
        "orders": [ORDER.shown(order) for order in sources.orders],
        "affected": shown,
        "effects": _counts(sources.writes),
        "open": _open(sources),
        "omitted": {"timeline": len(lines) - len(told), "affected": len(objects) - len(shown)},
    }


def summary(incident: Incident) -> Json:
    """An incident's own fields with its ``state``: as a list shows it."""
    return INCIDENT.shown(incident) | {"state": "open" if incident.closed_at is None else "closed"}


def cited(story: Mapping[str, Any]) -> list[str]:
    """The positions of the entries that a story names, each once."""
    return list(dict.fromkeys(one["entry"] for part in ("timeline", "affected", "open") for one in story[part] if "entry" in one))


def evidence(incident: Incident, entries: Iterable[Entry]) -> list[str]:
    """The positions in which an incident's triggers were seen, oldest first, each once."""
    listed = list(entries)
    mine = _own(incident, listed)
    fired = [one for entry in listed if isinstance(entry, TriggerEntry) and str(entry.position) in mine for one in entry.trigger.evidence]
    return sorted(dict.fromkeys((*incident.evidence, *fired)), key=_place)


# --- the timeline ----------------------------------------------------------------------------------------------------


def _lines(sources: Sources) -> list[Entry]:
    """The entries of the timeline, in the order in which they happened."""
    mine, seen = _own(sources.incident, sources.entries), _evidence(sources)
    found = {str(entry.position): entry for entry in sources.entries}
    told = [entry for name, entry in found.items() if name in mine or name in seen or _carries_on(entry)]
    return sorted(told, key=lambda entry: (entry.ts, entry.stream, entry.seq))


def _carries_on(entry: Entry) -> bool:
    """Whether an entry is part of the story without being its own: other incidents' triggers and responses are not."""
    if isinstance(entry, TriggerEntry | ResponseEntry) or entry.kind not in CHAPTERS:
        return False
    return not isinstance(entry, RunEntry) or entry.change not in _ROUTINE


def _own(incident: Incident, entries: Iterable[Entry]) -> set[str]:
    """The positions of the incident's triggers and responses."""
    own: set[str] = set()
    for entry in entries:
        match entry:
            case TriggerEntry(incident_id=incident.incident_id):
                own.add(str(entry.position))
            case ResponseEntry(incident=Incident(incident_id=incident.incident_id)):
                own.add(str(entry.position))
                own |= {entry.trigger} if isinstance(entry.trigger, str) else set()
    return own


def _evidence(sources: Sources) -> set[str]:
    return set(evidence(sources.incident, sources.entries))


def _row(entry: Entry, seen: set[str]) -> Json:
    name, by = str(entry.position), journal_summary.by(entry)
    row: Json = {"entry": name, "ts": entry.ts, "kind": entry.kind.value, "what": journal_summary.words(entry)}
    if by is not None:
        row["by"] = by
    if name in seen:
        row["is_evidence"] = True
    if isinstance(entry, TriggerEntry):
        row["evidence"] = list(entry.trigger.evidence)
    return row


def _stopped(lines: Sequence[Entry], incident: Incident) -> Json | None:
    """How long it took from the first trigger to the first order made for the incident; ``None`` if none was."""
    trigger = next((entry for entry in lines if isinstance(entry, TriggerEntry)), None)
    made = next((entry for entry in lines if isinstance(entry, OrderEntry) and entry.order.order_id in incident.orders), None)
    if trigger is None or made is None:
        return None
    apart = timestamps.micros(made.at) - timestamps.micros(trigger.at)
    places = {"trigger": str(trigger.position), "order": str(made.position)}
    return {**places, "order_id": made.order.order_id, "after_ms": apart / 1000}


# --- what is open ----------------------------------------------------------------------------------------------------


def _open(sources: Sources) -> list[Json]:
    return [
        *_unsettled(sources),
        *_tasks(sources),
        *_standing(sources),
        *_unsaid(sources),
        *_orders(sources),
        *_rollback(sources.incident),
    ]


def _unsettled(sources: Sources) -> list[Json]:
    found = affected.unsettled(sources.writes)
    rows: list[Json] = [{"what": _UNSETTLED[write.state][0], "entry": str(write.intent), "text": _word(write)} for write in found[:BOUND]]
    if len(found) > BOUND:
        rows.append({"what": "more-effects", "count": len(found) - BOUND, "text": f"{len(found) - BOUND} more effects are undecided"})
    return rows


def _word(write: Write) -> str:
    return f"{write.action} of step {write.step_id} {_UNSETTLED[write.state][1]}"


def _tasks(sources: Sources) -> list[Json]:
    waiting = [task for task in sources.tasks if task.resolution is None]
    return [{"what": "task", "task_id": task.task_id, "text": f"{task.kind}: {task.summary}"} for task in waiting]


def _standing(sources: Sources) -> list[Json]:
    count = _counts(sources.writes)[State.STANDING]
    return [{"what": "standing-effects", "count": count, "text": f"{count} effect(s) stand and were not undone"}] if count else []


def _unsaid(sources: Sources) -> list[Json]:
    """The incident's findings that do not say where what is wrong began."""
    if sources.incident.cause != findings.CAUSE:
        return []
    found = (one for one in sources.entries if isinstance(one, FindingEntry))
    mine = [one for one in found if one.generation == sources.incident.generation]
    names = sorted({str(one.position) for one in mine if not findings.of_entry(one).known}, key=_place)
    return [{"what": "first-bad-entry", "entry": name, "text": findings.unsaid([name])} for name in names[:BOUND]]


def _orders(sources: Sources) -> list[Json]:
    rows: list[Json] = [
        {"what": "order", "order_id": one.order_id, "text": f"{journal_summary.held(one)} contains the run"} for one in sources.holding
    ]
    if sources.beyond:
        rows.append({"what": "order", "text": f"{sources.beyond} order(s) outside this token's reach contain the run"})
    return rows


def _rollback(incident: Incident) -> list[Json]:
    if incident.rollback not in _UNDER_WAY:
        return []
    named = {} if incident.rollback_id is None else {"rollback_id": incident.rollback_id}
    return [{"what": "rollback", **named, "text": f"the rollback is {incident.rollback.value.replace('_', ' ')}"}]


# --- bounds ----------------------------------------------------------------------------------------------------------


def _counts(writes: Sequence[Write]) -> dict[str, int]:
    """How many of the run's own effects are in each state."""
    counts = Counter(write.state for write in affected.own(writes))
    return {state.value: counts[state] for state in State}


def _ends(rows: Sequence[Row]) -> list[Row]:
    """The first and the last of what is too much."""
    return list(rows) if len(rows) <= BOUND else [*rows[: BOUND // 2], *rows[-(BOUND // 2) :]]


def _place(name: str) -> tuple[str, int]:
    stream, _, seq = name.rpartition("/")
    return stream, int(seq)
