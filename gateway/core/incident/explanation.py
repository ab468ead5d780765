"""Why the controller acted on an incident, rule by rule, from its entries. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.core.incident import findings
from gateway.core.policy import rules
from gateway.model.entries import Entry, FindingEntry, OrderEntry, ResponseEntry, RollbackEntry, RunEntry

KINDS = ("response", "rollback", "order", "run", "finding")
"""The kinds of entries that record decisions."""

_DID = {
    "none": "let it continue",
    "retry": "retried the read",
    "fallback": "sent the read to its fallback",
    "no_fanout": "blocked new workers",
    "read_only": "degraded it to reads",
    "pause": "paused it",
    "quarantine": "contained it, with its state kept as evidence",
    "revoke": "contained it and revoked its lease",
}
_ROLLBACK = {
    "started": "began to undo what the run did",
    "stopped": "stopped undoing",
    "continued": "continued undoing",
    "claimed": "continued undoing",
    "ended": "ended the rollback",
    "waits": "waits for a person",
    "recover": "started the recovery",
    "closed": "closed the incident",
}
_BY_STATE = f"the final states of the plan's nodes, and data.killcord.{rules.INVARIANTS}"
_NEXT = "the latest usable checkpoint before the first bad entry (if that is not known: an explicit one), or the named one"
_FIRST = "the entries and objects that a finding's evidence names"
_PASSES = "a compensation that was not applied for a transient reason is retried"
_TASKS = frozenset({"task", "waiting", "unknown", "failed"})


def explained(generation: int, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One reason a decision about a generation of a run, oldest first: ``{entry, ts, decided, rule, revision?, why}``.

    ``entries`` are the run's, of these ``KINDS``, ascending.
    """
    return [reason for entry in entries if _belongs(entry, generation) for reason in _reasons(entry)]


def _belongs(entry: Entry, generation: int) -> bool:
    """Whether an entry is about this generation of the run: the entry that starts the next one ends it."""
    own = generation if entry.generation is None else entry.generation
    return own == (generation + 1 if isinstance(entry, RunEntry) and entry.change == "resumed" else generation)


def _reasons(entry: Entry) -> Iterator[dict[str, Any]]:
    match entry:
        case ResponseEntry():
            yield _response(entry)
        case RollbackEntry(change="node") if entry.since is not None:
            yield _reason(entry, f"waits with node {entry.node}", _PASSES, entry.why)
        case RollbackEntry(change="node"):
            if entry.state in _TASKS:
                opened = f"opened a task for node {entry.node} ({entry.state})"
                yield _reason(entry, opened, f"data.killcord.{rules.RECOVERY}, or the plan", entry.why)
        case RollbackEntry() if entry.change in _ROLLBACK:
            left = "" if entry.rollback is None or not entry.rollback.residue else f"; left: {'; '.join(entry.rollback.residue)}"
            yield _reason(entry, _ROLLBACK[entry.change], _rule(entry), f"{entry.reason or ''}{left}")
        case OrderEntry() if not (entry.by or "").startswith("trigger:"):  # orders of triggers are shown with their responses
            yield _order(entry)
        case FindingEntry():
            yield _finding(entry)
        case RunEntry(change="resumed"):
            asked = f"{entry.reason or ''} ({entry.by})"
            yield _reason(entry, f"resumed the run from {entry.checkpoint_id}", _NEXT, asked)
        case RunEntry(change="closed"):
            yield _reason(entry, "gave the run up", f"requested by {entry.by}", entry.reason)


def _finding(entry: FindingEntry) -> dict[str, Any]:
    """Whether the finding names the first bad entry."""
    about = findings.of_entry(entry)
    why = f"finding {entry.finding}, {entry.severity} ({entry.by})"
    if not about.known:
        return _reason(entry, "could not determine the first bad entry", _FIRST, why)
    return _reason(entry, f"took {about.places[0]} as the first bad entry", _FIRST, why)


def _response(entry: ResponseEntry) -> dict[str, Any]:
    did = _DID[entry.action] + (", and had what it did undone" if entry.rollback else "")
    rule = f'data.killcord.{rules.RESPONSE}, for "{entry.name}" ({entry.verdict})'
    return _reason(entry, did, rule, entry.why) | {"revision": entry.revision}


def _rule(entry: RollbackEntry) -> str:
    match entry.change:
        case "ended" | "waits":
            return _BY_STATE
        case "claimed":
            return "at start, whatever is not over is continued"
        case "closed":
            return "a run that continues, or was given up, has no open incident"
        case _ if (entry.by or "").startswith("trigger:"):
            return "the response's rollback"
        case _:
            return f"requested by {entry.by}"


def _order(entry: OrderEntry) -> dict[str, Any]:
    order = entry.order
    held = order.mode.label + (" without children" if order.no_fanout else "")
    did = f"ordered it into {held}" if entry.change == "made" else f"released it from {held}"
    return _reason(entry, did, f"requested by {entry.by}", entry.reason)


def _reason(entry: Entry, decided: str, rule: str, why: str | None) -> dict[str, Any]:
    return {"entry": str(entry.position), "ts": entry.ts, "decided": decided, "rule": rule, "why": why or ""}
