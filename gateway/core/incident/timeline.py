"""The timeline of an incident: what was seen, decided and done about it, what it touched, and what is still open. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.core import timestamps
from gateway.core.codec.record import INCIDENT, ORDER
from gateway.core.incident import findings, incidents
from gateway.core.journal import summary as journal_summary
from gateway.core.rollback import affected
from gateway.core.rollback.plan_objects import Undos
from gateway.core.triggers import window
from gateway.model.call import Target
from gateway.model.effect import State, Write
from gateway.model.entries import Entry, FindingEntry, OrderEntry, ResponseEntry, RunEntry, TriggerEntry
from gateway.model.entry import Kind
from gateway.model.review import Task
from gateway.model.run import Order
from gateway.model.trigger import Incident

Json = dict[str, object]

BOUND = 200
"""Rows and objects that a timeline shows at most; it says how many it omits."""

KINDS = (
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
"""The kinds of entries that are part of a timeline; entries of calls are part of it only as evidence."""

_ROUTINE = frozenset({"opened", "renewed"})
_UNSETTLED = {
    State.IN_FLIGHT: ("effect-in-flight", "is in flight"),
    State.UNKNOWN: ("unknown-effect", "has an unknown outcome: it may have been applied"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a timeline is made of.

    ``entries`` are the run's (and those of the incident's wider orders) in any order, repeated ones count once. ``became`` names, by the
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
    """The incident's own fields, with all that docs/api.md says of its timeline but the hashes."""
    objects = affected.affected_objects(sources.writes, sources.became, sources.undos)
    seen = frozenset(evidence(sources.incident, sources.entries))
    lines = _lines(sources, seen)
    ends = window.ends(lines, BOUND)
    shown = [one.shown(now=sources.now) for one in objects[:BOUND]]
    return summary(sources.incident) | {
        "timeline": [_row(line, seen) for line in ends],
        "stopped": _stopped(lines, sources.incident),
        "orders": [ORDER.shown(order) for order in sources.orders],
        "affected": shown,
        "effects": _counts(sources.writes),
        "open": [*_open_effects(sources), *_open_findings(sources), *_open_orders(sources)],
        "omitted": {"timeline": len(lines) - len(ends), "affected": len(objects) - len(shown)},
    }


def summary(incident: Incident) -> Json:
    """An incident's own fields with its ``state``: as a list shows it."""
    return INCIDENT.shown(incident) | {"state": "open" if incident.closed_at is None else "closed"}


def cited(shown: Mapping[str, Any]) -> list[str]:
    """The positions of the entries that a timeline names, each once."""
    return list(dict.fromkeys(one["entry"] for part in ("timeline", "affected", "open") for one in shown[part] if "entry" in one))


def evidence(incident: Incident, entries: Iterable[Entry]) -> list[str]:
    """The positions in which an incident's triggers were seen, oldest first, each once."""
    listed = list(entries)
    mine = _own(incident, listed)
    fired = [one for entry in listed if isinstance(entry, TriggerEntry) and str(entry.position) in mine for one in entry.trigger.evidence]
    return sorted(dict.fromkeys((*incident.evidence, *fired)), key=by_position)


# --- the timeline ----------------------------------------------------------------------------------------------------


def _lines(sources: Sources, seen: Collection[str]) -> list[Entry]:
    """The entries of the timeline, in the order in which they happened."""
    own = _own(sources.incident, sources.entries)
    found = {str(entry.position): entry for entry in sources.entries}
    lines = [entry for name, entry in found.items() if name in own or name in seen or _is_followed(entry)]
    return sorted(lines, key=lambda entry: (entry.ts, entry.stream, entry.seq))


def _is_followed(entry: Entry) -> bool:
    """Whether an entry of the run is part of every timeline: triggers and responses are only part of their own incident's."""
    if isinstance(entry, TriggerEntry | ResponseEntry) or entry.kind not in KINDS:
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


def _row(entry: Entry, seen: Collection[str]) -> Json:
    name, by = str(entry.position), journal_summary.by(entry)
    row: Json = {"entry": name, "ts": entry.ts, "kind": entry.kind.value, "what": journal_summary.describe_entry(entry)}
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


def _open_effects(sources: Sources) -> Iterator[Json]:
    """What is not decided, or was not undone, and the tasks of people."""
    found = affected.unsettled(sources.writes)
    for write in found[:BOUND]:
        what, state = _UNSETTLED[write.state]
        yield {"what": what, "entry": str(write.intent), "text": f"{write.action} of step {write.step_id} {state}"}
    if more := len(found[BOUND:]):
        yield {"what": "more-effects", "count": more, "text": f"{more} more effects are undecided"}
    for task in sources.tasks:
        if task.resolution is None:
            yield {"what": "task", "task_id": task.task_id, "text": f"{task.kind}: {task.summary}"}
    if count := _counts(sources.writes)[State.STANDING]:
        yield {"what": "standing-effects", "count": count, "text": f"{count} effect(s) stand and were not undone"}


def _open_findings(sources: Sources) -> Iterator[Json]:
    """The incident's findings that do not name the first bad entry."""
    incident = sources.incident
    if incident.cause == findings.CAUSE:
        found = (one for one in sources.entries if isinstance(one, FindingEntry) and one.generation == incident.generation)
        names = {str(one.position) for one in found if not findings.of_entry(one).known}
        for name in sorted(names, key=by_position)[:BOUND]:
            yield {"what": "first-bad-entry", "entry": name, "text": findings.unlocated([name])}


def _open_orders(sources: Sources) -> Iterator[Json]:
    """The orders that contain the run, and the incident's rollback while it has not ended."""
    for order in sources.holding:
        yield {"what": "order", "order_id": order.order_id, "text": f"{journal_summary.held(order)} contains the run"}
    if sources.beyond:
        yield {"what": "order", "text": f"{sources.beyond} order(s) outside this token's reach contain the run"}
    incident = sources.incident
    if incident.rollback in incidents.UNDER_WAY:
        named = {} if incident.rollback_id is None else {"rollback_id": incident.rollback_id}
        yield {"what": "rollback", **named, "text": f"the rollback is {incident.rollback.value.replace('_', ' ')}"}


# --- bounds and order ------------------------------------------------------------------------------------------------


def _counts(writes: Sequence[Write]) -> dict[str, int]:
    """How many of the run's own effects are in each state."""
    counts = Counter(write.state for write in affected.agent_writes(writes))
    return {state.value: counts[state] for state in State}


def by_position(name: str) -> tuple[str, int]:
    """The order of entries by their names, for sorting."""
    stream, _, seq = name.rpartition("/")
    return stream, int(seq)
