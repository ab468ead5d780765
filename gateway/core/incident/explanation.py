"""Why the controller did what it did about an incident, rule by rule, from the entries that say so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.core.incident import findings

Entry = Mapping[str, Any]

KINDS = ("response", "rollback", "order", "run", "finding")
"""Of the entries that tell of decisions."""

_DID = {
    "none": "let it go on",
    "retry": "had the read asked again",
    "fallback": "had the read asked elsewhere",
    "no_fanout": "stopped it from starting more",
    "read_only": "degraded it to reads",
    "pause": "paused it",
    "quarantine": "contained it, with its state kept as evidence",
    "revoke": "contained it and cut its lease",
}
_ROLLED = {
    "started": "began to take back what the run did",
    "stopped": "stopped taking back",
    "continued": "went on taking back",
    "claimed": "went on taking back",
    "ended": "ended the rollback",
    "waits": "waits for a person",
    "recover": "drives the incident to its end",
    "closed": "closed the incident",
}
_BY_STATE = "the plan's nodes as they ended, and data.killcord.invariants.violations"
_NEXT = "the latest sound checkpoint before the first bad entry (where that is not known: that somebody took), or the one that was named"
_FIRST = "the entries and objects that a finding's evidence names"
_PASSES = "what stands against a compensation that was not applied, and passes by itself, is waited for"
_HANDED = frozenset({"task", "waiting", "unknown", "failed"})


def explained(incident: Mapping[str, Any], entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One reason a decision, oldest first: ``{entry, ts, decided, rule, revision?, why}``.

    ``entries`` are the run's, of these ``KINDS``, ascending.
    """
    return [reason for entry in entries if _belongs(entry, incident["generation"]) for reason in _of(entry)]


def _belongs(entry: Entry, generation: int) -> bool:
    """Whether an entry is about this generation of the run: its end is told by the entry that begins the next one."""
    told = entry.get("generation", generation)
    return bool(told == generation + 1 if entry["kind"] == "run" and entry["change"] == "resumed" else told == generation)


def _of(entry: Entry) -> Iterator[dict[str, Any]]:
    match entry["kind"]:
        case "response":
            yield _answered(entry)
        case "rollback" if entry.get("change") == "node" and "since" in entry:
            yield _reason(entry, f"waits with node {entry['node']}", _PASSES, entry["why"])
        case "rollback" if entry.get("change") == "node" and entry["state"] in _HANDED:
            handed = f"handed node {entry['node']} to a person ({entry['state']})"
            yield _reason(entry, handed, "data.killcord.recovery.recovery, or the plan", entry["why"])
        case "rollback" if entry.get("change") in _ROLLED:
            yield _rolled(entry)
        case "order" if not str(entry.get("by", "")).startswith("trigger:"):  # those of triggers are told by their responses
            yield _ordered(entry)
        case "finding":
            yield _placed(entry)
        case "run" if entry["change"] == "resumed":
            yield _reason(entry, f"took the run up again from {entry['checkpoint_id']}", _NEXT, _asked(entry))
        case "run" if entry["change"] == "closed":
            yield _reason(entry, "gave the run up", f"asked by {entry.get('by')}", str(entry.get("reason", "")))


def _placed(entry: Entry) -> dict[str, Any]:
    """What a finding says about where what is wrong began."""
    about = findings.of_entry(entry)
    why = f"finding {entry['finding']}, {entry['severity']} ({entry.get('by')})"
    if not about.known:
        return _reason(entry, "could not tell which entry was the first bad one", _FIRST, why)
    return _reason(entry, f"took {about.places[0]} for bad, and what came after it", _FIRST, why)


def _answered(entry: Entry) -> dict[str, Any]:
    did = str(_DID.get(entry["action"], entry["action"])) + (", and had what it did taken back" if entry.get("rollback") else "")
    rule = f'data.killcord.response.response, for "{entry["name"]}" ({entry["verdict"]})'
    return _reason(entry, did, rule, entry["why"]) | {"revision": entry["revision"]}


def _rolled(entry: Entry) -> dict[str, Any]:
    left = entry["rollback"].get("residue", []) if "rollback" in entry else []
    why = str(entry.get("reason", "")) + (f"; left: {'; '.join(left)}" if left else "")
    return _reason(entry, _ROLLED[entry["change"]], _rule(entry), why)


def _rule(entry: Entry) -> str:
    match entry["change"]:
        case "ended" | "waits":
            return _BY_STATE
        case "claimed":
            return "at start, whatever is not over is gone on with"
        case "closed":
            return "a run that goes on, or was given up, has no open incident"
        case _ if str(entry.get("by", "")).startswith("trigger:"):
            return "the response's rollback"
        case _:
            return f"asked by {entry.get('by')}"


def _ordered(entry: Entry) -> dict[str, Any]:
    order = entry["order"]
    held = order["mode"] + (" without children" if order.get("no_fanout") else "")
    did = f"ordered it into {held}" if entry["change"] == "made" else f"released it from {held}"
    return _reason(entry, did, f"asked by {entry.get('by')}", str(entry.get("reason", "")))


def _asked(entry: Entry) -> str:
    return f"{entry.get('reason', '')} ({entry.get('by')})"


def _reason(entry: Entry, decided: str, rule: str, why: str) -> dict[str, Any]:
    return {"entry": f"{entry['stream']}/{entry['seq']}", "ts": entry["ts"], "decided": decided, "rule": rule, "why": why}
