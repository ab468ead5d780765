"""Why the controller did what it did about an incident, rule by rule, from the entries that say so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]

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
_HANDED = frozenset({"task", "waiting", "unknown", "failed"})


def explained(incident: Mapping[str, Any], entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One reason a decision, oldest first: ``{entry, ts, decided, rule, revision?, why}``.

    ``entries`` are the run's, of kinds ``trigger``, ``response``, ``order`` and ``rollback``, ascending.
    """
    return [
        reason for entry in entries if entry.get("generation", incident["generation"]) == incident["generation"] for reason in _of(entry)
    ]


def _of(entry: Entry) -> Iterator[dict[str, Any]]:
    match entry["kind"]:
        case "response":
            yield _answered(entry)
        case "rollback" if entry.get("change") == "node" and entry["state"] in _HANDED:
            yield _reason(
                entry, f"handed node {entry['node']} to a person ({entry['state']})", "killcord.recovery, or the plan", entry["why"]
            )
        case "rollback" if entry.get("change") in ("started", "stopped", "ended", "waits", "recover"):
            yield _rolled(entry)


def _answered(entry: Entry) -> dict[str, Any]:
    did = str(_DID.get(entry["action"], entry["action"])) + (", and had what it did taken back" if entry.get("rollback") else "")
    rule = f'data.killcord.response.response, for "{entry["name"]}" ({entry["verdict"]})'
    return _reason(entry, did, rule, entry["why"]) | {"revision": entry["revision"]}


def _rolled(entry: Entry) -> dict[str, Any]:
    change = {
        "started": "began to take back what the run did",
        "stopped": "stopped taking back",
        "ended": "ended the rollback",
        "waits": "waits for a person",
        "recover": "drives the incident to its end",
    }[entry["change"]]
    left = entry["rollback"].get("residue", []) if "rollback" in entry else []
    why = str(entry.get("reason", "")) + (f"; left: {'; '.join(left)}" if left else "")
    rule = "the response's rollback" if str(entry.get("by", "")).startswith("trigger:") else f"asked by {entry.get('by')}"
    return _reason(entry, change, rule, why)


def _reason(entry: Entry, decided: str, rule: str, why: str) -> dict[str, Any]:
    return {"entry": f"{entry['stream']}/{entry['seq']}", "ts": entry["ts"], "decided": decided, "rule": rule, "why": why}
