"""The story as the journal tells it: a row a call or order, like neighbours folded together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from typing import Any

from rich.table import Table

_COLUMNS = ("seq", "time", "step", "what", "action", "target", "before -> after", "result", "verified", "can it be undone")
_SHOWN = 5
"""So many calls in a row on one object are shown; of more, the first two and the last two."""

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    seq: str
    time: str
    step: str
    kind: str
    action: str = ""
    target: str = ""
    versions: str = ""
    result: str = ""
    verification: str = ""
    undo: str = ""

    @property
    def about(self) -> str:
        """The object that a call was about; empty for all else."""
        return self.target if self.step else ""


def table(entries: Sequence[Entry], effects: Sequence[Mapping[str, Any]]) -> Table:
    """``entries`` are a run's, oldest first; ``effects`` its writes as they stand now."""
    shown = Table(title="What the journal says of this run", title_justify="left", header_style="bold")
    for name in _COLUMNS:
        shown.add_column(name, overflow="fold")
    for row in folded(list(rows(entries, effects))):
        shown.add_row(*astuple(row))
    return shown


def rows(entries: Sequence[Entry], effects: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """A row for everything but intents, which their outcomes speak for."""
    intents = {f"{entry['stream']}/{entry['seq']}": entry for entry in entries if entry["kind"] == "intent"}
    standing = {effect["outcome"]: effect for effect in effects}
    for entry in entries:
        if entry["kind"] == "outcome":
            yield _write(entry, intents[entry["intent"]], standing.get(f"{entry['stream']}/{entry['seq']}", {}))
        elif entry["kind"] != "intent":
            yield _other(entry)


def folded(found: Sequence[Row]) -> Iterator[Row]:
    """Long stretches of calls on one object cut short, with a row that says how many are left out."""
    for about, group in groupby(found, key=lambda row: row.about):
        stretch = list(group)
        if not about or len(stretch) <= _SHOWN:
            yield from stretch
            continue
        left_out = len(stretch) - 4
        yield from stretch[:2]
        yield Row("...", "", "", f"{left_out} more like these", "", "", "", "", "", "")
        yield from stretch[-2:]


def _write(outcome: Entry, intent: Entry, effect: Mapping[str, Any]) -> Row:
    before, after = _version(intent.get("before_ref")), _version(outcome.get("after_ref"))
    return Row(
        *_begin(outcome),
        outcome["action"],
        _target(outcome),
        f"{before} -> {after}",
        outcome["result"],
        outcome["verification"],
        _undo(effect),
    )


def _other(entry: Entry) -> Row:
    kind = entry["kind"]
    if kind == "order":
        order = entry["order"]
        return Row(*_begin(entry), f"-> {order['mode']}", f"by {order['by']}", "", entry["change"], "", "")
    if kind == "run":
        return Row(*_begin(entry), "", f"by {entry['by']}", "", entry["change"], "", "")
    result = entry.get("code") or (str(entry["status"]) if "status" in entry else f"of {entry.get('replay_of', '')}")
    seen = _version(entry["before_ref"]) if "before_ref" in entry else ""
    return Row(*_begin(entry), entry.get("action", ""), _target(entry), seen, result, "", "")


def _begin(entry: Entry) -> tuple[str, str, str, str]:
    return str(entry["seq"]), entry["ts"][11:23], entry.get("step_id", ""), entry["kind"]


def _target(entry: Entry) -> str:
    target = entry.get("target")
    return f"{target['type']}:{target['id'] or '(all)'}" if target else ""


def _version(ref: str | None) -> str:
    """``...747`` of ``erp:invoice:inv-1001:1795552961747``: enough to tell two apart, in a narrow column."""
    if ref is None:
        return "(none)"
    version = ref.rpartition(":")[2]
    return version if len(version) <= 7 else f"..{version[-5:]}"


def _undo(effect: Mapping[str, Any]) -> str:
    if not effect:
        return ""
    undo = effect["compensation"]
    if not effect["can_undo"]:
        return f"no: {effect.get('why_not', undo['type'])}"
    until = undo.get("allowed_until")
    return f"{undo['class']}, {undo['type']}" + (f", until {until[:16].replace('T', ' ')}Z" if until else "")
